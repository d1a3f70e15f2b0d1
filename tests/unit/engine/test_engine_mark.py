"""Mark: tasks, or the run, in a state that a person sets."""

import pytest

from tests.unit.engine.asked import ask, decide, play, refused
from tests.unit.engine.engine_world import World, task
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import TryEvent

pytestmark = pytest.mark.unit


def chain() -> World:
    return World(task("a"), task("b", "a"), task("c", "b"))


# Tasks --------------------------------------------------------------------------------------------------------------


def test_a_failed_task_that_is_fine() -> None:
    """Only tasks that did not run because of it run."""
    world = World(task("a"), task("b", "a"), task("c", "b"), task("done", "a", triggerRule="AllDone"))
    play(world, "a")
    assert world.phase() == "Failed"
    decision = ask(world, "Mark", "a", state="Succeeded", message="by hand")
    assert decision.message == "marked Succeeded: a; tasks to rerun: b, c"
    assert world.started() == ["b"]
    play(world)
    assert world.phase() == "Succeeded"
    entry = world.entry("a")
    assert (entry["state"], entry["reason"], entry["message"]) == (
        "Succeeded",
        "Marked",
        "marked Succeeded by alice: by hand",
    )
    assert [(past["number"], past["state"]) for past in entry["tries"]] == [(1, "Failed")]
    assert world.entry("done")["try"] == 1


@pytest.mark.parametrize(("state", "phase"), [("Failed", "Failed"), ("Skipped", "Succeeded")])
def test_a_leaf_decides_how_the_run_has_finished(state: str, phase: str) -> None:
    world = play(chain(), "c" if state == "Skipped" else "")
    ended = world.status()["finishedAt"]
    world.wait(hours=1)
    decision = ask(world, "Mark", "c", state=state)
    assert world.phase() == phase
    assert decision.status["finishedAt"] == ended
    assert world.entry("c")["finishedAt"] == "2026-03-01T13:00:00Z"


def test_a_task_that_is_running_is_stopped() -> None:
    world = chain()
    world.running("a")
    decision = ask(world, "Mark", "a", state="Succeeded")
    assert [(key.task, key.number) for key in decision.stops] == [("a", 1)]
    assert world.started() == ["b"]
    world.tell("a", TryEvent.LOST, number=1, reason="PodDeleted")
    assert world.state("a") is TaskState.SUCCEEDED


def test_a_task_that_has_not_begun() -> None:
    world = chain()
    ask(world, "Mark", "b", state="Skipped")
    world.succeed("a")
    assert world.states() == {"a": "Succeeded", "b": "Skipped", "c": "Skipped"}
    assert world.phase() == "Succeeded"


def test_a_marked_task_that_runs_again_has_new_numbers() -> None:
    world = chain()
    world.fail("a")
    ask(world, "Mark", "a", state="Skipped")
    ask(world, "Rerun", "a")
    assert world.started() == ["a#2"]
    [past] = world.entry("a")["tries"]
    assert (past["number"], past["state"]) == (1, "Failed")


def test_with_what_comes_before_and_after() -> None:
    world = chain()
    assert decide(world, "Mark", "b", state="Skipped", downstream=True).message == "marked Skipped: b, c"
    assert decide(world, "Mark", "b", state="Skipped", upstream=True).message == "marked Skipped: a, b"


def test_all_that_failed() -> None:
    world = play(World(task("a"), task("b", "a"), task("c")), "a")
    ask(world, "Mark", state="Succeeded", onlyFailed=True)
    assert world.states() == dict.fromkeys(["a", "b", "c"], "Succeeded")
    assert world.phase() == "Succeeded"


def test_instances_of_a_mapped_task() -> None:
    world = World(task("each", forEach={"items": [1, 2, 3]}), task("all", "each"))
    world.succeed("each[0]", "1")
    world.fail("each[1]", message="no luck")
    world.running("each[2]")
    decision = ask(world, "Mark", "each[1]", "each[2]", state="Succeeded")
    assert [key.instance for key in decision.stops] == ["each[2]"]
    assert world.entry("each")["indexes"] == {"Succeeded": "0-2"}
    assert world.started() == ["all"]
    assert world.run.node("each").output == (True, [1])
    ask(world, "Rerun", "each[1]")
    assert [key.key.number for key in world.starts if key.task.name == "each"] == [2]


