"""Cron expressions: their ticks in a time zone, the same as in Airflow's CronTriggerTimetable.

Cron is matched on naive local time, which is then placed in the zone. When clocks change, a schedule that covers every
hour advances by elapsed time, so the repeated hour runs twice; any other schedule follows the wall clock: a time in the
gap moves forward by the gap, a repeated time runs once, at its second occurrence.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from croniter import croniter

from tradewind.engine.timetables.timetable import Timetable

_NEAR_CHANGE = timedelta(hours=26)
_LONGEST_GAP = timedelta(days=36525)
_SECOND = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class CronTimetable(Timetable):
    """A cron expression of five fields in a time zone."""

    expression: str
    zone: ZoneInfo

    def next(self, after: datetime) -> datetime:
        """The first tick after `after`."""
        if self._covers_every_hour():
            return self._next_by_elapsed_time(after)
        return self._next_by_wall_clock(after)

    def previous(self, before: datetime) -> datetime | None:
        """The last tick before `before`; None if there is none within a hundred years."""
        naive = before.astimezone(self.zone).replace(tzinfo=None)
        likely = self._localise(_matches(self.expression).get_prev(datetime, naive))
        # True unless clocks changed in between.
        if likely < before <= self.next(likely) and self.next(likely - _SECOND) == likely:
            return likely
        return self._search(before)

    def _search(self, before: datetime) -> datetime | None:
        """The result of previous(), found by next() alone."""
        span = timedelta(minutes=1)
        while (tick := self.next(before - span)) >= before:
            span *= 2
            if span > _LONGEST_GAP:
                return None
        # The span may have very many ticks: bisect to just before the last one.
        early, late = before - span, before - span / 2
        while late - early > _SECOND:
            middle = early + (late - early) / 2
            if self.next(middle) < before:
                early = middle
            else:
                late = middle
        tick = self.next(early)
        while (following := self.next(tick)) < before:
            tick = following
        return tick

    def _covers_every_hour(self) -> bool:
        return _covers_every_hour(self.expression)

    def _next_by_elapsed_time(self, after: datetime) -> datetime:
        naive = after.astimezone(self.zone).replace(tzinfo=None)
        following: datetime = _matches(self.expression).get_next(datetime, naive)
        return after.astimezone(UTC) + (following - naive)

    def _next_by_wall_clock(self, after: datetime) -> datetime:
        local = after.astimezone(self.zone).replace(tzinfo=None)
        # Near a change of clocks, naive order and real order differ: start early enough to see every tick that may move
        # past `after`, and continue until no later tick can move before the one found.
        near = self._offset_changes_near(after)
        ticks = _matches(self.expression)
        ticks.set_current(local - _NEAR_CHANGE if near else local, force=True)
        found: datetime | None = None
        while True:
            naive: datetime = ticks.get_next(datetime)
            candidate = self._localise(naive)
            if candidate > after and (found is None or candidate < found):
                found = candidate
            if found is not None and naive >= found.astimezone(self.zone).replace(tzinfo=None):
                return found

    def _offset_changes_near(self, moment: datetime) -> bool:
        before = (moment - _NEAR_CHANGE).astimezone(self.zone).utcoffset()
        return before != (moment + _NEAR_CHANGE).astimezone(self.zone).utcoffset()

    def _localise(self, naive: datetime) -> datetime:
        """A wall-clock time of the zone, in UTC; a time in a gap moves past it, a repeated one is the second."""
        first = naive.replace(tzinfo=self.zone, fold=0)
        second = naive.replace(tzinfo=self.zone, fold=1)
        in_gap = first.astimezone(UTC).astimezone(self.zone).replace(tzinfo=None) != naive
        return (first if in_gap else second).astimezone(UTC)


@lru_cache(maxsize=1024)
def _matches(expression: str) -> croniter:
    """An iterator over the matches of an expression; set its current time before each use. Cached because parsing an
    expression takes longer than finding its next match."""
    return croniter(expression, _EPOCH)


@lru_cache(maxsize=1024)
def _covers_every_hour(expression: str) -> bool:
    return bool(croniter.expand(expression)[0][1] == ["*"])
