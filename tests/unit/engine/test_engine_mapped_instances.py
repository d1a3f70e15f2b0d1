"""Mapped tasks: each instance has tries, limits and Pods of its own."""

import pytest

from tests.unit.engine.engine_world import START, World, run_info, task
from tradewind.engine.run.known_tries import has_result
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import TryEvent, TryReport
from tradewind.engine.transitions.endings import fail

pytestmark = pytest.mark.unit

ABC = {"items": ["a", "b", "c"]}


# Each instance by itself ----------------------------------------------------------------------------------------------


def test_an_instance_is_retried_by_itself() -> None:
    world = World(task("each", forEach=ABC, retries={"limit": 1, "delay": "30s"}), task("after", "each"))
    world.succeed("each[0]", "0")
    world.fail("each[1]", 3, message="no luck")
    world.succeed("each[2]", "2")
    assert world.entry("each")["indexes"] == {"Succeeded": "0,2", "UpForRetry": "1"}
    assert world.entry("each")["dueAt"] == {"2026-03-01T12:00:30Z": "1"}
    assert world.entry("each")["state"] == "UpForRetry"
    world.wait(seconds=30)
    assert world.started() == ["each[0]", "each[1]", "each[2]", "each[1]#2"]
    world.succeed("each[1]", "1")
    assert world.entry("each")["numbers"] == {"2": "1"}
    assert world.run.outputs["each"] == {"output": [0, 1, 2]}
    assert world.state("after") is TaskState.SCHEDULED


def test_an_instance_that_fails_for_good() -> None:
    world = World(task("each", forEach=ABC, retries={"limit": 1, "delay": "1s"}), task("after", "each"))
    world.succeed_instances("each")
    world = World(task("each", forEach=ABC, retries={"limit": 1, "delay": "1s"}), task("after", "each"))
    world.fail("each[1]", 3)
    world.wait(seconds=1)
    world.fail("each[1]", 4, message="no luck")
    assert world.state("after") is TaskState.UPSTREAM_FAILED
    assert world.phase() == "Running", "the others continue"
    world.succeed("each[0]")
    world.succeed("each[2]")
    assert world.phase() == "Failed"
    assert world.run.message == "failed: each (1 of 3)"
    entry = world.entry("each")
    assert (entry["state"], entry["message"]) == ("Failed", "1 of 3 failed")
    (detail,) = entry["instances"]
    assert (detail["index"], detail["state"], detail["try"], detail["exitCode"]) == (1, "Failed", 2, 4)
    assert detail["message"] == "no luck"
    assert [past["exitCode"] for past in detail["tries"]] == [3]
    assert world.said("TaskFailed") == ["failed after try 2: Error: no luck"]


def test_lost_tries_are_counted_by_instance() -> None:
    world = World(task("each", forEach=ABC, retries={"limit": 0, "onLost": 1}))
    world.lose("each[2]")
    assert world.started()[3:] == ["each[2]#2"]
    assert world.entry("each")["lostTries"] == {"1": "2"}
    world.lose("each[2]")
    assert world.state("each[2]") is TaskState.FAILED
    world.lose("each[0]")
    assert world.state("each[0]") is TaskState.SCHEDULED


def test_timeouts_are_counted_by_instance() -> None:
    world = World(task("each", forEach=ABC, timeout="60s", queuedTimeout="30s"))
    world.running("each[0]", started_at=START)
    world.created("each[1]")
    world.wait(seconds=30)
    assert world.stops == [("each[1]", 1, "QueuedTimeout")]
    world.created("each[2]")
    world.wait(seconds=30)
    assert world.stops == [("each[1]", 1, "QueuedTimeout"), ("each[0]", 1, "Timeout"), ("each[2]", 1, "QueuedTimeout")]
    world.fail("each[0]", 137, reason="DeadlineExceeded")
    assert world.entry("each")["instances"][0]["reason"] == "Timeout"


@pytest.mark.parametrize("exit_code", [99, 3])
def test_an_instance_may_skip_itself(exit_code: int) -> None:
    world = World(task("each", forEach=ABC, skipExitCodes=[99, 3]), task("after", "each", triggerRule="NoneFailed"))
    world.fail("each[0]", exit_code)
    world.succeed("each[1]", "1")
    world.succeed("each[2]")
    assert world.entry("each")["indexes"] == {"Skipped": "0", "Succeeded": "1-2"}
    assert world.entry("each")["state"] == "Succeeded"
    assert world.state("after") is TaskState.SCHEDULED


def test_a_try_that_is_refused() -> None:
    world = World(task("each", forEach=ABC, retries={"limit": 5}))
    world.refuse("each[1]", message="no such field")
    assert world.state("each[1]") is TaskState.FAILED


