"""The ticks of a Dag that get a run now, and when to requeue the Dag."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tradewind.api.dag import DagSpec
from tradewind.api.duration import parse_duration
from tradewind.api.resolve import DEFAULT_MAX_ACTIVE_RUNS
from tradewind.api.schedule import CONTINUOUS, ONCE
from tradewind.engine.timetables import ContinuousTimetable, Tick, Timetable, timetable_of

MAX_TICKS_AT_ONCE = 100
"""Ticks handled in one step of a long catchup; the rest follow in the next step."""
_JUST_BEFORE = timedelta(microseconds=1)
_EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
"""datetime has no moment before the year 1."""


@dataclass(frozen=True, slots=True)
class Due:
    """`create`: ticks that get a run now, oldest first. `passed_over`: the last tick that gets none because it is too
    late. `next`: the first tick that is not due yet. `wake_at`: when to requeue the Dag. `after_run`: the next tick is
    not known before a run has finished."""

    create: list[Tick] = field(default_factory=list)
    passed_over: datetime | None = None
    next: datetime | None = None
    wake_at: datetime | None = None
    after_run: bool = False


def first_moment(spec: DagSpec, created_at: datetime) -> datetime:
    """The moment after which ticks count; a tick exactly at startDate counts."""
    if spec.start_date:
        return max(spec.start_date, _EARLIEST) - _JUST_BEFORE
    return created_at - _JUST_BEFORE if _has(spec, ONCE, CONTINUOUS) else created_at


def counts_from(spec: DagSpec, created_at: datetime, last: datetime | None) -> datetime:
    """The moment after which ticks are unprocessed; `last` is the last processed tick. A later startDate holds back
    ticks even if the Dag has had runs."""
    first = first_moment(spec, created_at)
    return first if last is None else max(last, first) if spec.start_date else last


def settled_without_status(spec: DagSpec, timetable: Timetable | None, now: datetime) -> datetime | None:
    """The moment up to which ticks get no run, for a Dag without status; None with catchup, which may create any."""
    if spec.catchup:
        return None
    newest = timetable.previous(now + _JUST_BEFORE) if timetable else None
    return newest - _JUST_BEFORE if newest else now


def max_active_runs(spec: DagSpec) -> int:
    """The number of runs of the Dag that may be Running at once."""
    return 1 if _has(spec, CONTINUOUS) else spec.max_active_runs or DEFAULT_MAX_ACTIVE_RUNS


def upcoming(spec: DagSpec, after: datetime) -> Iterator[Tick]:
    """The ticks after `after` up to endDate, of a Dag that is created at that moment; `suspend` is ignored.

    @continuous has only one known tick: `after` (or startDate) itself, as if a run had just finished.
    """
    timetable = timetable_of(spec, after)
    if timetable is None:
        return
    begin = max(after, first_moment(spec, after))
    if _has(spec, CONTINUOUS) or (_has(spec, ONCE) and spec.start_date is None):
        begin = first_moment(spec, after) if spec.start_date is None else begin - _JUST_BEFORE
    for tick in timetable.ticks(begin):
        if _within(spec, tick.logical_date) is None:
            return
        yield tick


def due_ticks(
    spec: DagSpec,
    timetable: Timetable,
    *,
    after: datetime,
    now: datetime,
    room: int,
    finished_at: datetime | None = None,
) -> Due:
    """Ticks in (after, now] that get a run, at most `room`: all of them with catchup, else only the latest.

    `after` is counts_from(); `finished_at` is when the last run finished, which only @continuous needs. Ticks older
    than startingDeadline are passed over. Without room no tick is lost: the ticks stay due, and without catchup the
    latest replaces the others.
    """
    if isinstance(timetable, ContinuousTimetable):
        return _due_after_run(spec, timetable, after=after, now=now, room=room, finished_at=finished_at)
    latest = min(now, spec.end_date) if spec.end_date else now
    oldest = now - parse_duration(spec.starting_deadline) if spec.starting_deadline else None
    passed_over: datetime | None = None
    if oldest and oldest > after:
        skipped = timetable.previous(oldest)
        if skipped and skipped > after:
            passed_over = after = skipped
    if not spec.catchup:
        # The next tick is cheap to compute, and most often not due yet.
        following = timetable.next(after)
        if following is None or following > latest:
            following = _within(spec, following)
            return Due(passed_over=passed_over, next=following, wake_at=following)
        newest = timetable.previous(latest + _JUST_BEFORE)
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
    return Due(create, passed_over)


def _due_after_run(
    spec: DagSpec,
    timetable: ContinuousTimetable,
    *,
    after: datetime,
    now: datetime,
    room: int,
    finished_at: datetime | None,
) -> Due:
    """One tick once the last run has finished: there is nothing to catch up, and no tick is ever too late."""
    if room < 1:
        return Due(after_run=True)
    # The last run may have been deleted before its finish was seen.
    tick = timetable.following(after, finished_at if finished_at and finished_at > after else now)
    if _within(spec, tick) is None:
        return Due()
    if tick > now:
        return Due(next=tick, wake_at=tick)
    start = after if after >= timetable.start else tick
    return Due([Tick(tick, start)], after_run=True)


def _has(spec: DagSpec, *presets: str) -> bool:
    return any(isinstance(each, str) and each.strip() in presets for each in spec.all_schedules)


def _within(spec: DagSpec, moment: datetime | None) -> datetime | None:
    return None if moment and spec.end_date and moment > spec.end_date else moment
