"""Validation of noop tasks."""

from collections.abc import Iterator

from tradewind.api.task import Task, TaskDefaults
from tradewind.api.validation.kinds.validator import Validator, check_podless
from tradewind.api.validation.problem import Problem


def _check(task: Task, defaults: TaskDefaults, field: str) -> Iterator[Problem]:
    yield from check_podless(task, "noop", field)
    if task.sensor:
        message = "a noop task runs nothing: remove sensor, or replace noop by a command or a script"
        yield Problem("InvalidTask", f"{field}.sensor", message)


NOOP = Validator(_check)
