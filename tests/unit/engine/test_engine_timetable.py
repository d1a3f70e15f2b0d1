"""The ticks of a cron schedule in a time zone, when clocks change and otherwise."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest

from tests.unit.engine.brute_force_timetable import ticks as brute_force
from tests.unit.engine.engine_world import moment
from tradewind.api.cron import cron_expression
from tradewind.api.dag import DagSpec
from tradewind.engine.timetables import CronTimetable, timetable_of

pytestmark = pytest.mark.unit

CHANGES = {
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "Australia/Lord_Howe": ("2026-04-05", "2026-10-04"),
    "Asia/Kolkata": ("2026-03-29", "2026-10-25"),
    "UTC": ("2026-03-29", "2026-10-25"),
}
ELAPSED_TIME = ["*/30 * * * *", "*/7 * * * *", "0 * * * *", "15,45 * * * *", "59 0-23 * * *"]
WALL_CLOCK = [
    "30 2 * * *",
    "0 2 * * *",
    "45 1 * * *",
    "0 0 * * *",
    "59 23 * * *",
    "10 2-4 * * *",
    "*/20 1-3 * * *",
    "0 */2 * * *",
    "*/30 0-22 * * *",
    "15 2 * * 0",
    "30 1,2,3 29 * *",
    "30 2 25 10 0",
    "5 4 1-7 * 1",
]


def timetable(expression: str, zone: str = "UTC") -> CronTimetable:
    return CronTimetable(expression, ZoneInfo(zone))


def ticks_between(schedule: CronTimetable, start: datetime, end: datetime) -> list[datetime]:
    found = []
    while (start := schedule.next(start)) < end:
        found.append(start)
    return found


@pytest.mark.parametrize(
    ("zone", "day"), [(zone, day) for zone, days in CHANGES.items() for day in days], ids=lambda value: value
)
@pytest.mark.parametrize("expression", ELAPSED_TIME + WALL_CLOCK)
def test_around_each_change_of_2026(zone: str, day: str, expression: str) -> None:
    start = datetime.fromisoformat(day).replace(hour=12, tzinfo=ZoneInfo(zone)) - timedelta(days=2)
    end = start + timedelta(days=3)
    expected = brute_force(expression, ZoneInfo(zone), start.astimezone(UTC), end.astimezone(UTC))
    schedule = timetable(expression, zone)
    assert ticks_between(schedule, start, end) == expected
    for earlier, later in pairwise(expected[-8:]):
        assert schedule.previous(later) == earlier
        assert schedule.previous(later + timedelta(seconds=1)) == later
        assert schedule.next(later - timedelta(microseconds=1)) == later
        assert schedule.next(earlier + timedelta(seconds=1)) == later


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        # The examples of docs/scheduling.md, to the letter.
        (
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-10-25T01:30+02:00",
            [
                "2026-10-25T02:00+02:00",
                "2026-10-25T02:30+02:00",
                "2026-10-25T02:00+01:00",
                "2026-10-25T02:30+01:00",
                "2026-10-25T03:00+01:00",
            ],
        ),
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00+01:00", ["2026-03-29T03:30+02:00", "2026-03-30T02:30+02:00"]),
        (
            "10 2-4 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00+01:00",
            ["2026-03-29T03:10+02:00", "2026-03-29T04:10+02:00", "2026-03-30T02:10+02:00"],
        ),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00+02:00", ["2026-10-25T02:30+01:00", "2026-10-26T02:30+01:00"]),
        # The half hour of Lord Howe Island.
        (
            "*/30 * * * *",
            "Australia/Lord_Howe",
            "2026-04-05T01:00+11:00",
            ["2026-04-05T01:30+11:00", "2026-04-05T01:30+10:30", "2026-04-05T02:00+10:30"],
        ),
        (
            "0 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T12:00+10:30",
            ["2026-10-04T02:30+11:00", "2026-10-05T02:00+11:00"],
        ),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T12:00+11:00",
            ["2026-04-05T01:45+10:30", "2026-04-06T01:45+10:30"],
        ),
        # Clocks that change at midnight: the day begins at 01:00.
        ("0 0 * * *", "Asia/Beirut", "2026-03-28T12:00+02:00", ["2026-03-29T01:00+03:00", "2026-03-30T00:00+03:00"]),
    ],
)
def test_when_clocks_change(expression: str, zone: str, after: str, expected: list[str]) -> None:
    found = [tick.logical_date for tick in islice(timetable(expression, zone).ticks(moment(after)), len(expected))]
    assert found == [moment(text) for text in expected]


def test_hours_limited_to_days_are_off_by_an_hour_at_the_first_tick_after_a_change() -> None:
    """As in Airflow, where elapsed time is counted over the weekend too: known, and kept for being the same."""
    schedule = timetable("0 * * * 1-5", "Europe/Berlin")
    assert schedule.next(moment("2026-10-23T23:00+02:00")) == moment("2026-10-25T23:00+01:00")
    assert schedule.next(moment("2026-03-27T23:00+01:00")) == moment("2026-03-30T01:00+02:00")


def test_a_whole_day_that_a_zone_left_out() -> None:
    """Samoa had no 30 December 2011; midnight of that day falls on that of the next."""
    schedule = timetable("0 6 * * *", "Pacific/Apia")
    found = ticks_between(schedule, moment("2011-12-29T00:00-10:00"), moment("2012-01-02T00:00+14:00"))
    assert found == [
        moment("2011-12-29T06:00-10:00"),
        moment("2011-12-31T06:00+14:00"),
        moment("2012-01-01T06:00+14:00"),
    ]


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("0 0 29 2 *", "2026-01-01T00:00Z", ["2028-02-29", "2032-02-29", "2036-02-29"]),
        ("0 0 31 * *", "2026-01-31T00:00Z", ["2026-03-31", "2026-05-31", "2026-07-31", "2026-08-31"]),
        ("0 0 1 */3 *", "2026-01-01T00:00Z", ["2026-04-01", "2026-07-01", "2026-10-01", "2027-01-01"]),
        ("0 0 * * 7", "2026-03-01T00:00Z", ["2026-03-08", "2026-03-15"]),
        ("0 0 13 * 5", "2026-02-10T00:00Z", ["2026-02-13", "2026-02-20", "2026-02-27", "2026-03-06", "2026-03-13"]),
        ("0 0 * * mon-tue", "2026-03-01T00:00Z", ["2026-03-02", "2026-03-03", "2026-03-09"]),
        ("0 0 1 jan *", "2026-03-01T00:00Z", ["2027-01-01"]),
    ],
)
def test_calendars(expression: str, after: str, expected: list[str]) -> None:
    found = islice(timetable(expression).ticks(moment(after)), len(expected))
    assert [tick.logical_date for tick in found] == [moment(f"{day}T00:00Z") for day in expected]


def test_previous_of_a_leap_day() -> None:
    assert timetable("0 0 29 2 *").previous(moment("2028-02-29T00:00Z")) == moment("2024-02-29T00:00Z")
    assert timetable("0 0 29 2 *").previous(moment("2028-02-29T00:00:01Z")) == moment("2028-02-29T00:00Z")


def test_next_is_strictly_after_and_previous_strictly_before() -> None:
    schedule = timetable("*/5 * * * *")
    at = moment("2026-03-01T12:05Z")
    assert schedule.next(at) == at + timedelta(minutes=5)
    assert schedule.previous(at) == at - timedelta(minutes=5)
    assert schedule.next(at - timedelta(microseconds=1)) == at
    assert schedule.previous(at + timedelta(microseconds=1)) == at
    assert schedule.next(at + timedelta(seconds=59.5)) == at + timedelta(minutes=5)


def test_intervals_join_without_a_gap() -> None:
    found = list(islice(timetable("*/30 * * * *", "Europe/Berlin").ticks(moment("2026-10-25T00:00+02:00")), 20))
    assert found[0].interval_start == moment("2026-10-25T00:00+02:00")
    assert all(later.interval_start == earlier.logical_date for earlier, later in pairwise(found))


def test_the_first_interval_starts_at_the_tick_before() -> None:
    first = next(timetable("0 6 * * *").ticks(moment("2026-03-01T12:00Z")))
    assert (first.interval_start, first.logical_date) == (moment("2026-03-01T06:00Z"), moment("2026-03-02T06:00Z"))


def test_ticks_are_in_utc() -> None:
    tick = next(timetable("0 6 * * *", "Asia/Kolkata").ticks(moment("2026-03-01T12:00Z")))
    assert tick.logical_date.tzinfo is UTC
    assert tick.logical_date == moment("2026-03-02T00:30Z")


def test_of_a_dag() -> None:
    tasks = [{"name": "a", "noop": True}]
    made = moment("2026-03-01T00:00Z")
    assert timetable_of(DagSpec.model_validate({"tasks": tasks}), made) is None
    berlin = DagSpec.model_validate({"schedule": "@daily", "timeZone": "Europe/Berlin", "tasks": tasks})
    assert timetable_of(berlin, made) == timetable("0 0 * * *", "Europe/Berlin")
    utc = DagSpec.model_validate({"schedule": " 5  4 * * * ", "tasks": tasks})
    assert timetable_of(utc, made) == timetable("5 4 * * *")


def test_the_tick_before_is_found_quickly_among_very_many() -> None:
    """A year of nothing after a day of a tick each minute: the day must not be walked tick by tick."""
    asked = 0

    class Counting(CronTimetable):
        def next(self, after: datetime) -> datetime:
            nonlocal asked
            asked += 1
            return super().next(after)

    timetable = Counting("* 0-22 1 1 *", ZoneInfo("UTC"))
    assert timetable.previous(datetime(2026, 12, 1, tzinfo=UTC)) == datetime(2026, 1, 1, 22, 59, tzinfo=UTC)
    assert asked < 100


def test_a_range_of_one_is_one_value() -> None:
    assert cron_expression("5-5 0 * * *") == "5 0 * * *"
    assert cron_expression("5-15 0-5/5 * * mon-mon") == "5-15 0-5/5 * * mon"
