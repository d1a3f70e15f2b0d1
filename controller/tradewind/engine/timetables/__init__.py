"""The ticks of a schedule: one file for each kind of schedule.

timetable.py    the interface of all kinds
cron.py         cron expressions, and presets such as @daily, in a time zone
every.py        {every: 15m}
once.py         @once
continuous.py   @continuous
union.py        several schedules
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from tradewind.api.cron import cron_expression, time_zone
from tradewind.api.dag import DagSpec
from tradewind.api.duration import parse_duration
from tradewind.api.schedule import CONTINUOUS, ONCE, Every
from tradewind.engine.timetables.continuous import ContinuousTimetable
from tradewind.engine.timetables.cron import CronTimetable
from tradewind.engine.timetables.every import EveryTimetable
from tradewind.engine.timetables.once import OnceTimetable
from tradewind.engine.timetables.timetable import Tick, Timetable
from tradewind.engine.timetables.union import UnionTimetable

__all__ = [
    "ContinuousTimetable",
    "CronTimetable",
    "EveryTimetable",
    "OnceTimetable",
    "Tick",
    "Timetable",
    "UnionTimetable",
    "joined_timetable",
    "timetable_of",
]


def timetable_of(spec: DagSpec, created_at: datetime) -> Timetable | None:
    """The timetable of an accepted Dag that was created at `created_at`; None if it has no schedule."""
    created_at = created_at.astimezone(UTC)
    return joined_timetable(spec.all_schedules, spec.time_zone, spec.start_date or created_at, created_at)


def joined_timetable(
    schedules: Sequence[str | Every], zone: str | None, start: datetime, created_at: datetime
) -> Timetable | None:
    """The union of the schedules' timetables, None without schedules; `start` (in UTC) is startDate or `created_at`."""
    parts = tuple(_timetable(schedule, zone, start, created_at) for schedule in schedules)
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else UnionTimetable(parts)


def _timetable(schedule: str | Every, zone: str | None, start: datetime, created_at: datetime) -> Timetable:
    if isinstance(schedule, Every):
        return EveryTimetable(start, parse_duration(schedule.every))
    if schedule.strip() == ONCE:
        return OnceTimetable(start)
    if schedule.strip() == CONTINUOUS:
        return ContinuousTimetable(max(start, created_at))
    return CronTimetable(cron_expression(schedule), time_zone(zone or "UTC"))
