"""Number and delay of retries of a failed task."""

from datetime import timedelta
from itertools import pairwise

import pytest

from tests.unit.engine.engine_world import START, World, task
from tradewind.api.resolve import RetryPolicy
from tradewind.engine.rules.retries import retry_delay
from tradewind.engine.run.states import TaskState

pytestmark = pytest.mark.unit

DAY = timedelta(hours=24)


def test_without_retries_a_failure_is_final() -> None:
    world = World(task("a"))
    world.running("a", started_at=START)
    world.fail("a", 3, message="last words")
    entry = world.entry("a")
    assert (entry["state"], entry["try"], entry["exitCode"]) == ("Failed", 1, 3)
    assert (entry["reason"], entry["message"]) == ("Error", "last words")
    assert "tries" not in entry
    assert world.phase() == "Failed"
    assert world.run.message == "failed: a"


def test_limit_plus_one_tries() -> None:
    world = World(task("a", retries={"limit": 2, "delay": "10s"}))
    for number in (1, 2):
        world.fail("a")
        assert world.state("a") is TaskState.UP_FOR_RETRY
        assert world.run["a"].number == number
        world.wait(seconds=10)
    world.fail("a")
    assert world.started() == ["a", "a#2", "a#3"]
    assert world.state("a") is TaskState.FAILED


def test_the_number_goes_up_when_a_try_is_scheduled() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "10s"}))
    world.fail("a")
    world.wait(seconds=9)
    assert (world.state("a"), world.run["a"].number) == (TaskState.UP_FOR_RETRY, 1)
    world.wait(seconds=1)
    assert (world.state("a"), world.run["a"].number) == (TaskState.SCHEDULED, 2)


def test_the_delay_counts_from_the_end_of_the_try() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "1m"}))
    world.now += timedelta(seconds=90)
    world.fail("a", finished_at=START + timedelta(seconds=40))
    assert world.entry("a")["retryAt"] == "2026-03-01T12:01:40Z"
    assert world.last.wake_at == START + timedelta(seconds=100)


def test_a_retry_that_is_overdue_starts_at_once() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "1m"}))
    world.now += timedelta(hours=1)
    world.fail("a", finished_at=START)
    assert world.started() == ["a", "a#2"]


def test_the_default_delay_is_five_minutes() -> None:
    world = World(task("a", retries={"limit": 1}))
    world.fail("a")
    assert world.last.wake_at == START + timedelta(minutes=5)


def test_a_zero_delay_retries_in_the_same_plan() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "0s"}))
    assert [start.key.number for start in world.fail("a").starts] == [2]


def test_earlier_tries_are_kept() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "10s"}))
    world.running("a", started_at=START)
    world.now += timedelta(seconds=5)
    world.fail("a", 7, message="no luck", finished_at=world.now)
    world.wait(seconds=10)
    world.succeed("a")
    assert world.entry("a")["tries"] == [
        {
            "number": 1,
            "state": "Failed",
            "reason": "Error",
            "message": "no luck",
            "exitCode": 7,
            "startedAt": "2026-03-01T12:00:00Z",
            "finishedAt": "2026-03-01T12:00:05Z",
        }
    ]
    assert world.entry("a")["try"] == 2
    assert not {"reason", "message", "exitCode"} & (world.entry("a").keys() - {"exitCode"})


def test_what_a_failed_try_left_is_not_shown_on_the_next() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "10s"}))
    world.running("a", started_at=START)
    world.fail("a", 7, message="no luck")
    world.wait(seconds=10)
    world.created("a")
    entry = world.entry("a")
    assert entry["state"] == "Queued"
    assert not {"reason", "message", "exitCode", "startedAt", "finishedAt", "retryAt"} & entry.keys()


def test_fail_exit_codes_are_final_whatever_the_retries() -> None:
    world = World(task("a", retries={"limit": 5}, failExitCodes=[2, 64]))
    world.fail("a", 64, message="bad input")
    entry = world.entry("a")
    assert (entry["state"], entry["reason"], entry["message"]) == ("Failed", "FailExitCode", "bad input")


def test_other_exit_codes_are_retried() -> None:
    world = World(task("a", retries={"limit": 5}, failExitCodes=[2, 64]))
    world.fail("a", 1)
    assert world.state("a") is TaskState.UP_FOR_RETRY
    assert world.entry("a")["message"] == "exit code 1"


