"""A try that waits or runs for too long is asked to end, once; so is a run."""

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.engine.engine_world import START, World, run_info, task
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import TryEvent, TryReport
from tradewind.engine.status.explain import explain

pytestmark = pytest.mark.unit


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


# timeout: from the start of the container ---------------------------------------------------------------------------


def test_timeout_counts_from_the_start_of_the_container() -> None:
    world = World(task("a", timeout="60s"))
    world.created("a")
    world.now += seconds(50)
    world.running("a", started_at=START + seconds(40))
    assert world.last.wake_at == START + seconds(100)
    world.now = START + seconds(99)
    world.plan()
    assert world.stops == []
    world.wait(seconds=1)
    assert world.stops == [("a", 1, "Timeout")]
    assert world.state("a") is TaskState.RUNNING, "until its Pod says that it ended"


def test_a_stop_is_asked_for_once() -> None:
    world = World(task("a", timeout="60s"))
    world.running("a")
    for _ in range(5):
        world.wait(seconds=60)
    world.running("a")
    assert world.stops == [("a", 1, "Timeout")]


@pytest.mark.parametrize(
    ("event", "facts"),
    [
        (TryEvent.ENDED, {"exit_code": 137, "reason": "DeadlineExceeded"}),
        (TryEvent.ENDED, {"exit_code": 0, "reason": "DeadlineExceeded"}),
        (TryEvent.ENDED, {"exit_code": 143}),
        (TryEvent.ENDED, {"exit_code": 99}),
        (TryEvent.LOST, {"reason": "PodDeleted"}),
    ],
    ids=["deadline", "deadline with exit 0", "terminated", "skip exit code", "deleted"],
)
def test_however_a_stopped_try_ends_its_reason_is_the_stop(event: TryEvent, facts: dict[str, Any]) -> None:
    world = World(task("a", timeout="60s"))
    world.running("a", started_at=START)
    world.wait(seconds=60)
    world.tell("a", event, **facts)
    entry = world.entry("a")
    assert (entry["state"], entry["reason"], entry["message"]) == ("Failed", "Timeout", "ran longer than timeout (1m)")


def test_a_timeout_is_retried() -> None:
    world = World(task("a", timeout="60s", retries={"limit": 1, "delay": "10s"}))
    world.running("a", started_at=START)
    world.wait(seconds=60)
    world.lose("a", "PodDeleted")
    assert (world.state("a"), world.run["a"].lost) == (TaskState.UP_FOR_RETRY, 0)
    world.wait(seconds=10)
    assert world.started() == ["a", "a#2"]
    world.running("a", started_at=world.now)
    world.wait(seconds=60)
    assert world.stops == [("a", 1, "Timeout"), ("a", 2, "Timeout")]


def test_success_that_races_the_stop_is_success() -> None:
    world = World(task("a", timeout="60s"))
    world.running("a", started_at=START)
    world.wait(seconds=60)
    world.succeed("a", "1")
    assert (world.state("a"), world.run["a"].output) == (TaskState.SUCCEEDED, 1)


def test_the_timer_of_an_earlier_try_does_not_stop_a_later_one() -> None:
    world = World(task("a", timeout="60s", retries={"limit": 1, "delay": "1s"}))
    world.running("a", started_at=START)
    world.wait(seconds=30)
    world.fail("a")
    world.wait(seconds=1)
    world.running("a", started_at=world.now)
    world.wait(seconds=40)
    assert world.stops == []


def test_a_task_without_timeout_runs_for_as_long_as_it_takes() -> None:
    world = World(task("a"))
    world.running("a", started_at=START)
    world.wait(days=30)
    assert world.stops == []


# queuedTimeout: from the creation of the Pod ------------------------------------------------------------------------


def test_a_pod_that_never_starts_is_stopped_with_its_own_reason() -> None:
    world = World(task("a", queuedTimeout="2m"))
    world.created("a")
    world.created("a", reason="ImagePullBackOff", message='Back-off pulling image "nope"')
    assert world.entry("a")["reason"] == "ImagePullBackOff"
    world.wait(seconds=120)
    assert world.stops == [("a", 1, "ImagePullBackOff")]
    world.lose("a", "PodDeleted")
    entry = world.entry("a")
    assert (entry["state"], entry["reason"]) == ("Failed", "ImagePullBackOff")
    assert entry["message"] == 'did not start within queuedTimeout (2m): Back-off pulling image "nope"'


