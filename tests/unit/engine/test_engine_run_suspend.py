"""spec.suspend of a run: running tasks continue, no new tasks start."""

import pytest

from tests.unit.engine.engine_world import START, World, run_info, task
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.status.run_status import run_status
from tradewind.engine.transitions import run_lifecycle

pytestmark = pytest.mark.unit

WAIT = {"name": "time", "dependsOn": ["a"], "waitFor": {"time": "{{ ts }}"}}
MESSAGE = "suspended: no new tasks start; running tasks continue"


def suspend(world: World, suspended: bool = True) -> None:
    world.scheduler.suspend("r1", suspended)
    world.plan()


def test_a_running_run() -> None:
    world = World(task("a"), task("b", "a"), task("nothing", "a", noop=True), WAIT)
    world.running("a")
    suspend(world)
    assert world.status()["message"] == MESSAGE
    world.succeed("a")
    assert world.states() == {"a": "Succeeded", "b": "Scheduled", "nothing": "None", "time": "None"}
    assert world.entry("b")["message"] == "waiting: the run is suspended"
    assert world.phase() == "Running"
    suspend(world, False)
    assert world.started() == ["a", "b"]
    assert "message" not in world.status()
    world.succeed("b")
    assert world.phase() == "Succeeded"


def test_it_is_no_deadlock() -> None:
    world = World(task("a"), task("nothing", "a", noop=True))
    suspend(world)
    world.succeed("a")
    assert world.phase() == "Running"
    suspend(world, False)
    assert world.phase() == "Succeeded"


def test_retries_wait() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "1s"}))
    world.running("a")
    suspend(world)
    world.fail("a")
    world.wait(seconds=1)
    assert world.started() == ["a"]
    assert world.state("a") is TaskState.SCHEDULED
    suspend(world, False)
    assert world.started() == ["a", "a#2"]


def test_a_run_that_is_suspended_from_the_start_stays_in_the_queue() -> None:
    world = World(task("a"), maxActiveRuns=1)
    world.succeed("a")
    waiting = RunState(run_info("r2"), world.dag, world.scheduler.slots)
    run_lifecycle.suspend(waiting, True)
    world.scheduler.add_run(waiting)
    world.plan()
    status = run_status(waiting)
    assert (status["phase"], status["message"]) == ("Queued", MESSAGE)
    other = world.add(run_info("r3"))
    assert other.phase.value == "Running", "it does not block others"
    world.scheduler.suspend("r2", False)
    world.plan()
    assert waiting.message == "waiting for maxActiveRuns of the Dag (1)"


def test_after_a_restart_it_is_what_the_spec_says() -> None:
    world = World(task("a"), task("b"), maxActiveTasks=1)
    suspend(world)
    world.restart()
    assert world.run.message is None
    assert not world.run.suspended
    assert world.run.started_at == START
