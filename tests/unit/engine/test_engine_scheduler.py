"""The scheduler does no more than what has changed asks for, and says when to come back."""

import time
from datetime import datetime, timedelta

import pytest

from tests.unit.engine.engine_world import START, World, dag, run_info, task
from tradewind.engine.run.slot_queue import SlotQueue
from tradewind.engine.run.state import RunState
from tradewind.engine.run.tries import TryEvent, TryReport
from tradewind.engine.scheduler import Plan, Scheduler
from tradewind.engine.transitions import run_lifecycle

pytestmark = pytest.mark.unit


def nothing(plan: Plan) -> bool:
    return not (plan.starts or plan.stops or plan.changed or plan.notes)


def test_an_empty_scheduler_has_nothing_to_do() -> None:
    plan = Scheduler().plan(START)
    assert nothing(plan)
    assert plan.wake_at is None


def test_a_plan_with_nothing_changed_touches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(task("a", timeout="5m"), task("b", pool="nope"), maxActiveRuns=2)
    world.add(run_info("r2"))
    world.add(run_info("r3"))
    world.running("a", started_at=START)
    for run in world.scheduler.runs.values():
        run.changed = False
    touched: list[str] = []
    monkeypatch.setattr(run_lifecycle, "advance", lambda run, now: touched.append(run.info.name))
    monkeypatch.setattr(SlotQueue, "begin", lambda self: touched.append("slots"))
    before = world.last.wake_at
    plan = world.wait(seconds=1)
    assert nothing(plan)
    assert plan.wake_at == before
    assert touched == []


def test_only_the_run_that_something_happened_to_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(task("a"), task("b", "a"), maxActiveTasks=1)
    for index in range(2, 12):
        world.add(run_info(f"r{index}", dag_name=f"d{index}"))
    advanced: list[str] = []
    advance = run_lifecycle.advance

    def watched(run: RunState, now: datetime) -> None:
        advanced.append(run.info.name)
        advance(run, now)

    monkeypatch.setattr(run_lifecycle, "advance", watched)
    world.running("a")
    assert advanced == ["r1"]


def test_a_run_is_changed_until_it_is_said_to_be_written() -> None:
    world = World(task("a"))
    world.running("a")
    assert world.last.changed == [world.run]
    world.run.changed = False
    assert world.wait(seconds=1).changed == []


def test_wake_at_is_the_first_thing_due_in_any_run() -> None:
    world = World(task("a", timeout="5m"), task("b", timeout="2m"), runTimeout="1h")
    other = world.add(run_info("r2", dag_name="d2"), dag(task("x", timeout="3m")))
    world.running("a", started_at=START)
    assert world.last.wake_at == START + timedelta(minutes=5)
    world.running("b", started_at=START)
    assert world.last.wake_at == START + timedelta(minutes=2)
    world.scheduler.report(other.info.uid, TryReport("x", 1, TryEvent.RUNNING, started_at=START), world.now)
    world.plan()
    assert world.wait(minutes=2).wake_at == START + timedelta(minutes=3)
    assert world.stops == [("b", 1, "Timeout")]


def test_a_run_that_is_removed_is_not_woken_for() -> None:
    world = World(task("a"), runTimeout="1h")
    assert world.last.wake_at == START + timedelta(hours=1)
    world.scheduler.remove_run("r1")
    assert world.plan().wake_at is None


def test_a_run_that_has_finished_makes_no_further_plans() -> None:
    world = World(task("a"), runTimeout="1h")
    world.succeed("a")
    world.run.changed = False
    plan = world.wait(hours=2)
    assert nothing(plan)
    assert plan.wake_at is None


def test_one_plan_follows_a_chain_of_tasks_without_pods_to_its_end() -> None:
    names = [f"t{index}" for index in range(50)]
    chain = [task(name, *names[max(0, i - 1) : i], noop=True) for i, name in enumerate(names)]
    world = World(*chain)
    assert world.phase() == "Succeeded"
    assert world.starts == []


def test_the_end_of_a_run_starts_the_next_in_the_same_plan() -> None:
    world = World(task("a"), maxActiveRuns=1)
    world.add(run_info("r2", logical_date=START + timedelta(days=1)))
    plan = world.succeed("a")
    assert [start.run.name for start in plan.starts] == ["r2"]


def test_a_stop_is_handed_out_once() -> None:
    world = World(task("a"), runTimeout="1m")
    assert len(world.wait(minutes=1).stops) == 1
    assert world.plan().stops == []


def test_the_end_of_a_run_is_reported() -> None:
    world = World(task("a"))
    world.now += timedelta(seconds=75)
    world.succeed("a")
    assert world.said("Succeeded") == ["Succeeded after 1m15s"]
    failed = World(task("a"), task("b", "a"))
    failed.fail("a")
    assert failed.said("Failed") == ["Failed after 0s: failed: a"]
    assert [note.warning for note in failed.notes] == [True, True]
    assert [note.warning for note in world.notes] == [False]
    assert [note.task for note in failed.notes] == ["a", None]


def test_an_event_costs_little_in_a_wide_run() -> None:
    """A bound far above what is measured (some 15 µs), for machines that are busy; quadratic work would exceed it."""
    names = [f"t{index}" for index in range(1000)]
    world = World(*(task(name) for name in names), task("last", *names), maxActiveTasks=100)
    began = time.process_time()
    events = 0
    while not world.run.finished:
        for start in world.last.starts:
            for report in (
                TryReport(start.task.name, 1, TryEvent.CREATED),
                TryReport(start.task.name, 1, TryEvent.RUNNING, started_at=world.now),
                TryReport(start.task.name, 1, TryEvent.ENDED, exit_code=0, finished_at=world.now),
            ):
                world.scheduler.report("r1", report, world.now)
                events += 1
        world.plan()
    assert events == 3003
    assert (time.process_time() - began) / events < 0.001
