"""Stop: running tasks are stopped, the others are skipped."""

import pytest

from tests.unit.engine.asked import ask, decide, play, refused
from tests.unit.engine.engine_world import World, task
from tradewind.engine.run.slots import Slots
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import TryEvent
from tradewind.engine.status.restore import load

pytestmark = pytest.mark.unit


def test_a_running_run() -> None:
    world = World(
        task("a"),
        task("b", retries={"limit": 1}),
        task("c"),
        task("d", "c"),
        task("each", forEach={"items": [1, 2, 3]}, maxActivePerRun=1),
    )
    world.succeed("a")
    world.fail("b")
    world.running("c")
    world.running("each[0]")
    decision = ask(world, "Stop", message="wrong day")
    assert [key.instance for key in decision.stops] == ["c", "each[0]"]
    status = world.status()
    assert (status["phase"], status["reason"]) == ("Failed", "Stopped")
    assert status["message"] == "stopped by alice: wrong day"
    assert (status["done"], status["finishedAt"]) == ("7/7", "2026-03-01T12:00:00Z")
    assert world.states() == {
        "a": "Succeeded",
        **dict.fromkeys(["b", "c", "d", "each[0]", "each[1]", "each[2]"], "Skipped"),
    }
    assert world.entry("c")["reason"] == "Stopped"
    assert world.scheduler.slots.active == 0
    world.tell("c", TryEvent.LOST, reason="PodDeleted")
    assert world.state("c") is TaskState.SKIPPED


def with_teardown() -> World:
    return World(
        task("make", setup=True),
        task("use", "make"),
        task("drop", "use", teardown={"setups": ["make"]}),
        task("after", "use"),
    )


def test_teardowns_still_run() -> None:
    world = with_teardown()
    world.succeed("make")
    world.running("use")
    ask(world, "Stop")
    assert world.started() == ["drop"]
    assert (world.phase(), world.run.reason) == ("Running", "Stopped")
    assert "the run is finishing (stopped by alice)" in refused(world, "Rerun", "use")
    world.restart()
    world.succeed("drop")
    assert (world.phase(), world.run.reason, world.run.message) == ("Failed", "Stopped", "stopped by alice")


def test_stopped_twice_it_ends_at_once() -> None:
    world = with_teardown()
    world.succeed("make")
    ask(world, "Stop")
    world.running("drop")
    decision = ask(world, "Stop")
    assert [key.task for key in decision.stops] == ["drop"]
    assert (world.phase(), world.state("drop")) == ("Failed", TaskState.SKIPPED)


def test_teardowns_of_what_was_never_set_up_do_not_run() -> None:
    world = with_teardown()
    ask(world, "Stop")
    assert (world.phase(), world.state("drop")) == ("Failed", TaskState.SKIPPED)
    assert world.started() == []


def test_a_run_in_the_queue() -> None:
    world = play(with_teardown())
    again = decide(world, "Rerun")
    assert again.status["phase"] == "Queued"
    world.run = load(world.run.info, world.dag, Slots(), status=again.status)
    ask(world, "Stop")
    assert (world.phase(), world.run.reason) == ("Failed", "Stopped")
    assert set(world.states().values()) == {"Skipped"}
    assert len(world.status()["requests"]) == 2


def test_a_run_that_has_finished() -> None:
    world = play(with_teardown())
    assert refused(world, "Stop") == "the run has finished already: Succeeded"


def test_it_takes_no_state() -> None:
    assert "remove it for Stop" in refused(with_teardown(), "Stop", state="Failed")