@pytest.mark.parametrize(("codes", "exit_code"), [(None, 99), ([3, 4], 4)])
def test_skip_exit_codes_skip_without_retry(codes: list[int] | None, exit_code: int) -> None:
    world = World(task("a", retries={"limit": 5}, **({"skipExitCodes": codes} if codes else {})))
    world.fail("a", exit_code)
    entry = world.entry("a")
    assert (entry["state"], entry["reason"], entry["exitCode"]) == ("Skipped", "SkipExitCode", exit_code)
    assert world.phase() == "Succeeded"


def test_own_skip_exit_codes_take_the_place_of_the_default() -> None:
    world = World(task("a", skipExitCodes=[]), task("b", skipExitCodes=[3]))
    world.fail("a", 99)
    world.fail("b", 99)
    assert world.states() == {"a": "Failed", "b": "Failed"}


def test_a_pod_that_can_never_be_made_is_not_retried() -> None:
    world = World(task("a", retries={"limit": 5}))
    world.refuse("a", "InvalidTemplate", message="args[0]: undefined value")
    entry = world.entry("a")
    assert (entry["state"], entry["reason"]) == ("Failed", "InvalidTemplate")
    assert entry["message"] == "args[0]: undefined value"


# The delay itself ---------------------------------------------------------------------------------------------------


def test_without_backoff_the_delay_is_the_same_each_time() -> None:
    policy = RetryPolicy(limit=9, delay=timedelta(seconds=30))
    assert {retry_delay(policy, "x", failures) for failures in range(1, 10)} == {timedelta(seconds=30)}


@pytest.mark.parametrize("failures", range(1, 12))
@pytest.mark.parametrize(("delay", "factor"), [(30, 2.0), (7, 1.5), (1, 3.0), (60, 1.0), (0.5, 2.0)])
def test_backoff_lies_between_base_and_twice_base(delay: float, factor: float, failures: int) -> None:
    policy = RetryPolicy(limit=20, delay=timedelta(seconds=delay), backoff=factor)
    base = -int(-(delay * factor ** (failures - 1)) // 1)
    for identity in ("uid/a", "uid/b", "other/a"):
        waited = retry_delay(policy, identity, failures).total_seconds()
        assert min(base, DAY.total_seconds()) <= waited <= DAY.total_seconds()
        assert waited < 2 * base or base >= DAY.total_seconds()


def test_backoff_is_the_same_after_a_restart_and_differs_between_tasks() -> None:
    policy = RetryPolicy(limit=9, delay=timedelta(seconds=30), backoff=2)
    assert retry_delay(policy, "uid/a", 2) == retry_delay(policy, "uid/a", 2)
    delays = {retry_delay(policy, f"uid/{name}", 2) for name in range(100)}
    assert len(delays) == 100
    spread = max(delays) - min(delays)
    assert spread > timedelta(seconds=50), "jitter fills [60s, 120s)"


def test_backoff_is_capped() -> None:
    policy = RetryPolicy(limit=9, delay=timedelta(seconds=30), backoff=2, max_delay=timedelta(seconds=100))
    assert retry_delay(policy, "x", 1) < timedelta(seconds=60)
    assert {retry_delay(policy, "x", failures) for failures in (3, 4, 50)} == {timedelta(seconds=100)}


def test_backoff_never_overflows() -> None:
    policy = RetryPolicy(limit=1000, delay=DAY, backoff=100)
    assert retry_delay(policy, "x", 1001) == DAY


def test_delays_grow_from_try_to_try() -> None:
    world = World(task("a", retries={"limit": 5, "delay": "10s", "backoff": 4}))
    waits = []
    for _ in range(5):
        world.fail("a")
        assert world.last.wake_at is not None
        waits.append(world.last.wake_at - world.now)
        world.wait(seconds=waits[-1].total_seconds())
    assert all(later > earlier for earlier, later in pairwise(waits))
    assert timedelta(seconds=10) <= waits[0] < timedelta(seconds=20)


def test_each_failure_that_is_retried_is_reported() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "90s"}))
    world.fail("a", 3, message="no luck")
    assert world.said("TryFailed") == ["try 1 failed (Error: no luck); the next is due in 1m30s"]
    world.wait(seconds=90)
    world.fail("a")
    assert world.said("TaskFailed") == ["failed after try 2: Error: exit code 1"]
