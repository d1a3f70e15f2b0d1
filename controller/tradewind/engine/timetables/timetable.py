"""The interface of every kind of schedule: its next and its previous tick."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Tick:
    """One moment of a schedule: the logical date of a run, the time it starts, and the end of its data interval."""

    logical_date: datetime
    interval_start: datetime


class Timetable(Protocol):
    """The ticks of one schedule. All moments have a time zone; returned ones are in UTC."""

    __slots__ = ()

    def next(self, after: datetime) -> datetime | None:
        """The first tick after `after`; None if there is none."""

    def previous(self, before: datetime) -> datetime | None:
        """The last tick before `before`; None if there is none."""

    def ticks(self, after: datetime) -> Iterator[Tick]:
        """Every tick after `after`, in order; each data interval starts where the previous one ends."""
        start = self.previous(after + timedelta(microseconds=1))
        while (tick := self.next(after)) is not None:
            yield Tick(tick, start or tick)
            start = after = tick
