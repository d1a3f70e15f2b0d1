"""Validation of status that is read from the API server. A user may have edited it: then the run fails, or the Dag
loses the field, but the controller must not."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from tradewind.api.dag import DagStatus
from tradewind.api.dagrun import DagRunStatus
from tradewind.api.mapping import MAX_MAP_LENGTH
from tradewind.api.times import parse_time
from tradewind.engine.run.index_set import IndexSet
from tradewind.engine.run.states import TaskState

MOST_TRIES = 1_000_000
"""Maximum tries of one task instance, and pokes of a sensor."""
MOST_DIGITS = 20
"""Maximum digits of a resourceVersion."""
_YEARS = range(1970, 9000)
_DAG_TIMES = ("lastScheduleTime", "nextScheduleTime", "lastRunFinishTime")
_FREE = ("output", "outputs", "params")
_STATES = frozenset(TaskState)
_TIMES = ("scheduledAt", "queuedAt", "startedAt", "finishedAt", "retryAt", "firstPokeAt", "nextPokeAt")
_BY_NUMBER = ("numbers", "lostTries", "preemptedTries", "rerunFrom", "pokeNumbers")


class UnusableStatus(ValueError):  # noqa: N818
    """The message says which field is wrong."""


def check_status(status: Mapping[str, Any]) -> None:
    """Raise UnusableStatus for a status that no controller has written. Unknown fields are allowed: a newer controller
    may have written them."""
    try:
        DagRunStatus.model_validate(status)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            if detail["type"] != "extra_forbidden":
                place = ".".join(map(str, detail["loc"]))
                raise UnusableStatus(f"status.{place}: {detail['msg']}") from error
    _check_nulls(status, "status")
    _check_times(status, ("startedAt", "finishedAt", "logicalDate"))
    _check_times(status.get("dataInterval") or {}, ("start", "end"))
    names: set[str] = set()
    for entry in status.get("tasks") or ():
        place = f"status.tasks[{entry['name']}]"
        if entry["name"] in names:
            raise UnusableStatus(f"{place}: is listed twice")
        names.add(entry["name"])
        try:
            _check_entry(entry)
        except ValueError as error:
            raise UnusableStatus(f"{place}.{error}") from error


def usable_dag_status(status: Mapping[str, Any]) -> dict[str, Any]:
    """The status of a Dag without the fields that no controller can have written."""
    left = dict(status)
    try:
        DagStatus.model_validate(status)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            if detail["type"] != "extra_forbidden":
                left.pop(str(detail["loc"][0]) if detail["loc"] else "", None)
    for field in _DAG_TIMES:
        if field in left and usable_time(left[field]) is None:
            del left[field]
    version = left.get("lastRunResourceVersion")
    if version is not None and not (version.isascii() and version.isdecimal() and len(version) <= MOST_DIGITS):
        del left["lastRunResourceVersion"]
    if (left.get("consecutiveFailedRuns") or 0) < 0:
        del left["consecutiveFailedRuns"]
    return left


def usable_time(text: Any) -> datetime | None:
    """The time in a status field; None if it is not valid."""
    try:
        moment = parse_time(text)
    except (TypeError, ValueError):
        return None
    return moment if moment is not None and moment.tzinfo is not None and moment.year in _YEARS else None


def _check_nulls(value: Any, place: str) -> None:
    """Reject nulls: the API server drops them from fields that have a schema, so the controller never reads any."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            if below is None and key != "output":
                raise UnusableStatus(f"{place}.{key}: is null")
            if key not in _FREE:
                _check_nulls(below, f"{place}.{key}")
    elif isinstance(value, list):
        for number, below in enumerate(value):
            if below is None:
                raise UnusableStatus(f"{place}[{number}]: is null")
            _check_nulls(below, f"{place}[{number}]")


def _check_times(entry: Mapping[str, Any], fields: Iterable[str]) -> None:
    for field in fields:
        if field in entry:
            try:
                parse_time(entry[field])
            except (TypeError, ValueError) as error:
                raise UnusableStatus(f"{field}: {entry[field]!r} is not a time: {error}") from error


def _check_entry(entry: Mapping[str, Any]) -> None:
    _check_numbers(entry)
    _check_times(entry, _TIMES)
    count = entry.get("count", MAX_MAP_LENGTH)  # absent if the task has no instances
    if not 0 <= count <= MAX_MAP_LENGTH:
        raise ValueError(f"count: {count} is not from 0 to {MAX_MAP_LENGTH}")
    taken = IndexSet()
    for state, text in (entry.get("indexes") or {}).items():
        if state not in _STATES:
            raise ValueError(f"indexes: {state!r} is not a state")
        indexes = _indexes(f"indexes.{state}", text)
        if state == "Removed":
            continue
        if indexes - IndexSet.range(count):
            raise ValueError(f"indexes.{state}: {text!r} exceeds the {count} instances")
        if taken & indexes:
            raise ValueError(f"indexes.{state}: {taken & indexes} are also in another state")
        taken = taken | indexes
    for field in (*_BY_NUMBER, "dueAt"):
        for key, text in (entry.get(field) or {}).items():
            if field in _BY_NUMBER and not (key.isascii() and key.isdecimal() and int(key[:20]) <= MOST_TRIES):
                raise ValueError(f"{field}: {key!r} is not a valid number of tries")
            _indexes(f"{field}.{key}", text)
            if field == "dueAt":
                _check_times({"dueAt": key}, ("dueAt",))
    for key in entry.get("outputs") or ():
        if not (key.isascii() and key.isdecimal() and int(key[:20]) < count):
            raise ValueError(f"outputs: {key!r} is not the index of an instance")
    for each in entry.get("instances") or ():
        _check_numbers(each)
        _check_times(each, _TIMES)
        if not 0 <= each["index"] < MAX_MAP_LENGTH:
            raise ValueError(f"instances[{each['index']}]: no such instance")


def _check_numbers(entry: Mapping[str, Any]) -> None:
    for field in ("try", "lost", "preempted", "triesBefore", "pokes"):
        if not 0 <= (entry.get(field) or 0) <= MOST_TRIES:
            raise ValueError(f"{field}: {entry[field]} is not a valid number of tries")


def _indexes(field: str, text: str) -> IndexSet:
    try:
        indexes = IndexSet.parse(text)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from error
    # len() of a larger set raises OverflowError.
    if any(len(number) > 9 for number in text.replace("-", ",").split(",")) or indexes - IndexSet.range(MAX_MAP_LENGTH):
        raise ValueError(f"{field}: {text[:80]!r} exceeds {MAX_MAP_LENGTH} instances")
    return indexes
