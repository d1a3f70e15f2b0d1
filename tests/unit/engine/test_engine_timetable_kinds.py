"""Schedules that are not cron: every, @once, @continuous and several together, against counting by hand."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.unit.engine.brute_force_timetable import ticks as brute_force
from tests.unit.engine.engine_world import moment
from tradewind.api.dag import DagSpec
from tradewind.api.schedule import schedule_text
from tradewind.engine.schedule.due import Due, due_ticks, first_moment, max_active_runs, upcoming
from tradewind.engine.timetables import ContinuousTimetable, Timetable, timetable_of

pytestmark = pytest.mark.unit

MADE = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)
# Clocks change in Berlin on 29 March and 25 October 2026, on Lord Howe Island on 5 April and 4 October.
SPANS = [
    ("Europe/Berlin", "2026-03-28T12:00Z", "2026-03-30T12:00Z"),
    ("Europe/Berlin", "2026-10-24T12:00Z", "2026-10-26T12:00Z"),
    ("Australia/Lord_Howe", "2026-04-03T12:00Z", "2026-04-06T12:00Z"),
    ("Australia/Lord_Howe", "2026-10-02T12:00Z", "2026-10-05T12:00Z"),
]


def spec(**fields: Any) -> DagSpec:
    return DagSpec.model_validate({"tasks": [{"name": "a", "noop": True}], **fields})


def timetable(**fields: Any) -> Timetable:
    found = timetable_of(spec(**fields), MADE)
    assert found is not None
    return found


def between(schedule: Timetable, start: datetime, end: datetime) -> list[datetime]:
    found = []
    for tick in schedule.ticks(start):
        if tick.logical_date >= end:
            break
        found.append(tick.logical_date)
    return found


def multiples(anchor: datetime, period: timedelta, start: datetime, end: datetime) -> list[datetime]:
    """Step by step from the anchor, as the wall clock of no zone could: seconds since 1970."""
    seconds, step = int(anchor.timestamp()), int(period.total_seconds())
    first, last = int(start.timestamp()), int(end.timestamp())
    return [
        datetime.fromtimestamp(second, UTC)
        for second in range(seconds - 10**9 // step * step, last, step)
        if first < second < last
    ]


# every --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("zone", "start", "end"), SPANS)
@pytest.mark.parametrize("every", ["15m", "45m", "1h", "7h", "24h", "1d1h"])
@pytest.mark.parametrize("anchor", ["2026-01-01T00:00:00Z", "2026-03-28T23:59:30Z", "2026-12-01T01:07:00+05:30"])
def test_every_counts_elapsed_time(zone: str, start: str, end: str, every: str, anchor: str) -> None:
    schedule = timetable(schedule={"every": every}, startDate=anchor, timeZone=zone)
    hours = {"15m": 0.25, "45m": 0.75, "1h": 1, "7h": 7, "24h": 24, "1d1h": 25}[every]
    expected = multiples(moment(anchor), timedelta(hours=hours), moment(start), moment(end))
    assert expected and between(schedule, moment(start), moment(end)) == expected
    local_start = moment(start).astimezone(ZoneInfo(zone))
    assert between(schedule, local_start, moment(end)) == expected
    for earlier, later in pairwise(expected):
        assert schedule.previous(later) == earlier
        assert schedule.previous(earlier + timedelta(microseconds=1)) == earlier
        assert schedule.next(later - timedelta(microseconds=1)) == later
        assert schedule.next(earlier) == later


def test_every_counts_from_the_making_of_the_dag_without_start_date() -> None:
    schedule = timetable(schedule={"every": "10m"})
    assert between(schedule, MADE, MADE + timedelta(minutes=25)) == [
        MADE + timedelta(minutes=10),
        MADE + timedelta(minutes=20),
    ]


def test_start_date_itself_is_a_tick_of_every() -> None:
    dag = spec(schedule={"every": "1h"}, startDate="2026-03-02T00:00:00Z")
    found = list(islice(upcoming(dag, moment("2026-03-01T12:00Z")), 2))
    assert [tick.logical_date for tick in found] == [moment("2026-03-02T00:00Z"), moment("2026-03-02T01:00Z")]
    assert found[0].interval_start == moment("2026-03-01T23:00Z"), "its interval is as long as all others"


# Several ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("zone", "start", "end"), SPANS)
@pytest.mark.parametrize(
    "crons",
    [["30 2 * * *", "*/30 * * * *"], ["0 6 * * 1-5", "0 9 * * 0,6"], ["0 0 * * *", "0 */2 * * *", "15 2 * * *"]],
)
def test_several_crons_are_the_union_of_their_ticks(zone: str, start: str, end: str, crons: list[str]) -> None:
    expected = sorted(
        {tick for cron in crons for tick in brute_force(cron, ZoneInfo(zone), moment(start), moment(end))}
    )
    schedule = timetable(schedules=crons, timeZone=zone)
    assert between(schedule, moment(start), moment(end)) == expected
    for earlier, later in pairwise(expected):
        assert schedule.previous(later) == earlier


@pytest.mark.parametrize(("zone", "start", "end"), SPANS)
def test_cron_and_every_together(zone: str, start: str, end: str) -> None:
    anchor = moment("2026-01-01T00:20:00Z")
    expected = sorted(
        {
            *brute_force("0 2-4 * * *", ZoneInfo(zone), moment(start), moment(end)),
            *multiples(anchor, timedelta(minutes=100), moment(start), moment(end)),
        }
    )
    schedules = ["0 2-4 * * *", {"every": "1h40m"}]
    schedule = timetable(schedules=schedules, timeZone=zone, startDate="2026-01-01T00:20:00Z")
    assert between(schedule, moment(start), moment(end)) == expected


def test_the_intervals_of_several_join_without_a_gap() -> None:
    ticks = list(islice(timetable(schedules=["0 6 * * *", {"every": "5h"}]).ticks(MADE), 20))
    assert all(later.interval_start == earlier.logical_date for earlier, later in pairwise(ticks))


def test_where_several_coincide_there_is_one_run() -> None:
    dag = spec(schedules=["@daily", "@hourly", {"every": "12h"}], startDate="2026-03-01T00:00:00Z")
    dates = [tick.logical_date for tick in islice(upcoming(dag, moment("2026-03-01T22:30Z")), 3)]
    assert dates == [moment("2026-03-01T23:00Z"), moment("2026-03-02T00:00Z"), moment("2026-03-02T01:00Z")]


def test_once_among_several() -> None:
    dag = spec(schedules=["@once", "0 0 * * *"], startDate="2026-03-01T06:00:00Z")
    dates = [tick.logical_date for tick in islice(upcoming(dag, moment("2026-02-01T00:00Z")), 3)]
    assert dates == [moment("2026-03-01T06:00Z"), moment("2026-03-02T00:00Z"), moment("2026-03-03T00:00Z")]


# @once --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("catchup", [False, True])
@pytest.mark.parametrize("start", [None, "2026-03-01T06:00:00Z", "2026-03-05T06:00:00Z"])
def test_once_gets_one_run(catchup: bool, start: str | None) -> None:
    dag = spec(schedule="@once", catchup=catchup, **({"startDate": start} if start else {}))
    due = moment(start) if start else MADE
    schedule = timetable_of(dag, MADE)
    assert schedule is not None
    after = first_moment(dag, MADE)
    if due > MADE:
        assert due_ticks(dag, schedule, after=after, now=MADE, room=16) == Due([], None, due, due)
    found = due_ticks(dag, schedule, after=after, now=due + timedelta(hours=1), room=16)
    assert [tick.logical_date for tick in found.create] == [due]
    assert (found.next, found.wake_at) == (None, None)
    assert due_ticks(dag, schedule, after=due, now=due + timedelta(days=1), room=16) == Due()


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, ["2026-03-01T12:34:56Z"]),
        ("2026-03-01T12:34:56Z", None, []),
        ("2026-02-01T00:00:00Z", None, []),
        ("2026-03-02T00:00:00Z", None, ["2026-03-02T00:00:00Z"]),
        ("2026-03-02T00:00:00Z", "2026-03-02T00:00:00Z", ["2026-03-02T00:00:00Z"]),
        (None, "2026-03-01T00:00:00Z", []),
    ],
)
def test_upcoming_of_once(start: str | None, end: str | None, expected: list[str]) -> None:
    dates = {name: date for name, date in (("startDate", start), ("endDate", end)) if date}
    found = [tick.logical_date for tick in upcoming(spec(schedule="@once", **dates), MADE)]
    assert found == [moment(text) for text in expected]


# @continuous --------------------------------------------------------------------------------------------------------


def continuous(after: datetime, now: datetime, *, room: int = 1, ended: datetime | None = None, **fields: Any) -> Due:
    dag = spec(schedule="@continuous", **fields)
    ticks = timetable(schedule="@continuous", **fields)
    return due_ticks(dag, ticks, after=after, now=now, room=room, finished_at=ended)


def test_the_first_continuous_run_starts_at_once() -> None:
    dag = spec(schedule="@continuous")
    found = continuous(first_moment(dag, MADE), MADE + timedelta(seconds=1))
    assert [tick.logical_date for tick in found.create] == [MADE]
    assert found.after_run


def test_the_first_continuous_run_waits_for_start_date() -> None:
    start = MADE + timedelta(hours=1)
    dag = spec(schedule="@continuous", startDate=start)
    assert continuous(first_moment(dag, MADE), MADE, startDate=start) == Due([], None, start, start)
    found = continuous(first_moment(dag, MADE), start, startDate=start)
    assert [tick.logical_date for tick in found.create] == [start]
    past = spec(schedule="@continuous", startDate="2020-01-01T00:00:00Z")
    found = continuous(first_moment(past, MADE), MADE, startDate="2020-01-01T00:00:00Z", catchup=True)
    assert [tick.logical_date for tick in found.create] == [MADE], "there is nothing to catch up with"


def test_the_next_continuous_run_starts_when_the_last_has_finished() -> None:
    ended = MADE + timedelta(minutes=5, milliseconds=300)
    now = ended + timedelta(seconds=2)
    assert continuous(MADE, now, room=0) == Due(after_run=True)
    (tick,) = continuous(MADE, now, ended=ended).create
    assert tick.logical_date == MADE + timedelta(minutes=5, seconds=1), "whole seconds, as in its name"
    assert tick.interval_start == MADE


def test_continuous_runs_never_share_a_second() -> None:
    soon = MADE + timedelta(milliseconds=10)
    found = continuous(MADE, soon, ended=soon)
    assert (found.create, found.wake_at) == ([], MADE + timedelta(seconds=1))


def test_a_continuous_run_that_was_deleted_holds_nothing_back() -> None:
    now = MADE + timedelta(hours=3)
    for ended in (None, MADE - timedelta(hours=1)):
        (tick,) = continuous(MADE, now, ended=ended).create
        assert tick.logical_date == now


def test_continuous_is_never_too_late_but_ends() -> None:
    ended = MADE + timedelta(minutes=5)
    now = MADE + timedelta(days=2)
    (tick,) = continuous(MADE, now, ended=ended, startingDeadline="1m").create
    assert tick.logical_date == ended
    assert continuous(MADE, now, ended=ended, endDate=MADE + timedelta(minutes=4)) == Due()


def test_only_one_continuous_run_at_a_time() -> None:
    assert max_active_runs(spec(schedule="@continuous", maxActiveRuns=5)) == 1
    assert max_active_runs(spec(schedule="@daily", maxActiveRuns=5)) == 5
    assert max_active_runs(spec(schedule="@daily")) == 16


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ({}, [MADE]),
        ({"startDate": "2026-01-01T00:00:00Z"}, [MADE]),
        ({"startDate": "2026-04-01T00:00:00Z"}, [datetime(2026, 4, 1, tzinfo=UTC)]),
        ({"endDate": "2026-01-01T00:00:00Z"}, []),
    ],
)
def test_upcoming_of_continuous_is_the_one_that_is_known(dates: dict[str, str], expected: list[datetime]) -> None:
    assert [tick.logical_date for tick in upcoming(spec(schedule="@continuous", **dates), MADE)] == expected


# All ----------------------------------------------------------------------------------------------------------------


def test_upcoming_is_strictly_after_and_ends_at_end_date() -> None:
    dag = spec(schedule="@hourly", endDate="2026-03-01T15:00:00Z")
    dates = [tick.logical_date for tick in upcoming(dag, moment("2026-03-01T13:00Z"))]
    assert dates == [moment("2026-03-01T14:00Z"), moment("2026-03-01T15:00Z")]
    assert list(upcoming(spec(), MADE)) == []


def test_schedules_in_words() -> None:
    dag = spec(schedules=[" 0 6 * * * ", {"every": "2h"}])
    assert schedule_text(dag.all_schedules) == "0 6 * * *, every 2h"
    assert isinstance(timetable(schedule=" @continuous "), ContinuousTimetable)
