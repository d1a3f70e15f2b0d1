"""A try that is lost to its surroundings is made again without using up a try, as often as onLost says."""

import pytest

from tests.unit.engine.engine_world import START, World, task
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import TryEvent, TryKey, TryReport

pytestmark = pytest.mark.unit


def test_a_lost_try_is_made_again_at_once_and_is_not_used_up() -> None:
    world = World(task("a", retries={"limit": 0}))
    world.running("a", started_at=START)
    world.lose("a", "Evicted", message="The node was low on resource: memory.", exit_code=137)
    assert world.started() == ["a", "a#2"]
    entry = world.entry("a")
    assert (entry["state"], entry["try"], entry["lost"]) == ("Scheduled", 2, 1)
    assert entry["tries"] == [
        {
            "number": 1,
            "state": "Lost",
            "reason": "Evicted",
            "message": "The node was low on resource: memory.",
            "exitCode": 137,
            "startedAt": "2026-03-01T12:00:00Z",
            "finishedAt": "2026-03-01T12:00:00Z",
        }
    ]
    assert world.said("TryLost") == ["try 1 was lost (Evicted): The node was low on resource: memory."]


def test_at_most_three_times_by_default() -> None:
    world = World(task("a"))
    for _ in range(3):
        world.lose("a")
        assert world.state("a") is TaskState.SCHEDULED
    world.lose("a", "NodeLost")
    assert (world.state("a"), world.run["a"].number) == (TaskState.FAILED, 4)
    assert world.entry("a")["reason"] == "NodeLost"
    assert [past["state"] for past in world.entry("a")["tries"]] == ["Lost"] * 3


@pytest.mark.parametrize("on_lost", [0, 1, 5])
def test_as_often_as_on_lost_says(on_lost: int) -> None:
    world = World(task("a", retries={"onLost": on_lost}))
    for _ in range(on_lost + 1):
        world.lose("a")
    assert world.state("a") is TaskState.FAILED
    assert len(world.starts) == on_lost + 1


def test_beyond_on_lost_a_lost_try_uses_up_a_try() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "10s", "onLost": 1}))
    world.lose("a")
    world.lose("a")
    assert world.state("a") is TaskState.UP_FOR_RETRY
    world.wait(seconds=10)
    assert [past["state"] for past in world.entry("a")["tries"]] == ["Lost", "Failed"]
    world.lose("a")
    assert (world.state("a"), world.run["a"].number) == (TaskState.FAILED, 3)


def test_lost_tries_and_failures_are_counted_apart() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "10s"}))
    world.lose("a")
    world.fail("a")
    assert world.state("a") is TaskState.UP_FOR_RETRY
    world.wait(seconds=10)
    world.lose("a")
    world.fail("a")
    assert world.state("a") is TaskState.FAILED
    assert [past["state"] for past in world.entry("a")["tries"]] == ["Lost", "Failed", "Lost"]


def test_a_lost_try_does_not_make_the_delay_grow() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "10s", "backoff": 100}))
    world.lose("a")
    world.fail("a")
    assert world.run["a"].retry_at is not None
    assert 10 <= (world.run["a"].retry_at - world.now).total_seconds() < 20


def test_the_count_survives_a_restart() -> None:
    world = World(task("a", retries={"onLost": 2}))
    world.lose("a")
    world.lose("a")
    world.restart()
    assert world.run["a"].lost == 2
    world.lose("a")
    assert world.state("a") is TaskState.FAILED


def test_two_lost_tries_that_are_reported_at_once() -> None:
    """A new leader finds the first by the second, and that by its last words."""
    world = World(task("a"))
    world.created("a")
    world.restart([TryReport("a", 2, TryEvent.LOST, reason="Evicted")])
    assert [(past["number"], past["state"]) for past in world.entry("a")["tries"]] == [(1, "Lost"), (2, "Lost")]
    assert [message.split(":")[0] for message in world.said("TryLost")] == [
        "try 1 was lost (PodVanished)",
        "try 2 was lost (Evicted)",
    ]
    assert (world.state("a"), world.run["a"].number) == (TaskState.SCHEDULED, 3)


def test_missing_tells_which_tries_ought_to_have_a_pod() -> None:
    world = World(task("a"), task("b"), task("c"), task("d"), task("e"), task("f", "e"))
    world.created("a")
    world.running("b")
    world.succeed("c")
    world.created("d")
    assert world.run.missing([TryKey("d", None, 1), TryKey("d", None, 7)]) == [
        TryKey("a", None, 1),
        TryKey("b", None, 1),
    ]


# Exit code 0 after the Pod was to go --------------------------------------------------------------------------------


def test_a_task_that_ends_politely_when_its_pod_is_to_go_has_not_succeeded() -> None:
    world = World(task("a"), task("b", "a"))
    world.running("a", started_at=START)
    world.succeed("a", '{"rows": 1}', deletion="EvictionByEvictionAPI")
    assert world.started() == ["a", "a#2"]
    [past] = world.entry("a")["tries"]
    assert (past["state"], past["reason"], past["exitCode"]) == ("Lost", "EvictionByEvictionAPI", 0)
    [note] = [each for each in world.notes if each.reason == "TryLost"]
    assert (note.cause, "exit code 0" in note.message) == ("EvictionByEvictionAPI", True)
    world.succeed("a")
    assert world.state("a") is TaskState.SUCCEEDED


def test_a_task_may_say_that_it_has_done_its_work_then() -> None:
    world = World(task("a", successAfterDeletion=True))
    world.running("a", started_at=START)
    world.succeed("a", '{"rows": 1}', deletion="EvictionByEvictionAPI")
    assert (world.phase(), world.entry("a")["output"]) == ("Succeeded", {"rows": 1})
    settings = {"successAfterDeletion": True}
    world = World(task("a"), task("b", "a", successAfterDeletion=False), taskDefaults=settings)
    world.succeed("a", deletion="PodDeleted")
    world.succeed("b", deletion="PodDeleted")
    assert world.started() == ["a", "b", "b#2"]


def test_a_look_that_ended_politely_when_its_pod_was_to_go_has_found_nothing() -> None:
    world = World(task("a", sensor={"mode": "Reschedule", "interval": "1m"}))
    world.running("a", started_at=START)
    world.succeed("a", deletion="PodDeleted")
    assert world.state("a") is TaskState.UP_FOR_RESCHEDULE
    world.tell("a", TryEvent.ENDED, exit_code=0, deletion="PodDeleted")
    assert world.state("a") is TaskState.UP_FOR_RESCHEDULE


def test_a_task_that_heeds_its_timeout_politely_has_timed_out() -> None:
    world = World(task("a", timeout="60s"))
    world.running("a", started_at=START)
    world.wait(seconds=60)
    world.succeed("a", deletion="PodDeleted")
    assert (world.state("a"), world.entry("a")["reason"]) == (TaskState.FAILED, "Timeout")


def test_the_result_of_an_earlier_leaders_try_that_ended_politely_is_no_success() -> None:
    world = World(task("a"))
    reported = TryReport("a", 1, TryEvent.ENDED, exit_code=0, deletion="PodDeleted")
    world.restart([reported], {"phase": "Running", "startedAt": "2026-03-01T12:00:00Z", "tasks": []})
    assert (world.state("a"), world.run["a"].number) == (TaskState.SCHEDULED, 2)
