"""Final means final: what has finished does not move any more, however many timers were set for it."""

from datetime import timedelta

import pytest

from tests.unit.engine.engine_world import START, World, task
from tradewind.engine.rules.outcome import Outcome
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import TryEvent, TryReport
from tradewind.engine.status.run_status import run_status
from tradewind.engine.transitions.endings import finish, finish_resting

pytestmark = pytest.mark.unit

FAILED = Outcome(TaskState.FAILED, "Error")


def test_a_task_whose_pod_could_not_be_made_and_that_was_skipped_since_is_not_started() -> None:
    up, down = task("up", setup=True), task("down", "up", "a", teardown={"setups": ["up"]})
    world = World(up, down, task("a", "up"), task("b", "up"), failFast=True)
    world.succeed("up")
    world.postpone("a")
    world.fail("b")
    entry = world.entry("a")
    assert (entry["state"], entry["reason"]) == ("Skipped", "FailFast")
    world.starts.clear()
    for _ in range(5):
        world.wait(seconds=2)
    assert (world.started(), world.entry("a")) == ([], entry)


@pytest.mark.parametrize("minutes", [1, 5, 10, 30])
def test_no_timer_of_a_task_that_succeeded_means_anything(minutes: int) -> None:
    limits = {"timeout": "5m", "queuedTimeout": "10m", "retries": {"limit": 1, "delay": "1m"}}
    world = World(task("a", **limits), task("m", **limits, forEach={"items": [1, 2]}), task("b"))
    for name in ("a", "m[0]"):
        world.running(name, started_at=world.now)
        world.fail(name)
    world.running("m[1]")
    world.succeed("m[1]")
    world.wait(minutes=1)
    for name in ("a", "m[0]"):
        world.running(name, started_at=world.now)
        world.succeed(name)
    world.running("b")
    before = world.states(), world.status()["done"]
    world.wait(minutes=minutes)
    assert (world.states(), world.status()["done"]) == before
    assert (world.stops, world.phase()) == ([], "Running")


def test_to_finish_twice_is_a_fault_that_is_reported_and_changes_nothing() -> None:
    world = World(task("a"), task("m", forEach={"items": [1, 2]}), task("b"))
    world.succeed("a")
    world.succeed("m[0]")
    before = world.status()
    run, node = world.run, world.run.node("m")
    finish(run, run["a"], FAILED, START)
    finished = node.peek(0)
    assert finished is not None
    finish(run, finished, FAILED, START)
    finish(run, node.whole, FAILED, START)
    finish_resting(run, node, node.finished_indexes()[TaskState.SUCCEEDED], FAILED, START)
    world.scheduler.report("r1", _late("a"), world.now)
    plan = world.scheduler.plan(world.now)
    assert plan.faults == [
        "DagRun ns/r1: a is Succeeded: it is not Failed now",
        "DagRun ns/r1: m[0] is Succeeded: it is not Failed now",
        "DagRun ns/r1: m is None: it is not Failed now",
        "DagRun ns/r1: m[0] is not None: it is not Failed now",
    ]
    assert run_status(run) == before


def test_a_run_does_not_finish_before_each_of_its_tasks_has() -> None:
    world = World(task("a"), task("b"))
    world.succeed("a")
    world.running("b")
    world.run.unfinished = 0
    world.scheduler.report("r1", _late("a"), world.now)
    plan = world.scheduler.plan(world.now + timedelta(seconds=1))
    assert plan.faults == ["DagRun ns/r1: 1 task instances are counted as finished but are not"]
    assert (world.phase(), world.status()["done"]) == ("Running", "1/2")
    world.succeed("b")
    assert world.phase() == "Succeeded"


def _late(name: str) -> TryReport:
    """Old news: all it does is to have the run looked at."""
    return TryReport(name, 1, TryEvent.ENDED, exit_code=0)
