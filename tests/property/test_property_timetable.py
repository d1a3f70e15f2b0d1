"""Ticks of any schedule in any zone: in order, none skipped, none made up."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tradewind.engine.timetables import CronTimetable

pytestmark = pytest.mark.property

MICROSECOND = timedelta(microseconds=1)
FEW = settings(max_examples=settings().max_examples // 8)
"""croniter is slow where a schedule has long pauses."""
WHOLE_HOURS = [
    "UTC",
    "Europe/Berlin",
    "Europe/Dublin",
    "America/New_York",
    "America/St_Johns",
    "America/Havana",
    "America/Asuncion",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kolkata",
    "Pacific/Chatham",
    "Antarctica/Troll",
]
ZONES = [*WHOLE_HOURS, "Australia/Lord_Howe", "Pacific/Apia"]


def cron_field(low: int, high: int) -> st.SearchStrategy[str]:
    numbers = st.integers(low, high)
    # No range of one number: croniter takes `5-5` for all numbers.
    return st.one_of(
        numbers.map(str),
        st.lists(numbers, min_size=1, max_size=3, unique=True).map(lambda found: ",".join(map(str, sorted(found)))),
        st.tuples(numbers, numbers).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: f"{pair[0]}-{pair[1]}"),
        st.integers(2, max(2, (high - low) // 2)).map(lambda step: f"*/{step}"),
    )


MINUTES = st.one_of(st.just("*"), cron_field(0, 59))
HOURS = cron_field(0, 22)
DAYS = st.tuples(
    st.one_of(st.just("*"), cron_field(1, 28)),
    st.one_of(st.just("*"), cron_field(1, 12)),
    st.one_of(st.just("*"), cron_field(0, 6)),
).map(" ".join)
MOMENTS = st.one_of(
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),
    # Around the changes of clocks, where there is something to get wrong.
    st.tuples(
        st.sampled_from([datetime(2026, 3, 8), datetime(2026, 3, 29), datetime(2026, 10, 25), datetime(2026, 11, 1)]),
        st.integers(-36 * 60, 36 * 60),
    ).map(lambda found: found[0].replace(tzinfo=UTC) + timedelta(minutes=found[1])),
)


@FEW
@given(minutes=MINUTES, hours=st.one_of(st.just("*"), HOURS), days=DAYS, zone=st.sampled_from(ZONES), start=MOMENTS)
def test_ticks_are_strictly_increasing(minutes: str, hours: str, days: str, zone: str, start: datetime) -> None:
    schedule = CronTimetable(f"{minutes} {hours} {days}", ZoneInfo(zone))
    ticks = list(islice(schedule.ticks(start), 6))
    dates = [start, *(tick.logical_date for tick in ticks)]
    assert all(earlier < later for earlier, later in pairwise(dates))
    assert all(later.interval_start == earlier.logical_date for earlier, later in pairwise(ticks))
    assert ticks[0].interval_start <= start or ticks[0].interval_start == ticks[0].logical_date


def check_neighbours(schedule: CronTimetable, start: datetime) -> None:
    """Whoever asks and from wherever, the ticks are the same."""
    tick = schedule.next(start)
    assert schedule.previous(tick + MICROSECOND) == tick
    assert schedule.next(tick - MICROSECOND) == tick
    before = schedule.previous(tick)
    assert before is not None
    assert before <= start < tick
    assert schedule.next(before) == tick
    assert schedule.next(before + (tick - before) / 3) == tick
    after = schedule.next(tick)
    assert schedule.previous(after) == tick


@FEW
@given(minutes=MINUTES, hours=HOURS, days=DAYS, zone=st.sampled_from(ZONES), start=MOMENTS)
def test_wall_clock_schedules_are_the_same_from_both_sides(
    minutes: str, hours: str, days: str, zone: str, start: datetime
) -> None:
    check_neighbours(CronTimetable(f"{minutes} {hours} {days}", ZoneInfo(zone)), start)


@given(minutes=MINUTES, zone=st.sampled_from(WHOLE_HOURS), start=MOMENTS)
def test_hourly_schedules_are_the_same_from_both_sides(minutes: str, zone: str, start: datetime) -> None:
    check_neighbours(CronTimetable(f"{minutes} * * * *", ZoneInfo(zone)), start)


@given(minutes=MINUTES, hours=HOURS, days=DAYS, zone=st.sampled_from(ZONES), start=MOMENTS)
def test_away_from_changes_of_clocks_ticks_show_the_time_of_the_schedule(
    minutes: str, hours: str, days: str, zone: str, start: datetime
) -> None:
    tick = CronTimetable(f"{minutes} {hours} {days}", ZoneInfo(zone)).next(start)
    local = tick.astimezone(ZoneInfo(zone))
    nearby = {(local + timedelta(hours=away)).astimezone(local.tzinfo).utcoffset() for away in (-30, 0, 30)}
    assume(len(nearby) == 1)
    assert (local.second, local.microsecond) == (0, 0)
    assert allows(minutes, local.minute)
    assert allows(hours, local.hour)
    assert allows(days.split()[1], local.month, first=1)


def allows(field: str, number: int, first: int = 0) -> bool:
    """Whether a cron field whose numbers begin at `first` has the number."""
    if field.startswith("*/"):
        return (number - first) % int(field[2:]) == 0
    if "-" in field:
        low, high = map(int, field.split("-"))
        return low <= number <= high
    return field == "*" or number in map(int, field.split(","))
