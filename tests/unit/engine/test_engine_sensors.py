"""sensor: poke after poke, in both modes; and waitFor a time."""

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.engine.asked import ask
from tests.unit.engine.engine_world import START, World, task
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import TryEvent, TryReport

pytestmark = pytest.mark.unit

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "name": "ready", "jsonPath": "{.data.ready}", "value": "yes"}
MINUTE = timedelta(minutes=1)


def sensor(mode: str = "Reschedule", **fields: Any) -> dict[str, Any]:
    own = {"mode": mode, "interval": "1m", "timeout": "10m", **fields.pop("sensor", {})}
    return task("s", sensor=own, **fields)


def pokes(world: World) -> list[int]:
    return [start.key.poke for start in world.starts if start.key.task == "s"]


def not_yet(world: World, code: int = 1) -> None:
    """One poke, from its Pod to its answer."""
    world.running("s", started_at=world.now)
    world.fail("s", code)


def test_a_rescheduled_sensor_frees_its_slots_between_pokes() -> None:
    world = World(sensor(), task("other"), maxActiveTasks=1)
    assert pokes(world) == [1]
    not_yet(world)
    assert (world.state("s"), world.started()) == (TaskState.UP_FOR_RESCHEDULE, ["s", "other"])
    assert world.last.wake_at == START + MINUTE
    world.wait(minutes=1)
    assert world.state("s") is TaskState.SCHEDULED, "the other has the slot"
    world.running("other")
    world.succeed("other")
    assert pokes(world) == [1, 2]
    world.running("s")
    world.succeed("s", output='{"rows": 3}')
    assert (world.phase(), world.run["s"].number, world.run["s"].output) == ("Succeeded", 1, {"rows": 3})


def test_a_poking_sensor_keeps_its_slots_and_stays_running() -> None:
    world = World(sensor("Poke"), task("other"), maxActiveTasks=1)
    not_yet(world)
    assert (world.state("s"), world.started(), world.run.active) == (TaskState.RUNNING, ["s"], 1)
    world.wait(seconds=59)
    assert pokes(world) == [1]
    world.wait(seconds=1)
    assert pokes(world) == [1, 2]
    world.created("s")
    world.running("s", started_at=world.now)
    assert world.state("s") is TaskState.RUNNING
    world.succeed("s")
    assert world.started() == ["s", "s", "other"]


@pytest.mark.parametrize("mode", ["Poke", "Reschedule"])
def test_the_interval_counts_from_the_end_of_a_poke(mode: str) -> None:
    world = World(sensor(mode))
    world.running("s", started_at=world.now)
    world.wait(seconds=30)
    world.fail("s")
    assert world.entry("s")["nextPokeAt"] == "2026-03-01T12:01:30Z"
    assert world.entry("s")["message"] == "poke 1: not yet"


@pytest.mark.parametrize("mode", ["Poke", "Reschedule"])
@pytest.mark.parametrize(("soft", "end"), [(False, TaskState.FAILED), (True, TaskState.SKIPPED)])
def test_the_timeout_counts_from_the_first_poke(mode: str, soft: bool, end: TaskState) -> None:
    world = World(sensor(mode, sensor={"softFail": soft, "interval": "4m"}, retries={"limit": 5, "delay": "1s"}))
    world.created("s")
    world.wait(minutes=3)  # not started yet: this time does not count
    for _ in range(3):
        world.running("s", started_at=world.now)
        world.wait(seconds=5)
        world.fail("s")
        world.wait(minutes=4)
    # The deadline came between two pokes, not at the end of the next.
    assert (world.state("s"), world.run["s"].number) == (end, 1), "no retry"
    assert world.entry("s")["reason"] == "SensorTimeout"
    assert "was not met within the sensor's timeout (10m)" in world.entry("s")["message"]
    assert pokes(world) == [1, 2, 3]
    assert world.run["s"].finished_at == START + 3 * MINUTE + 10 * MINUTE or world.run["s"].finished_at == world.now


def test_a_poke_that_hangs_is_stopped_at_the_timeout() -> None:
    world = World(sensor())
    world.running("s", started_at=world.now)
    world.wait(minutes=10)
    assert world.stops == [("s", 1, "SensorTimeout")]
    world.fail("s", 143)
    assert (world.state("s"), world.entry("s")["reason"]) == (TaskState.FAILED, "SensorTimeout")


def test_a_poke_that_ends_well_at_the_last_moment_counts() -> None:
    world = World(sensor())
    world.running("s", started_at=world.now)
    world.wait(minutes=10)
    world.succeed("s")
    assert world.state("s") is TaskState.SUCCEEDED


def test_with_a_retry_exit_code_any_other_failure_is_a_failure() -> None:
    world = World(sensor(sensor={"retryExitCode": 75}, retries={"limit": 1, "delay": "1s"}))
    not_yet(world, 75)
    assert world.state("s") is TaskState.UP_FOR_RESCHEDULE
    world.wait(minutes=1)
    world.running("s")
    world.fail("s", 1)
    assert (world.state("s"), world.run["s"].number) == (TaskState.UP_FOR_RETRY, 1)
    world.wait(seconds=1)
    assert [(start.key.number, start.key.poke) for start in world.starts] == [(1, 1), (1, 2), (2, 3)]


