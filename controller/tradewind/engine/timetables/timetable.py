"""What every kind of schedule can tell: its next and its previous tick."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Tick:
    """One moment of a schedule: a run with this logical date starts at it; its data interval ends there."""

    logical_date: datetime
    interval_start: datetime


class Timetable(Protocol):
    """The ticks of one schedule. All moments are aware; those returned are in UTC."""

    __slots__ = ()

    def next(self, after: datetime) -> datetime | None:
        """The first tick after `after`; None when there is none."""

    def previous(self, before: datetime) -> datetime | None:
        """The last tick before `before`; None when there is none."""

    def ticks(self, after: datetime) -> Iterator[Tick]:
        """Every tick after `after`, in order; each interval starts where the one before ended."""
        start = self.previous(after + timedelta(microseconds=1))
        while (tick := self.next(after)) is not None:
            yield Tick(tick, start or tick)
            start = after = tick