def test_a_try_that_is_postponed_keeps_no_one_else_waiting() -> None:
    world = World(task("each", forEach=ABC), maxActiveTasks=1)
    world.postpone("each[0]")
    assert world.started() == ["each[0]", "each[1]"]
    world.succeed("each[1]")
    world.wait(seconds=2)
    world.succeed("each[2]")
    assert world.started() == ["each[0]", "each[1]", "each[2]", "each[0]"]


# Limits ---------------------------------------------------------------------------------------------------------------


def test_slots_go_by_index() -> None:
    world = World(task("each", forEach={"items": list(range(10))}), maxActiveTasks=3)
    assert world.started() == ["each[0]", "each[1]", "each[2]"]
    assert world.entry("each")["message"] == "waiting for maxActiveTasks of the Dag (3)"
    world.succeed("each[1]")
    assert world.started()[3:] == ["each[3]"]
    assert world.entry("each")["indexes"] == {"Scheduled": "0,2-9", "Succeeded": "1"}


def test_max_active_per_run() -> None:
    world = World(task("each", forEach={"items": list(range(6))}, maxActivePerRun=2), task("other"))
    assert sorted(world.started()) == ["each[0]", "each[1]", "other"]
    other = world.add(run_info("r2"))
    assert other.node("each").active == 2, "another run has its own"
    world.succeed("each[0]")
    assert world.run.node("each").active == 2
    assert world.entry("each")["message"] == "waiting for maxActivePerRun of the task (2)"


def test_max_active_per_dag() -> None:
    world = World(task("each", forEach={"items": list(range(6))}, maxActivePerDag=3))
    world.add(run_info("r2"))
    assert len(world.starts) == 3


def test_pools() -> None:
    world = World(task("each", forEach={"items": list(range(6))}, pool="p", poolSlots=2), task("other"))
    world.scheduler.set_pool("ns", "p", 5)
    world.plan()
    assert sorted(world.started()) == ["each[0]", "each[1]", "other"]
    assert world.scheduler.slots.used == {("ns", "p"): 4, ("ns", "default"): 1}
    world.fail("each[0]")
    assert world.started()[-1] == "each[2]"


# The end of the run ---------------------------------------------------------------------------------------------------


def test_fail_fast() -> None:
    world = World(
        task("each", forEach={"items": list(range(5))}), task("after", "each"), maxActiveTasks=3, failFast=True
    )
    world.succeed("each[0]")
    world.running("each[2]")
    world.fail("each[1]")
    assert world.counted("each") == {"Succeeded": 1, "Failed": 1, "Skipped": 3}
    assert world.stops == [("each[2]", 1, "FailFast"), ("each[3]", 1, "FailFast")]
    assert (world.phase(), world.run.reason) == ("Failed", "FailFast")
    assert world.run.message == "each[1] failed: failFast stops the run"
    assert world.scheduler.slots.active == 0


@pytest.mark.parametrize("how", ["runTimeout", "stop"])
def test_the_run_is_ended(how: str) -> None:
    retries = {"limit": 1, "delay": "2h"}
    world = World(task("each", forEach={"items": list(range(6))}, retries=retries), maxActiveTasks=3, runTimeout="1h")
    world.succeed("each[0]")
    world.fail("each[1]")
    world.running("each[2]")
    if how == "stop":
        fail(world.run, "Stopped", "as asked", world.now)
        world.tell("each[2]", TryEvent.RUNNING)
    else:
        world.wait(hours=1)
    assert world.counted("each") == {"Succeeded": 1, "Skipped": 5}
    assert [stop[0] for stop in world.stops] == ["each[2]", "each[3]", "each[4]"]
    assert world.phase() == "Failed"
    assert world.status()["done"] == "6/6"
    assert world.scheduler.slots.active == 0


def test_a_mapped_task_that_never_began_is_skipped_as_one() -> None:
    world = World(task("first"), task("each", "first", forEach=ABC), runTimeout="1h")
    world.wait(hours=1)
    assert world.states() == {"first": "Skipped", "each": "Skipped"}


def test_a_leaf_of_which_one_instance_failed_fails_the_run() -> None:
    world = World(task("each", forEach=ABC), task("other"))
    world.succeed("other")
    for index, end in enumerate(["succeed", "skip", "fail"]):
        getattr(world, end)(f"each[{index}]")
    assert world.phase() == "Failed"


# noop, sensors, waits -------------------------------------------------------------------------------------------------


def test_noops_have_instances_too() -> None:
    world = World(task("each", forEach=ABC, noop=True), task("after", "each", noop=True))
    assert world.counted("each") == {"Succeeded": 3}
    assert world.status()["done"] == "4/4"
    assert "numbers" not in world.entry("each")