def test_what_is_no_answer_is_a_failure() -> None:
    world = World(sensor())
    world.running("s")
    world.fail("s", 137, reason="OOMKilled")
    assert (world.state("s"), world.entry("s")["reason"]) == (TaskState.FAILED, "OOMKilled")


def test_exit_codes_that_mean_something_keep_their_meaning() -> None:
    world = World(sensor())
    not_yet(world, 99)
    assert world.state("s") is TaskState.SKIPPED
    world = World(sensor(failExitCodes=[3]))
    not_yet(world, 3)
    assert world.state("s") is TaskState.FAILED


def test_a_lost_poke_is_made_again_and_uses_up_nothing() -> None:
    world = World(sensor(retries={"onLost": 0}))
    world.running("s")
    world.lose("s")
    assert (world.state("s"), world.run["s"].lost) == (TaskState.UP_FOR_RESCHEDULE, 0)
    world.wait(minutes=1)
    assert pokes(world) == [1, 2]


@pytest.mark.parametrize("mode", ["Poke", "Reschedule"])
def test_a_lost_poke_of_which_the_next_leader_has_seen_that_it_succeeded(mode: str) -> None:
    world = World(sensor(mode), task("next", dependsOn=["s"]))
    world.running("s")
    world.lose("s")
    seen = TryReport("s", 1, TryEvent.ENDED, exit_code=0, finished_at=world.now, poke=1)
    world.restart([seen])
    assert world.state("s") is TaskState.SUCCEEDED
    assert world.started() == ["s", "next"]
    world.wait(minutes=5)
    assert pokes(world) == [1]


@pytest.mark.parametrize("mode", ["Poke", "Reschedule"])
def test_a_restart_between_two_pokes(mode: str) -> None:
    world = World(sensor(mode))
    not_yet(world)
    world.restart()
    assert world.run.active == (1 if mode == "Poke" else 0)
    assert not world.run.missing([]), "there is no Pod between two pokes"
    world.wait(seconds=59)
    assert pokes(world) == [1]
    world.wait(seconds=1)
    assert pokes(world) == [1, 2]
    world.running("s", started_at=world.now)
    world.wait(minutes=9)
    assert world.stops == [("s", 1, "SensorTimeout")], "the first poke is remembered"


@pytest.mark.parametrize("mode", ["Poke", "Reschedule"])
def test_a_restart_that_was_not_notified_of_a_poke(mode: str) -> None:
    world = World(sensor(mode))
    not_yet(world)
    status = world.status()
    world.wait(minutes=1)
    world.running("s", started_at=world.now)
    known = world.run.instance("s", None)
    assert known is not None and known.pokes == 2
    report = TryReport("s", 1, TryEvent.RUNNING, started_at=world.now, poke=2)
    world.restart([report], status)
    assert (world.state("s"), world.run["s"].pokes, world.run.active) == (TaskState.RUNNING, 2, 1)
    assert pokes(world) == [1, 2], "and it is not made twice"
    world.succeed("s")
    assert world.phase() == "Succeeded"


@pytest.mark.parametrize("status", [None, {}], ids=["seen", "before the first status"])
def test_a_poke_that_ended_before_anybody_saw_it_start(status: dict[str, Any] | None) -> None:
    world = World(sensor("Poke"))
    world.starts.clear()
    reported = TryReport("s", 1, TryEvent.ENDED, exit_code=1, finished_at=world.now, poke=1)
    world.restart([reported], status)
    world.wait(seconds=1)
    assert (world.state("s"), world.run.active, world.starts) == (TaskState.RUNNING, 1, [])
    world.restart()
    world.wait(minutes=1)
    assert pokes(world) == [2]
    assert world.phase() == "Running"
    world.succeed("s")
    assert world.phase() == "Succeeded"


def test_late_reports_on_an_earlier_poke_change_nothing() -> None:
    world = World(sensor())
    not_yet(world)
    world.wait(minutes=1)
    world.tell("s", TryEvent.ENDED, 1, exit_code=0, poke=1)
    assert world.state("s") is TaskState.SCHEDULED
    world.running("s")
    world.tell("s", TryEvent.ENDED, 1, exit_code=1, poke=1)
    assert world.state("s") is TaskState.RUNNING


def test_a_poke_whose_pod_cannot_be_made_is_tried_again() -> None:
    world = World(sensor("Poke"))
    not_yet(world)
    world.wait(minutes=1)
    world.postpone("s")
    assert (world.state("s"), world.entry("s")["reason"]) == (TaskState.RUNNING, "QuotaExceeded")
    world.wait(seconds=2)
    assert pokes(world) == [1, 2, 2]


