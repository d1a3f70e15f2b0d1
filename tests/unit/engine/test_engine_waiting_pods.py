"""Pods that are waiting to start: when that fails the task, and the Events about it."""

from datetime import timedelta

import pytest

from tests.unit.engine.engine_world import START, World, task
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import HeldBy
from tradewind.engine.scheduler import START_AGAIN

pytestmark = pytest.mark.unit

IMAGE = {"reason": "ImagePullBackOff", "message": "no such image"}
FULL = {"reason": "Unschedulable", "message": "0/1 nodes are available", "held_by": HeldBy.CLUSTER}


# Default queuedTimeout --------------------------------------------------------------------------------------------


def test_a_full_cluster_is_waited_for_without_end() -> None:
    world = World(task("a"))
    world.created("a", **FULL)
    world.wait(days=30)
    assert (world.stops, world.state("a")) == ([], TaskState.QUEUED)


def test_what_the_pod_itself_waits_for_counts_from_when_that_began() -> None:
    world = World(task("a"))
    world.created("a", **FULL)
    world.wait(hours=5)
    world.created("a", **IMAGE)
    world.wait(seconds=599)
    assert world.stops == []
    world.wait(seconds=1)
    assert world.stops == [("a", 1, "ImagePullBackOff")]


def test_another_reason_of_the_pod_itself_does_not_begin_anew() -> None:
    world = World(task("a"))
    world.created("a", **IMAGE)
    world.wait(minutes=6)
    world.created("a", reason="ErrImagePull", message="no such image")
    world.wait(minutes=4)
    assert world.stops == [("a", 1, "ErrImagePull")]


def test_since_when_is_what_the_cluster_says_but_not_later_than_now() -> None:
    world = World(task("a"), task("b"))
    world.wait(minutes=20)
    world.created("a", **IMAGE, held_since=world.now - timedelta(minutes=9))
    world.created("b", **IMAGE, held_since=world.now + timedelta(hours=9))
    world.wait(minutes=1)
    assert world.stops == [("a", 1, "ImagePullBackOff")]
    world.wait(minutes=9)
    assert world.stops == [("a", 1, "ImagePullBackOff"), ("b", 1, "ImagePullBackOff")]


def test_it_counts_again_after_a_restart_by_what_the_pod_says() -> None:
    world = World(task("a"))
    world.created("a", **IMAGE)
    world.wait(minutes=8)
    world.restart()
    world.created("a", **IMAGE, held_since=START)
    world.wait(minutes=2)
    assert world.stops == [("a", 1, "ImagePullBackOff")]


# One that is set --------------------------------------------------------------------------------------------------


def test_one_that_is_set_counts_a_full_cluster_too() -> None:
    world = World(task("a", queuedTimeout="10m"), task("b"), taskDefaults={})
    world.created("a", **FULL)
    world.created("b", **FULL)
    world.wait(minutes=10)
    assert world.stops == [("a", 1, "Unschedulable")]


def test_that_of_task_defaults_is_set_too() -> None:
    world = World(task("a"), taskDefaults={"queuedTimeout": "1m"})
    world.created("a", **FULL)
    world.wait(minutes=1)
    assert world.stops == [("a", 1, "Unschedulable")]


@pytest.mark.parametrize("restarts", [False, True])
def test_scheduling_gates_do_not_count(restarts: bool) -> None:
    gated = {"reason": "SchedulingGated", "message": "waits for Kueue", "held_by": HeldBy.GATES}
    world = World(task("a", queuedTimeout="1m"))
    world.created("a", **gated)
    world.wait(hours=1)
    assert world.stops == []
    world.created("a", **FULL)
    assert world.entry("a")["queuedAt"] == "2026-03-01T13:00:00Z"
    if restarts:
        world.restart()
    world.wait(seconds=59)
    assert world.stops == []
    world.wait(seconds=1)
    assert [stop[0] for stop in world.stops] == ["a"]


# Preemption -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["PreemptionByScheduler", "Preempting"])
def test_a_preempted_try_does_not_use_up_on_lost(reason: str) -> None:
    world = World(task("a", retries={"limit": 0, "onLost": 1}))
    for number in range(1, 30):
        world.running("a")
        world.lose("a", reason)
        assert world.run["a"].number == number + 1
        if number % 7 == 0:
            world.restart()
    world.lose("a", "Evicted")
    assert (world.state("a"), world.entry("a")["lost"], world.entry("a")["preempted"]) == (TaskState.SCHEDULED, 30, 29)
    world.lose("a", "Evicted")
    assert world.state("a") is TaskState.FAILED