def test_a_mapped_task_whose_instances_are_not_known() -> None:
    world = World(task("list"), task("each", "list", forEach={"output": "list"}), task("all", "each"))
    ask(world, "Mark", "each", state="Succeeded")
    world.succeed("list", "[1, 2]")
    assert world.states() == {"list": "Succeeded", "each": "Succeeded", "all": "Scheduled"}


def test_a_branch_that_is_marked_passes_nothing_over() -> None:
    world = World(task("pick", branch=True), task("left", "pick"), task("right", "pick"))
    ask(world, "Mark", "pick", state="Succeeded")
    assert world.started() == ["left", "right"]


# The run ------------------------------------------------------------------------------------------------------------


def test_a_running_run_that_is_fine() -> None:
    world = World(task("a"), task("b"), task("c", "b"), task("skip"))
    world.fail("a")
    world.skip("skip")
    world.running("b")
    decision = ask(world, "Mark", state="Succeeded")
    assert decision.message == "marked Succeeded: the run, a, b, c"
    assert [key.task for key in decision.stops] == ["b"]
    assert world.states() == {"a": "Succeeded", "b": "Succeeded", "c": "Succeeded", "skip": "Skipped"}
    status = world.status()
    assert (status["phase"], status["reason"], status["message"]) == (
        "Succeeded",
        "Marked",
        "marked Succeeded by alice",
    )
    assert status["done"] == "4/4"


def test_a_running_run_that_has_failed() -> None:
    world = World(task("a"), task("b"), task("c", "b"), task("retried", retries={"limit": 1}))
    world.succeed("a")
    world.running("b")
    world.fail("retried")
    ask(world, "Mark", state="Failed")
    assert world.states() == {"a": "Succeeded", "b": "Failed", "c": "Skipped", "retried": "Failed"}
    assert (world.phase(), world.run.reason) == ("Failed", "Marked")


@pytest.mark.parametrize(("fails", "state"), [("c", "Succeeded"), ("", "Failed")])
def test_a_run_that_has_finished(fails: str, state: str) -> None:
    world = play(chain(), fails)
    ended = world.status()["finishedAt"]
    world.wait(hours=1)
    ask(world, "Mark", state=state)
    assert world.phase() == state
    assert world.status()["finishedAt"] == ended
    assert world.state("c") is TaskState.SUCCEEDED


def with_teardown() -> World:
    world = World(
        task("make", setup=True),
        task("use", "make"),
        task("drop", "use", teardown={"setups": ["make"]}),
        task("after", "use"),
    )
    world.succeed("make")
    world.running("use")
    return world


@pytest.mark.parametrize("state", ["Succeeded", "Failed"])
def test_teardowns_still_run(state: str) -> None:
    world = with_teardown()
    ask(world, "Mark", state=state)
    assert world.started() == ["drop"]
    assert world.phase() == "Running"
    world.restart()
    world.succeed("drop")
    assert world.phase() == state
    assert world.states()["use"] == state


def test_a_run_that_was_marked_can_run_again() -> None:
    world = chain()
    world.running("a")
    ask(world, "Mark", state="Failed")
    ask(world, "Rerun")
    assert world.started() == ["a#2"]
    play(world)
    assert (world.phase(), world.run.reason) == ("Succeeded", "Succeeded")


# What cannot be done ------------------------------------------------------------------------------------------------


def test_what_cannot_be_marked() -> None:
    world = chain()
    assert "Skipped is for tasks" in refused(world, "Mark", state="Skipped")
    assert "no task or group named 'nope'" in refused(world, "Mark", "nope", state="Failed")
    assert "is required for Mark" in refused(world, "Mark", "a")
    play(world)
    assert "all selected tasks are Succeeded already" in refused(world, "Mark", "a", state="Succeeded")
    assert "the run is Succeeded already" in refused(world, "Mark", state="Succeeded")


def test_a_run_that_is_about_to_end_as_failed_cannot_be_marked_so() -> None:
    """Its teardowns run."""
    world = with_teardown()
    ask(world, "Mark", state="Failed")
    assert world.phase() == "Running"
    assert "the run is finishing as Failed" in refused(world, "Mark", state="Failed")
