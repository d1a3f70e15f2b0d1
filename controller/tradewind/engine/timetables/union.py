"""`schedules`: the ticks of several schedules; ticks at the same moment count once."""

from dataclasses import dataclass
from datetime import datetime

from tradewind.engine.timetables.timetable import Timetable


@dataclass(frozen=True, slots=True)
class UnionTimetable(Timetable):
    """The ticks of all `parts`."""

    parts: tuple[Timetable, ...]

    def next(self, after: datetime) -> datetime | None:
        """The first tick of any part after `after`."""
        return min((tick for part in self.parts if (tick := part.next(after))), default=None)

    def previous(self, before: datetime) -> datetime | None:
        """The last tick of any part before `before`."""
        return max((tick for part in self.parts if (tick := part.previous(before))), default=None)
