"""Behavior of sensors."""

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.engine.engine_world import START, World, task
from tradewind.api.kinds import SENSOR
from tradewind.engine.kinds import Kind, kind_of
from tradewind.engine.kinds.kind import NEEDS_SLOTS, POKE_NOW, Finish, PokeAgain
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.tries import StopReason, TryEvent, TryReport

pytestmark = pytest.mark.unit


def sensor(**fields: Any) -> tuple[World, Kind, TaskInstance]:
    own = {"interval": "30s", "timeout": "10m", **fields.pop("sensor", {})}
    world = World(task("s", sensor=own, **fields))
    return world, kind_of(world.run["s"].task), world.run["s"]


def ended(event: TryEvent = TryEvent.ENDED, **facts: Any) -> TryReport:
    return TryReport("s", 1, event, poke=1, **facts)


def test_each_poke_needs_slots() -> None:
    world, kind, instance = sensor()
    assert instance.task.kind is SENSOR
    assert kind.start(world.run, instance, START) is NEEDS_SLOTS


@pytest.mark.parametrize(("mode", "keeps_slots"), [("Poke", True), ("Reschedule", False)])
def test_an_exit_code_that_is_not_0_means_to_look_again(mode: str, keeps_slots: bool) -> None:
    _, kind, instance = sensor(sensor={"mode": mode})
    assert kind.on_pod_finished(instance, ended(exit_code=1)) == PokeAgain(timedelta(seconds=30), keeps_slots)
    assert kind.on_pod_finished(instance, ended(TryEvent.LOST)) == PokeAgain(timedelta(seconds=30), keeps_slots)


@pytest.mark.parametrize(
    "report",
    [
        ended(exit_code=0),
        ended(exit_code=99),
        ended(exit_code=3),
        ended(exit_code=137, reason="OOMKilled"),
        ended(TryEvent.REFUSED, reason="InvalidPod"),
    ],
    ids=["found", "skip", "fail", "not an answer", "refused"],
)
def test_other_ends_are_ends_of_the_try(report: TryReport) -> None:
    _, kind, instance = sensor(failExitCodes=[3])
    assert kind.on_pod_finished(instance, report) is None


def test_with_a_retry_exit_code_only_that_one_means_not_yet() -> None:
    _, kind, instance = sensor(sensor={"retryExitCode": 7})
    assert kind.on_pod_finished(instance, ended(exit_code=7)) is not None
    assert kind.on_pod_finished(instance, ended(exit_code=1)) is None


def test_one_that_is_being_stopped_does_not_look_again() -> None:
    _, kind, instance = sensor()
    instance.stop = StopReason("Timeout", "")
    assert kind.on_pod_finished(instance, ended(exit_code=1)) is None


def test_it_gives_up_before_it_looks_again() -> None:
    _, kind, instance = sensor(sensor={"softFail": True})
    instance.first_poke_at, instance.next_poke_at = START, START + timedelta(minutes=10)
    assert kind.on_timer(instance, START + timedelta(minutes=9)) is None
    answer = kind.on_timer(instance, START + timedelta(minutes=10))
    assert isinstance(answer, Finish)
    assert (answer.outcome.state, answer.outcome.reason) == (TaskState.SKIPPED, "SensorTimeout")
    instance.first_poke_at = START + timedelta(minutes=5)
    assert kind.on_timer(instance, START + timedelta(minutes=10)) is POKE_NOW


def test_a_poke_that_was_taken_for_lost_may_have_found_it() -> None:
    _, kind, instance = sensor()
    assert not kind.is_late_success(instance, ended(exit_code=0)), "it has not been taken for lost"
    instance.next_poke_at = START
    assert kind.is_late_success(instance, ended(exit_code=0))
    assert not kind.is_late_success(instance, ended(exit_code=1))
