"""`{every: 15m}`: ticks at equal steps of elapsed time, so a change of clocks does not move them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tradewind.engine.timetables.timetable import Timetable


@dataclass(frozen=True, slots=True)
class EveryTimetable(Timetable):
    """`anchor` (in UTC) is a tick, and so is each moment a multiple of `period` before or after it."""

    anchor: datetime
    period: timedelta

    def next(self, after: datetime) -> datetime:
        """The first tick after `after`."""
        return self.anchor + ((after - self.anchor) // self.period + 1) * self.period

    def previous(self, before: datetime) -> datetime:
        """The last tick before `before`."""
        return self.anchor - ((self.anchor - before) // self.period + 1) * self.period
