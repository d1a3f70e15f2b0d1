"""When a Dag runs by itself: one file for each kind of schedule.

timetable.py    what all kinds have in common
cron.py         cron expressions and the presets that stand for one, in a time zone
every.py        {every: 15m}
once.py         @once
continuous.py   @continuous
union.py        several of them
"""

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
    "timetable_of",
]


def timetable_of(spec: DagSpec, created_at: datetime) -> Timetable | None:
    """The timetable of an accepted Dag that was made at `created_at`; None for one without schedule."""
    parts = tuple(_timetable(schedule, spec, created_at.astimezone(UTC)) for schedule in spec.all_schedules)
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else UnionTimetable(parts)


def _timetable(schedule: str | Every, spec: DagSpec, created_at: datetime) -> Timetable:
    start = spec.start_date or created_at
    if isinstance(schedule, Every):
        return EveryTimetable(start, parse_duration(schedule.every))
    if schedule.strip() == ONCE:
        return OnceTimetable(start)
    if schedule.strip() == CONTINUOUS:
        return ContinuousTimetable(max(start, created_at))
    return CronTimetable(cron_expression(schedule), time_zone(spec.time_zone or "UTC"))
