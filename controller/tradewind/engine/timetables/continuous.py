"""`@continuous`: the next run starts as soon as the last one has finished.

Only the first tick is known in advance. Each later tick is the finish time of the previous run, rounded up to a whole
second because a run's name has the second of its tick; every controller that reads the finish time gets the same name.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tradewind.engine.timetables.timetable import Timetable

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class ContinuousTimetable(Timetable):
    """The first run starts at `start`: startDate or the creation time of the Dag, whichever is later."""

    start: datetime

    def next(self, after: datetime) -> datetime | None:
        """The first tick if it is after `after`: no other is known in advance."""
        return self.start if self.start > after else None

    def previous(self, before: datetime) -> datetime | None:
        """The first tick if it is before `before`."""
        return self.start if self.start < before else None

    def following(self, last: datetime, finished_at: datetime) -> datetime:
        """The tick after `last`, whose run finished at `finished_at`."""
        if last < self.start:
            return self.start
        whole = finished_at.replace(microsecond=0)
        return max(whole if whole == finished_at else whole + _SECOND, last + _SECOND)
