"""The data interval of a run that does not set one: the last complete interval of the schedule.

A manual run for a tick of the schedule has the same interval as the scheduled run of that tick. Any other run has the
interval that ends at the last tick before its logical date, as Airflow infers it. Without a schedule the interval is
empty, at the logical date.
"""

from datetime import datetime, timedelta

from tradewind.engine.timetables import Timetable

_JUST_AFTER = timedelta(microseconds=1)


def inferred_interval(timetable: Timetable | None, logical_date: datetime) -> tuple[datetime, datetime]:
    """Start and end of the data interval of a run with this logical date that does not set one."""
    empty = logical_date, logical_date
    if timetable is None:
        return empty
    try:
        end = timetable.previous(logical_date + _JUST_AFTER)
        start = timetable.previous(end) if end else None
    except (OverflowError, ValueError):
        return empty  # before the first or after the last moment of datetime
    return (start, end) if start and end else empty
