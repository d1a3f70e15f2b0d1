"""`@continuous`: the next run starts as soon as the last has ended.

Only the first tick is known ahead. Each later one is the end of the run before, in whole seconds because runs are named
after the second: the same for every controller that reads when that run ended.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tradewind.engine.timetables.timetable import Timetable

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class ContinuousTimetable(Timetable):
    """The first run starts at `start`: startDate or when the Dag was made, whichever is later."""

    start: datetime

    def next(self, after: datetime) -> datetime | None:
        """The first tick, if it is after `after`: no other is known ahead."""
        return self.start if self.start > after else None

    def previous(self, before: datetime) -> datetime | None:
        """The first tick, if it is before `before`."""
        return self.start if self.start < before else None

    def following(self, last: datetime, ended: datetime) -> datetime:
        """The tick after `last`, whose run ended at `ended`."""
        if last < self.start:
            return self.start
        whole = ended.replace(microsecond=0)
        return max(whole if whole == ended else whole + _SECOND, last + _SECOND)
