"""Behavior of waitFor tasks."""

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.engine.engine_world import START, World
from tradewind.api.kinds import WAIT_FOR
from tradewind.engine.kinds import Kind, kind_of
from tradewind.engine.kinds.kind import Finish, WaitUntil
from tradewind.engine.rules.outcome import Outcome
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.tries import TryEvent, TryReport

pytestmark = pytest.mark.unit
HOUR = timedelta(hours=1)


def waiting(what: dict[str, Any], **sensor: Any) -> tuple[World, Kind, TaskInstance]:
    fields = {"sensor": sensor} if sensor else {}
    world = World({"name": "w", "waitFor": what, **fields})
    return world, kind_of(world.run["w"].task), world.run["w"]


@pytest.mark.parametrize(
    ("what", "moment"),
    [
        ({"duration": "1h"}, START + HOUR),
        ({"time": "{{ ds }}T14:00:00Z"}, START + 2 * HOUR),
        ({"dagRun": {"dag": "other"}}, None),
    ],
)
def test_it_waits_for_a_moment_or_for_a_report(what: dict[str, Any], moment: Any) -> None:
    world, kind, instance = waiting(what)
    assert instance.task.kind is WAIT_FOR
    assert kind.start(world.run, instance, START) == WaitUntil(moment)
    assert kind.common_start is None, "each instance of a mapped task waits for its own"


def test_a_moment_that_is_none_fails_it() -> None:
    world, kind, instance = waiting({"time": "{{ run.name }}"})
    answer = kind.start(world.run, instance, START)
    assert isinstance(answer, Finish)
    assert (answer.outcome.state, answer.outcome.reason) == (TaskState.FAILED, "InvalidTemplate")


def test_it_succeeds_at_its_moment_even_where_it_would_give_up() -> None:
    _, kind, instance = waiting({"duration": "1h"}, timeout="1h")
    assert kind.on_timer(instance, START + HOUR) == Finish(Outcome(TaskState.SUCCEEDED))


def test_it_gives_up_at_its_timeout() -> None:
    _, kind, instance = waiting({"dagRun": {"dag": "other"}}, timeout="1h")
    assert kind.on_timer(instance, START) is None
    answer = kind.on_timer(instance, START + HOUR)
    assert isinstance(answer, Finish)
    assert (answer.outcome.state, answer.outcome.reason) == (TaskState.FAILED, "SensorTimeout")


@pytest.mark.parametrize(("soft", "state"), [(True, TaskState.SKIPPED), (False, TaskState.FAILED)])
def test_with_soft_fail_it_is_skipped_where_it_would_fail(soft: bool, state: TaskState) -> None:
    _, kind, instance = waiting({"dagRun": {"dag": "other"}}, softFail=soft)
    assert kind.soften(instance.task, Outcome(TaskState.FAILED)).state is state
    assert kind.soften(instance.task, Outcome(TaskState.SUCCEEDED)).state is TaskState.SUCCEEDED


def test_a_restart_goes_by_the_moment_in_status() -> None:
    world, kind, instance = waiting({"duration": "1h"})
    assert kind.resume_at(world.run, instance) == START + HOUR
    world, kind, instance = waiting({"dagRun": {"dag": "other"}})
    assert kind.resume_at(world.run, instance) is None


def test_no_pod_of_it_can_have_been_lost() -> None:
    _, kind, instance = waiting({"duration": "1h"})
    assert not kind.is_late_success(instance, TryReport("w", 1, TryEvent.ENDED, exit_code=0))


def test_it_says_what_it_waits_for() -> None:
    _, kind, instance = waiting({"duration": "1h"})
    assert kind.explain_wait(instance)[1].endswith("2026-03-01T13:00:00Z")
    _, kind, instance = waiting({"dagRun": {"dag": "other"}})
    instance.message = "run other-1 is Running"
    assert kind.explain_wait(instance) == ("waitFor", "run other-1 is Running")
