"""What the validation of a kind of task consists of, and what several kinds have in common."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tradewind.api.task import Task, TaskDefaults
from tradewind.api.validation.durations import check_duration
from tradewind.api.validation.problem import Problem


def _no_templates(task: Task) -> Iterator[tuple[str, str]]:
    return iter(())


@dataclass(frozen=True, slots=True)
class Validator:
    """How a task of one kind is validated."""

    check: Callable[[Task, TaskDefaults, str], Iterator[Problem]]
    """check(task, taskDefaults, path of the task): what is wrong with the fields that say what it does."""
    templates: Callable[[Task], Iterator[tuple[str, str]]] = _no_templates
    """(path in the task, text) of each template in the field of the kind."""


def check_podless(task: Task, name: str, field: str) -> Iterator[Problem]:
    """What a task may not say that makes no Pods; `name` is the field that makes it so."""
    for setting in ("args", "image"):
        if getattr(task, setting):
            yield Problem("InvalidTask", f"{field}.{setting}", f"a {name} task runs nothing: remove it, or {name}")


def check_waiting(task: Task, name: str, field: str) -> Iterator[Problem]:
    """What a task may not say that waits without Pods; `name` is the field that makes it so."""
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
            message = f"{name} makes no Pods: of sensor only timeout and softFail apply to it"
            yield Problem("InvalidTask", f"{field}.sensor.{setting}", message)
