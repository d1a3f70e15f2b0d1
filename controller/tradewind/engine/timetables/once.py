"""`@once`: a single tick."""

from dataclasses import dataclass
from datetime import datetime

from tradewind.engine.timetables.timetable import Timetable


@dataclass(frozen=True, slots=True)
class OnceTimetable(Timetable):
    """The only tick is `moment`: startDate, or the creation time of the Dag."""

    moment: datetime

    def next(self, after: datetime) -> datetime | None:
        """The tick if it is after `after`."""
        return self.moment if self.moment > after else None

    def previous(self, before: datetime) -> datetime | None:
        """The tick if it is before `before`."""
        return self.moment if self.moment < before else None
