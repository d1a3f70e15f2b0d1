"""The span of data that a run is about, where nobody has said it: the last whole interval of the schedule.

A manual run for a tick of the schedule has the interval that the scheduled run of that tick has. Any other has the one
that the last tick before it closed, as Airflow infers it. Without a schedule it is empty, at the logical date.
"""

from datetime import datetime, timedelta

from tradewind.engine.timetables import Timetable

_JUST_AFTER = timedelta(microseconds=1)


def inferred_interval(timetable: Timetable | None, logical_date: datetime) -> tuple[datetime, datetime]:
    """Start and end of the data interval of a run of that date that does not say its own."""
    empty = logical_date, logical_date
    if timetable is None:
        return empty
    try:
        end = timetable.previous(logical_date + _JUST_AFTER)
        start = timetable.previous(end) if end else None
    except (OverflowError, ValueError):
        return empty  # the calendar ends, on one side or the other
    return (start, end) if start and end else empty