def test_ten_minutes_by_default_and_no_reason_known() -> None:
    world = World(task("a"))
    world.created("a")
    world.wait(seconds=599)
    assert world.stops == []
    world.wait(seconds=1)
    world.lose("a", "PodDeleted")
    entry = world.entry("a")
    assert entry["reason"] == "QueuedTimeout"
    assert entry["message"] == "did not start within queuedTimeout (10m): no reason is known"


def test_waiting_for_slots_is_not_being_queued() -> None:
    world = World(task("a"), task("b", queuedTimeout="1m"), maxActiveTasks=1)
    world.running("a")
    world.wait(hours=5)
    assert world.stops == []
    assert world.state("b") is TaskState.SCHEDULED


def test_a_reason_that_comes_and_goes() -> None:
    world = World(task("a"))
    world.created("a", reason="Unschedulable", message="0/3 nodes are available")
    assert world.entry("a")["message"] == "0/3 nodes are available"
    world.created("a")
    assert not {"reason", "message"} & world.entry("a").keys()
    world.created("a", reason="ErrImagePull", message="not found")
    world.running("a")
    assert not {"reason", "message"} & world.entry("a").keys()


# A stop is not in status, so what ended after its limit counts as stopped ---------------------------------------------


def test_after_a_restart_a_try_stopped_for_its_queued_timeout_is_not_a_lost_one() -> None:
    world = World(task("a", queuedTimeout="2m"))
    world.created("a", reason="Unschedulable", message="0/3 nodes are available")
    status = world.status()
    world.wait(seconds=120)
    assert world.stops == [("a", 1, "Unschedulable")]
    world.restart([TryReport("a", 1, TryEvent.LOST, reason="PodDeleted")], status)
    entry = world.entry("a")
    assert (entry["state"], entry["reason"]) == ("Failed", "Unschedulable")


@pytest.mark.parametrize(
    "last_words",
    [
        TryReport("a", 1, TryEvent.LOST, reason="PodDeleted", finished_at=START + seconds(61)),
        TryReport("a", 1, TryEvent.LOST, reason="PodDeleted"),
        TryReport("a", 1, TryEvent.ENDED, exit_code=137, reason="DeadlineExceeded", finished_at=START + seconds(60)),
    ],
    ids=["deleted", "deleted, no times", "deadline"],
)
def test_after_a_restart_a_try_stopped_for_its_timeout_is_not_a_lost_one(last_words: TryReport) -> None:
    world = World(task("a", timeout="60s"))
    world.running("a", started_at=START)
    status = world.status()
    world.wait(seconds=60)
    world.restart([last_words], status)
    assert (world.entry("a")["state"], world.entry("a")["reason"]) == ("Failed", "Timeout")


def test_what_was_lost_within_its_limit_is_lost_even_when_reported_late() -> None:
    world = World(task("a", timeout="60s"))
    world.running("a", started_at=START)
    status = world.status()
    world.now += timedelta(hours=1)
    lost = TryReport("a", 1, TryEvent.LOST, reason="Evicted", finished_at=START + seconds(30), exit_code=137)
    world.restart([lost], status)
    assert world.entry("a")["lost"] == 1


def test_an_own_exit_code_counts_whenever_it_is_heard_of() -> None:
    world = World(task("a", timeout="60s", failExitCodes=[7]))
    world.running("a", started_at=START)
    status = world.status()
    world.now += timedelta(hours=1)
    ended = TryReport("a", 1, TryEvent.ENDED, exit_code=7, finished_at=START + seconds(30))
    world.restart([ended], status)
    assert world.entry("a")["reason"] == "FailExitCode"


# runTimeout ---------------------------------------------------------------------------------------------------------


def test_a_run_that_takes_too_long_fails_and_its_rest_is_skipped() -> None:
    world = World(task("a"), task("b"), task("c", "a", "b"), maxActiveTasks=1, runTimeout="10m")
    world.running("a")
    assert world.last.wake_at == START + timedelta(minutes=10)
    world.wait(minutes=10)
    assert (world.phase(), world.run.reason) == ("Failed", "RunTimeout")
    assert world.run.message == "ran longer than runTimeout (10m)"
    assert world.states() == dict.fromkeys("abc", "Skipped")
    assert world.stops == [("a", 1, "RunTimeout")], "only what has a Pod"
    assert world.entry("c")["reason"] == "RunTimeout"
    assert world.scheduler.slots.active == 0


def test_what_had_finished_keeps_its_state() -> None:
    world = World(task("a"), task("b"), runTimeout="10m")
    world.succeed("a")
    world.wait(minutes=10)
    assert world.states() == {"a": "Succeeded", "b": "Skipped"}


