"""The type of validators of a kind of task, and shared checks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tradewind.api.task import Task, TaskDefaults
from tradewind.api.validation.durations import check_duration
from tradewind.api.validation.problem import Problem


def _no_templates(task: Task) -> Iterator[tuple[str, str]]:
    return iter(())


@dataclass(frozen=True, slots=True)
class Validator:
    """The validation of one kind of task."""

    check: Callable[[Task, TaskDefaults, str], Iterator[Problem]]
    """check(task, taskDefaults, path of the task) yields the problems of the fields that define what the task does."""
    templates: Callable[[Task], Iterator[tuple[str, str]]] = _no_templates
    """(path in the task, text) of each template in the fields of the kind."""


def check_podless(task: Task, name: str, field: str) -> Iterator[Problem]:
    """Check for fields that a task without Pods must not have; `name` is the field that defines its kind."""
    for setting in ("args", "image"):
        if getattr(task, setting):
            yield Problem(
                "InvalidTask", f"{field}.{setting}", f"a {name} task runs nothing: remove {setting} or {name}"
            )


def check_waiting(task: Task, name: str, field: str) -> Iterator[Problem]:
    """Check for fields that a task that waits without Pods must not have; `name` is the field that defines its kind."""
    yield from check_podless(task, name, field)
    sensor = task.sensor
    if sensor is None:
        return
    yield from check_duration(sensor.interval, f"{field}.sensor.interval")
    yield from check_duration(sensor.timeout, f"{field}.sensor.timeout")
    for setting, value in (
        ("mode", sensor.mode),
        ("interval", sensor.interval),
        ("retryExitCode", sensor.retry_exit_code),
    ):
        if value is not None:
            message = f"{name} creates no Pods: of sensor only timeout and softFail apply"
            yield Problem("InvalidTask", f"{field}.sensor.{setting}", message)