def test_wait_for_a_time_needs_no_pod() -> None:
    world = World(_waiting({"duration": "2h"}), task("after", "w"))
    assert (world.state("w"), world.started(), world.run.active) == (TaskState.UP_FOR_RESCHEDULE, [], 0)
    assert world.last.wake_at == START + timedelta(hours=2)
    world.restart()
    world.wait(hours=2)
    assert (world.state("w"), world.started()) == (TaskState.SUCCEEDED, ["after"])


def test_wait_for_a_time_in_a_template() -> None:
    world = World(_waiting({"time": "{{ ds }}T13:00:00+00:00"}))
    world.wait(minutes=59)
    assert world.state("w") is TaskState.UP_FOR_RESCHEDULE
    world.wait(minutes=1)
    assert world.phase() == "Succeeded"


def test_a_time_that_has_passed_needs_no_waiting() -> None:
    assert World(_waiting({"duration": "2h"}), startDate="2020-01-01T00:00:00Z").last.wake_at is not None
    assert World(_waiting({"time": "2026-03-01T11:00:00Z"})).phase() == "Succeeded"


def test_a_time_that_is_none_fails_the_task() -> None:
    world = World(_waiting({"time": "{{ run.name }}"}))
    assert (world.phase(), world.entry("w")["reason"]) == ("Failed", "InvalidTemplate")
    assert "'r1'" in world.entry("w")["message"]


def test_waiting_for_something_outside_is_requested_once_and_reported() -> None:
    world = World(_waiting({"dagRun": {"dag": "other"}}), task("after", "w"))
    (wait,) = world.last.waits
    assert wait.key.task == "w"
    assert world.plan().waits == []
    world.created("w", reason="Waiting", message="run other-1 is Running")
    assert world.entry("w")["message"] == "run other-1 is Running"
    world.restart()
    assert len(world.last.waits) == 1, "a new controller asks again"
    world.succeed("w")
    assert (world.state("w"), world.started()) == (TaskState.SUCCEEDED, ["after"])


def test_waiting_for_something_outside_ends_at_its_timeout() -> None:
    world = World(_waiting({"dagRun": {"dag": "other"}}, sensor={"timeout": "1h", "softFail": True}))
    world.wait(hours=1)
    assert (world.state("w"), world.entry("w")["reason"]) == (TaskState.SKIPPED, "SensorTimeout")


@pytest.mark.parametrize("what", [{"dagRun": {"dag": "other"}}, {"object": CONFIG_MAP}])
def test_a_wait_that_has_finished_has_no_timeout_any_more(what: dict[str, Any]) -> None:
    world = World(_waiting(what, sensor={"timeout": "15s"}), task("load", "w"), task("report", "load"))
    world.wait(seconds=6)
    world.succeed("w")
    world.running("load")
    world.wait(seconds=9)
    assert (world.state("w"), world.status()["done"]) == (TaskState.SUCCEEDED, "1/3")
    world.succeed("load")
    assert (world.phase(), world.started()) == ("Running", ["load", "report"])
    world.succeed("report")
    assert (world.phase(), world.status()["done"]) == ("Succeeded", "3/3")


def test_a_wait_that_was_marked_does_not_wait_any_more() -> None:
    world = World(_waiting({"duration": "1h"}, sensor={"timeout": "30m"}), task("load", "w"))
    ask(world, "Mark", "w", state="Skipped")
    assert (world.state("w"), world.state("load")) == (TaskState.SKIPPED, TaskState.SKIPPED)
    world = World(_waiting({"duration": "1h"}, sensor={"timeout": "30m"}), task("load", "w"))
    ask(world, "Mark", "w", state="Succeeded")
    world.running("load")
    for _ in range(3):
        world.wait(minutes=30)
        assert (world.state("w"), world.status()["done"]) == (TaskState.SUCCEEDED, "1/2")
    world.succeed("load")
    assert world.phase() == "Succeeded"


@pytest.mark.parametrize("soft", [False, True])
def test_what_it_waits_for_will_never_come(soft: bool) -> None:
    world = World(_waiting({"dagRun": {"dag": "other"}}, sensor={"softFail": soft}))
    world.refuse("w", "WaitedForEnded", message="the run ended Failed")
    entry = world.entry("w")
    assert (entry["state"], entry["reason"]) == ("Skipped" if soft else "Failed", "WaitedForEnded")


def test_another_try_to_wait_has_no_more_time() -> None:
    sensor = {"timeout": "1h", "softFail": True}
    world = World(_waiting({"dagRun": {"dag": "other"}}, sensor=sensor, retries={"limit": 1, "delay": "40m"}))
    world.wait(minutes=10)
    world.refuse("w", "WaitedForEnded", retry=True)
    assert world.state("w") is TaskState.UP_FOR_RETRY
    world.wait(minutes=40)
    assert (world.state("w"), world.entry("w")["try"]) == (TaskState.UP_FOR_RESCHEDULE, 2)
    world.wait(minutes=10)
    assert (world.state("w"), world.entry("w")["reason"]) == (TaskState.SKIPPED, "SensorTimeout")


def _waiting(what: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "w", "waitFor": what, **fields}
