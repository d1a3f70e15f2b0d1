"""Which ticks of a Dag get a run now, and when to look again."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tradewind.api.dag import DagSpec
from tradewind.api.duration import parse_duration
from tradewind.engine.timetable import CronTimetable, Tick

MAX_TICKS_AT_ONCE = 100
"""Ticks looked at in one step of a long catch-up; the rest follow in the next step."""


@dataclass(frozen=True, slots=True)
class Due:
    """`create`: ticks that get a run now, oldest first. `passed_over`: the last tick that gets none, having come too
    late. `next`: the first tick that is not due yet. `wake_at`: when to look again."""

    create: list[Tick] = field(default_factory=list)
    passed_over: datetime | None = None
    next: datetime | None = None
    wake_at: datetime | None = None


def first_moment(spec: DagSpec, created_at: datetime) -> datetime:
    """Ticks after this count; a tick exactly at startDate does."""
    return spec.start_date - timedelta(microseconds=1) if spec.start_date else created_at


def due_ticks(
    spec: DagSpec,
    timetable: CronTimetable,
    *,
    after: datetime,
    now: datetime,
    room: int,
) -> Due:
    """Ticks in (after, now] that get a run, at most `room`: all of them with catchup, else only the latest.

    `after` is the last tick that was dealt with, or first_moment(). Ticks older than startingDeadline are passed over.
    Without room nothing is lost: the ticks stay due, and without catchup the latest takes the place of the others.
    """
    latest = min(now, spec.end_date) if spec.end_date else now
    oldest = now - parse_duration(spec.starting_deadline) if spec.starting_deadline else None
    passed_over: datetime | None = None
    if oldest and oldest > after:
        skipped = timetable.previous(oldest)
        if skipped and skipped > after:
            passed_over = after = skipped
    if not spec.catchup:
        newest = timetable.previous(latest + timedelta(microseconds=1))
        if newest and newest > after:
            start = timetable.previous(newest) or newest
            following = _within(spec, timetable.next(newest))
            if room < 1:
                return Due(passed_over=passed_over, next=newest)
            return Due([Tick(newest, start)], passed_over, following, following)
        following = _within(spec, timetable.next(after))
        return Due(passed_over=passed_over, next=following, wake_at=following)
    create: list[Tick] = []
    for tick in timetable.ticks(after):
        if tick.logical_date > latest:
            following = _within(spec, tick.logical_date)
            return Due(create, passed_over, following, following)
        if len(create) >= min(room, MAX_TICKS_AT_ONCE):
            return Due(create, passed_over, tick.logical_date, now if room > len(create) else None)
        create.append(tick)
    raise AssertionError("a timetable has no last tick")


def _within(spec: DagSpec, moment: datetime) -> datetime | None:
    return None if spec.end_date and moment > spec.end_date else moment