@pytest.mark.parametrize("mode", ["Poke", "Reschedule"])
def test_each_instance_of_a_sensor_looks_by_itself(mode: str) -> None:
    sensor = {"mode": mode, "interval": "10s", "timeout": "25s"}
    world = World(task("each", forEach={"items": [1, 2]}, sensor=sensor), task("after", "each"), maxActiveTasks=2)
    world.running("each[0]", started_at=START)
    world.running("each[1]", started_at=START)
    world.fail("each[0]")
    world.succeed("each[1]", '"there"')
    assert world.run.active == (1 if mode == "Poke" else 0)
    world.wait(seconds=10)
    assert world.entry("each")["pokeNumbers"] == {"2": "0"}
    world.fail("each[0]")
    world.wait(seconds=15)
    assert world.state("each[0]") is TaskState.FAILED
    assert world.entry("each")["instances"][0]["reason"] == "SensorTimeout"
    assert world.state("after") is TaskState.UPSTREAM_FAILED


def test_each_instance_of_a_wait_waits_by_itself() -> None:
    waits = {"waitFor": {"time": "{{ item }}"}, "forEach": {"items": ["2026-03-01T12:00:05Z", "2026-03-01T12:00:09Z"]}}
    world = World({"name": "each", **waits}, task("after", "each"))
    world.wait(seconds=5)
    assert world.entry("each")["indexes"] == {"Succeeded": "0", "UpForReschedule": "1"}
    world.wait(seconds=4)
    assert world.started() == ["after"]


# Reports --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [None, 3, -1])
def test_reports_on_instances_that_there_are_not_are_ignored(index: int | None) -> None:
    world = World(task("each", forEach=ABC))
    before = world.status()
    world.scheduler.report("r1", TryReport("each", 1, TryEvent.ENDED, exit_code=0, index=index), world.now)
    world.plan()
    assert world.status() == before
    assert not world.run.early


def test_reports_on_instances_of_a_task_that_has_none_are_forgotten() -> None:
    world = World(task("first"), task("each", forEach={"output": "first"}))
    world.scheduler.report("r1", TryReport("each", 1, TryEvent.RUNNING, index=2), world.now)
    world.plan()
    assert world.run.early
    world.succeed("first", "[1]")
    assert not world.run.early


def test_pods_of_instances_that_status_does_not_know_are_taken_over() -> None:
    world = World(task("first"), task("each", forEach={"output": "first"}, retries={"limit": 2, "delay": "1h"}))
    status = world.status()
    ended = TryReport("first", 1, TryEvent.ENDED, exit_code=0, output="[1, 2, 3]", finished_at=START)
    reports = [
        TryReport("each", 1, TryEvent.ENDED, exit_code=0, index=0, finished_at=START, output='"done"'),
        TryReport("each", 2, TryEvent.RUNNING, index=1, started_at=START),
        ended,
    ]
    world.starts.clear()
    world.restart(reports, status)
    assert world.entry("each")["indexes"] == {"Running": "1", "Scheduled": "2", "Succeeded": "0"}
    assert world.entry("each")["numbers"] == {"2": "1"}
    assert world.started() == ["each[2]"]


def test_a_later_try_than_status_has_shows_that_the_earlier_one_is_finished() -> None:
    """An instance that waits for slots by status is not made a second time."""
    world = World(task("each", forEach={"items": [1, 2]}, retries={"limit": 2, "delay": "1h"}), maxActiveTasks=1)
    status = world.status()
    assert status["tasks"][0]["indexes"] == {"Scheduled": "0-1"}
    world.starts.clear()
    world.restart([TryReport("each", 2, TryEvent.RUNNING, index=1, started_at=START)], status)
    assert world.started() == []
    assert world.entry("each")["indexes"] == {"Running": "1", "Scheduled": "0"}
    assert [detail["tries"][0]["state"] for detail in world.entry("each")["instances"][1:]] == ["Lost"]


def test_a_protected_pod_is_kept_until_its_instance_is_known() -> None:
    world = World(task("first"), task("each", forEach={"output": "first"}))
    early = TryReport("each", 1, TryEvent.ENDED, exit_code=0, index=0)
    world.scheduler.report("r1", early, world.now)
    world.plan()
    assert not has_result(world.run, early.key)
    world.succeed("first", "[1]")
    assert has_result(world.run, early.key)


def test_the_pods_of_a_sensor_that_has_finished_are_released() -> None:
    world = World(task("each", forEach={"items": [1]}, sensor={"interval": "10s"}))
    world.fail("each[0]")
    world.wait(seconds=10)
    instance = world.run.instance("each", 0)
    assert instance is not None
    key = instance.key
    world.succeed("each[0]")
    assert has_result(world.run, key)
