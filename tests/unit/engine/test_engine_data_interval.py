"""The data interval of a run that does not say its own."""

from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest

from tests.unit.engine.engine_world import moment
from tradewind.api.dag import DagSpec
from tradewind.engine.schedule.data_interval import inferred_interval
from tradewind.engine.timetables import timetable_of

pytestmark = pytest.mark.unit

MADE = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)
DAILY = {"schedule": "0 6 * * *"}
BERLIN = {"schedule": "30 2 * * *", "timeZone": "Europe/Berlin"}
EVERY = {"schedule": {"every": "15m"}, "startDate": "2026-03-01T00:05:00Z"}
SEVERAL = {"schedules": ["0 6 * * *", "0 18 * * 1"]}


def interval(logical: str, **fields: Any) -> tuple[datetime, datetime]:
    spec = DagSpec.model_validate({"tasks": [{"name": "a", "noop": True}], **fields})
    return inferred_interval(timetable_of(spec, MADE), moment(logical))


@pytest.mark.parametrize(
    ("fields", "logical", "start", "end"),
    [
        (DAILY, "2026-03-08T06:00Z", "2026-03-07T06:00Z", "2026-03-08T06:00Z"),
        (DAILY, "2026-03-08T05:59:59Z", "2026-03-06T06:00Z", "2026-03-07T06:00Z"),
        (DAILY, "2026-03-08T06:00:01Z", "2026-03-07T06:00Z", "2026-03-08T06:00Z"),
        (DAILY, "2020-03-08T00:00Z", "2020-03-06T06:00Z", "2020-03-07T06:00Z"),
        # Clocks change on 29 March: that day's tick is an hour late.
        (BERLIN, "2026-03-29T01:30Z", "2026-03-28T01:30Z", "2026-03-29T01:30Z"),
        (BERLIN, "2026-03-29T12:00Z", "2026-03-28T01:30Z", "2026-03-29T01:30Z"),
        (EVERY, "2026-03-08T06:05Z", "2026-03-08T05:50Z", "2026-03-08T06:05Z"),
        (EVERY, "2026-03-08T06:00Z", "2026-03-08T05:35Z", "2026-03-08T05:50Z"),
        (EVERY, "2026-02-01T00:07Z", "2026-01-31T23:50Z", "2026-02-01T00:05Z"),
        (SEVERAL, "2026-03-09T20:00Z", "2026-03-09T06:00Z", "2026-03-09T18:00Z"),
        ({"schedule": "0 0 29 2 *"}, "2026-03-08T06:00Z", "2020-02-29T00:00Z", "2024-02-29T00:00Z"),
    ],
)
def test_the_last_whole_interval(fields: dict[str, Any], logical: str, start: str, end: str) -> None:
    assert interval(logical, **fields) == (moment(start), moment(end))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"schedule": "@once"},
        {"schedule": "@once", "startDate": "2026-03-08T06:00:00Z"},
        {"schedule": "@continuous"},
        {"schedule": "@continuous", "startDate": "2030-01-01T00:00:00Z"},
    ],
)
def test_an_empty_one_where_there_is_no_whole_one(fields: dict[str, Any]) -> None:
    assert interval("2026-03-08T06:00Z", **fields) == (moment("2026-03-08T06:00Z"),) * 2


@pytest.mark.parametrize("logical", ["0001-01-01T00:00:00Z", "0001-01-02T00:00:00Z", "9999-12-31T23:59:59Z"])
@pytest.mark.parametrize("fields", [DAILY, BERLIN, EVERY, {"schedule": "0 0 29 2 *"}])
def test_at_the_ends_of_the_calendar(fields: dict[str, Any], logical: str) -> None:
    start, end = interval(logical, **fields)
    assert start <= end <= moment(logical)


@pytest.mark.parametrize("fields", [DAILY, BERLIN, EVERY, SEVERAL, {"schedule": "*/30 * * * *", "timeZone": "CET"}])
@pytest.mark.parametrize("after", ["2026-03-28T12:00Z", "2026-10-24T12:00Z"])
def test_a_tick_has_that_of_its_scheduled_run(fields: dict[str, Any], after: str) -> None:
    spec = DagSpec.model_validate({"tasks": [{"name": "a", "noop": True}], **fields})
    timetable = timetable_of(spec, MADE)
    assert timetable is not None
    for tick in islice(timetable.ticks(moment(after)), 100):
        assert inferred_interval(timetable, tick.logical_date) == (tick.interval_start, tick.logical_date)