def test_nor_a_retry_also_of_a_mapped_task_that_rests_in_between() -> None:
    world = World(task("each", forEach={"items": ["a", "b"]}, retries={"limit": 1, "onLost": 1, "delay": "1s"}))
    for _ in range(5):
        world.lose("each[1]", "PreemptionByScheduler")
    world.fail("each[1]")
    assert world.entry("each")["preemptedTries"] == {"5": "1"}
    world.restart()
    world.wait(seconds=2)
    world.lose("each[1]", "Evicted")
    assert world.state("each[1]") is TaskState.SCHEDULED
    world.succeed("each[1]")
    assert world.state("each[1]") is TaskState.SUCCEEDED


# Events ---------------------------------------------------------------------------------------------------------


def test_the_run_says_what_its_first_waiting_task_waits_for() -> None:
    world = World(task("a"), task("b"), task("c"))
    world.created("c", **IMAGE)
    assert world.status()["message"] == "c is waiting: ImagePullBackOff: no such image"
    world.created("b", **FULL)
    assert world.status()["message"] == "b is waiting: Unschedulable: 0/1 nodes are available"
    world.running("b")
    assert world.status()["message"] == "c is waiting: ImagePullBackOff: no such image"
    world.created("c", held_by=HeldBy.CLUSTER)
    assert "message" not in world.status()


def test_what_cannot_be_made_waits_too_and_does_not_come_and_go() -> None:
    world = World(task("a"))
    for _ in range(3):
        world.postpone("a")
        assert world.status()["message"] == "a is waiting: QuotaExceeded: exceeded quota"
        world.wait(seconds=60)
        assert world.status()["message"] == "a is waiting: QuotaExceeded: exceeded quota"
    world.created("a")
    assert "message" not in world.status()


def test_a_run_that_ends_and_one_that_is_restored_say_nothing_of_it() -> None:
    world = World(task("a"), runTimeout="1h")
    world.created("a", **IMAGE)
    world.restart()
    assert world.run.changed
    assert "message" not in world.status(), "it is computed again"
    world.created("a", **IMAGE)
    world.wait(hours=1)
    assert "runTimeout" in world.status()["message"]


def test_one_event_for_each_reason_after_thirty_seconds() -> None:
    world = World(task("each", forEach={"items": list(range(100))}), task("b"), maxActiveTasks=200)
    for index in range(100):
        world.created(f"each[{index}]", **FULL)
    world.wait(seconds=29)
    assert world.said("TaskWaiting") == []
    world.created("b", **IMAGE)
    world.wait(seconds=1)
    [event] = world.said("TaskWaiting")
    assert event == "each[0] has been waiting for 30s: Unschedulable: 0/1 nodes are available"
    world.wait(minutes=5)
    assert world.said("TaskWaiting") == [event, "b has been waiting for 30s: ImagePullBackOff: no such image"]
    assert {note.task for note in world.notes if note.reason == "TaskWaiting"} == {None}, "not counted as failed tries"


def test_none_for_a_finished_wait_in_time() -> None:
    world = World(task("a"), task("b"), task("c", retries={"limit": 1, "delay": "1s"}))
    for name in "abc":
        world.created(name, **IMAGE)
    world.running("a")
    world.succeed("b")
    world.refuse("c", retry=True)
    world.wait(minutes=5)
    assert world.said("TaskWaiting") == []


# Starts that come to nothing --------------------------------------------------------------------------------------


def test_a_start_of_which_no_one_hears_is_made_again() -> None:
    world = World(task("a"), task("b"), task("c"))
    world.created("b")
    world.postpone("c")
    world.wait(seconds=START_AGAIN.total_seconds() - 1)
    assert world.started() == ["a", "b", "c", "c"]
    world.created("c")
    world.wait(seconds=1)
    assert world.started() == ["a", "b", "c", "c", "a"]
    world.wait(seconds=START_AGAIN.total_seconds())
    assert world.started() == ["a", "b", "c", "c", "a", "a"]
    world.running("a")
    world.wait(hours=1)
    assert len(world.starts) == 6


def test_not_that_of_a_run_that_is_gone() -> None:
    world = World(task("a"))
    world.scheduler.remove_run(world.run.info.uid)
    world.wait(hours=1)
    assert world.started() == ["a"]


@pytest.mark.parametrize("mode", ["Poke", "Reschedule"])
def test_a_look_of_a_sensor_alike(mode: str) -> None:
    world = World(task("s", sensor={"mode": mode, "interval": "10s"}))
    world.running("s")
    world.fail("s")
    world.wait(seconds=10)
    assert [start.key.poke for start in world.starts] == [1, 2]
    world.wait(seconds=60)
    assert [start.key.poke for start in world.starts] == [1, 2, 2]
