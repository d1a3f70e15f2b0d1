"""Validation of sensors."""

from collections.abc import Iterator

from tradewind.api.resolve import DEFAULT_SKIP_EXIT_CODES
from tradewind.api.task import Task, TaskDefaults
from tradewind.api.validation.durations import check_duration
from tradewind.api.validation.kinds.pod import check_pod
from tradewind.api.validation.kinds.validator import Validator
from tradewind.api.validation.problem import Problem


def _check(task: Task, defaults: TaskDefaults, field: str) -> Iterator[Problem]:
    yield from check_pod(task, defaults, field)
    sensor = task.sensor
    if sensor is None:
        return
    yield from check_duration(sensor.interval, f"{field}.sensor.interval")
    yield from check_duration(sensor.timeout, f"{field}.sensor.timeout")
    skip = task.skip_exit_codes if task.skip_exit_codes is not None else defaults.skip_exit_codes
    fail = task.fail_exit_codes if task.fail_exit_codes is not None else defaults.fail_exit_codes
    for name, codes in (
        ("skipExitCodes", DEFAULT_SKIP_EXIT_CODES if skip is None else skip),
        ("failExitCodes", fail or ()),
    ):
        if sensor.retry_exit_code in codes:
            message = f"{sensor.retry_exit_code} is also in {name}: choose another code"
            yield Problem("InvalidTask", f"{field}.sensor.retryExitCode", message)


SENSOR = Validator(_check)
