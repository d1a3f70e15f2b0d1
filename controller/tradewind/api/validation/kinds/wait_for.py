"""Validation of waitFor tasks."""

import re
from collections.abc import Iterator
from datetime import datetime

from tradewind.api.json_path import parse_json_path
from tradewind.api.sensor import WaitFor, WaitForDagRun, WaitForObject
from tradewind.api.task import Task, TaskDefaults
from tradewind.api.templates import is_template
from tradewind.api.validation.durations import check_duration
from tradewind.api.validation.kinds.validator import Validator, check_waiting
from tradewind.api.validation.problem import Problem

_API_VERSION = re.compile(r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?v[0-9][a-z0-9]*")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]*")
_RUN_STATES = ("Succeeded", "Failed")


def _check(task: Task, defaults: TaskDefaults, field: str) -> Iterator[Problem]:
    yield from check_waiting(task, "waitFor", field)
    if task.wait_for:
        yield from _check_wait_for(task.wait_for, f"{field}.waitFor")


def _templates(task: Task) -> Iterator[tuple[str, str]]:
    wanted = task.wait_for
    if wanted:
        yield "waitFor.time", wanted.time or ""
        yield "waitFor.dagRun.logicalDate", (wanted.dag_run and wanted.dag_run.logical_date) or ""
        yield "waitFor.object.name", wanted.object.name if wanted.object else ""


def _check_wait_for(wait_for: WaitFor, field: str) -> Iterator[Problem]:
    kinds = {
        "time": wait_for.time,
        "duration": wait_for.duration,
        "dagRun": wait_for.dag_run,
        "object": wait_for.object,
    }
    given = [kind for kind, value in kinds.items() if value is not None]
    if len(given) != 1:
        has = f"has {' and '.join(given)}" if given else "has nothing to wait for"
        yield Problem("InvalidTask", field, f"{has}: give exactly one of time, duration, dagRun and object")
        return
    if wait_for.time is not None:
        yield from _check_time(wait_for.time, f"{field}.time")
    if wait_for.dag_run:
        yield from _check_dag_run(wait_for.dag_run, f"{field}.dagRun")
    if wait_for.object:
        yield from _check_object(wait_for.object, f"{field}.object")


def _check_time(text: str, field: str) -> Iterator[Problem]:
    if is_template(text):
        return
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = (
            f"{text!r} is not a time: write it as in 2026-01-31T06:00:00Z, or a template such as {{{{ ds }}}}T18:00:00Z"
        )
        yield Problem("InvalidTask", field, message)
        return
    if moment.tzinfo is None:
        message = f"{text!r} has no time zone: write Z or an offset, as in 2026-01-31T06:00:00Z"
        yield Problem("InvalidTask", field, message)


def _check_dag_run(wanted: WaitForDagRun, field: str) -> Iterator[Problem]:
    if wanted.logical_date is not None:
        yield from _check_time(wanted.logical_date, f"{field}.logicalDate")
    yield from check_duration(wanted.window, f"{field}.window")
    bad = [state for state in wanted.states or () if state not in _RUN_STATES]
    if bad and wanted.task is None:
        message = f"a run cannot finish as {bad[0]}: use {' or '.join(_RUN_STATES)}, or set task"
        yield Problem("InvalidTask", f"{field}.states", message)


def _check_object(wanted: WaitForObject, field: str) -> Iterator[Problem]:
    if not _API_VERSION.fullmatch(wanted.api_version):
        message = f"{wanted.api_version!r} must be group and version, as in batch/v1, or v1 for Pods"
        yield Problem("InvalidTask", f"{field}.apiVersion", message)
    if not _KIND.fullmatch(wanted.kind):
        message = f"{wanted.kind!r} must be a kind, as in Job or PersistentVolumeClaim"
        yield Problem("InvalidTask", f"{field}.kind", message)
    if (wanted.condition is None) == (wanted.json_path is None) or (wanted.json_path is None) != (wanted.value is None):
        yield Problem("InvalidTask", field, "give either condition, or jsonPath and value")
    elif wanted.json_path is not None:
        try:
            parse_json_path(wanted.json_path)
        except ValueError as error:
            yield Problem("InvalidTask", f"{field}.jsonPath", str(error))


WAIT_FOR = Validator(_check, _templates)