def test_a_slot_that_was_granted_just_before_has_its_pod_stopped_too() -> None:
    world = World(task("a"), runTimeout="10m")
    assert world.started() == ["a"]
    world.wait(minutes=10)
    assert world.stops == [("a", 1, "RunTimeout")]


def test_a_run_that_ended_in_time_succeeds_though_it_is_heard_of_late() -> None:
    world = World(task("a"), task("b", "a", noop=True), runTimeout="10m")
    status = world.status()
    world.now += timedelta(hours=1)
    ended = TryReport("a", 1, TryEvent.ENDED, exit_code=0, finished_at=START + timedelta(minutes=5))
    world.restart([ended], status)
    assert world.phase() == "Succeeded"


def test_a_queued_run_has_all_its_time() -> None:
    world = World(task("a"), runTimeout="10m", maxActiveRuns=1)
    second = world.add(run_info("r2", logical_date=START + timedelta(days=1)))
    world.wait(minutes=9)
    world.succeed("a")
    assert second.started_at == START + timedelta(minutes=9)
    world.wait(minutes=9)
    assert second.phase.value == "Running"
    world.wait(minutes=1)
    assert second.phase.value == "Failed"


def test_reports_after_the_end_of_the_run_change_nothing() -> None:
    world = World(task("a"), runTimeout="10m")
    world.running("a")
    world.wait(minutes=10)
    status = world.status()
    world.succeed("a")
    assert world.status() == status


# While a try is being stopped ---------------------------------------------------------------------------------------


def test_a_try_that_is_being_stopped_says_so() -> None:
    world = World(task("a", timeout="5s"))
    world.running("a", started_at=START)
    world.wait(seconds=5)
    entry = world.entry("a")
    why = "stopping since 2026-03-01T12:00:05Z, grace period 30s: ran longer than timeout (5s)"
    assert (entry["state"], entry["reason"], entry["message"]) == ("Running", "Timeout", why)
    assert [reason.message for reason in explain(world.run, world.run.node("a"), None)] == [
        f"try 1 is Running: Timeout: {why}"
    ]
    world.wait(seconds=10)
    world.restart([TryReport("a", 1, TryEvent.RUNNING, started_at=START)])
    assert world.entry("a")["message"] == why, "also of the next leader's: since when does not change"
    world.wait(seconds=20)
    world.fail("a", 137)
    entry = world.entry("a")
    assert (entry["reason"], entry["message"]) == ("Timeout", "ran longer than timeout (5s); stopping took 30s")


@pytest.mark.parametrize("of", ["task", "Dag"])
def test_the_grace_period_is_that_of_the_pod(of: str) -> None:
    template: dict[str, Any] = {"podTemplate": {"spec": {"terminationGracePeriodSeconds": 90}}}
    world = World(task("a", timeout="5s", **(template if of == "task" else {})), **(template if of == "Dag" else {}))
    world.running("a", started_at=START)
    world.wait(seconds=5)
    assert "grace period 90s" in world.entry("a")["message"]


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("fail_fast", [False, True])
def test_a_task_that_is_being_stopped_by_its_timeout_when_its_run_has_had_its_time_has_failed(
    restart: bool, fail_fast: bool
) -> None:
    tasks = (task("a", timeout="5s", retries={"limit": 3}), task("b", timeout="1h"), task("c", "a"))
    world = World(*tasks, runTimeout="20s", failFast=fail_fast)
    world.running("a", started_at=START)
    world.running("b", started_at=START)
    world.wait(seconds=5)
    if restart:
        world.restart([TryReport(name, 1, TryEvent.RUNNING, started_at=START) for name in "ab"])
    world.wait(seconds=15)
    assert (world.phase(), world.run.reason) == ("Failed", "RunTimeout")
    ends = {entry["name"]: (entry["state"], entry.get("reason")) for entry in world.status()["tasks"]}
    assert ends == {"a": ("Failed", "Timeout"), "b": ("Skipped", "RunTimeout"), "c": ("Skipped", "RunTimeout")}
    assert world.status()["done"] == "3/3"


@pytest.mark.parametrize(("soft", "end"), [(False, TaskState.FAILED), (True, TaskState.SKIPPED)])
def test_a_look_that_is_being_stopped_when_its_run_ends_has_timed_out(soft: bool, end: TaskState) -> None:
    sensor = {"mode": "Poke", "interval": "1s", "timeout": "5s", "softFail": soft}
    world = World(task("a", sensor=sensor), runTimeout="20s")
    world.running("a", started_at=START)
    world.wait(seconds=5)
    world.wait(seconds=15)
    assert (world.state("a"), world.entry("a")["reason"]) == (end, "SensorTimeout")
