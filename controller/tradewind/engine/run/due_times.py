"""When instances that wait for their next try are due, many of them at the same moment."""

from collections.abc import Mapping
from datetime import datetime

from tradewind.engine.run.index_set import IndexSet


class DueTimes:
    """A moment by index, and the indexes of each moment."""

    __slots__ = ("_indexes", "_moments")

    def __init__(self) -> None:
        self._moments: dict[int, datetime] = {}
        self._indexes: dict[datetime, IndexSet] = {}

    def set(self, index: int, moment: datetime) -> bool:
        """An instance is due then. False where others are at the same moment, known before."""
        self.discard(index)
        self._moments[index] = moment
        known = self._indexes.get(moment)
        if known is None:
            self._indexes[moment] = IndexSet([index])
        else:
            known.add(index)
        return known is None

    def set_all(self, indexes: IndexSet, moment: datetime) -> None:
        """Instances of which nothing is known are due then."""
        self._moments |= dict.fromkeys(indexes, moment)
        self._indexes[moment] = self._indexes.get(moment, IndexSet()) | indexes

    def get(self, index: int) -> datetime | None:
        """When an instance is due, if it is."""
        return self._moments.get(index)

    def take(self, moment: datetime) -> IndexSet:
        """The instances that are due just then; from now on they are not."""
        indexes = self._indexes.pop(moment, None) or IndexSet()
        for index in indexes:
            del self._moments[index]
        return indexes

    def discard(self, index: int) -> None:
        """The instance is not due any more, if it was."""
        moment = self._moments.pop(index, None)
        if moment is not None:
            left = self._indexes[moment]
            left.discard(index)
            if not left:
                del self._indexes[moment]

    def discard_all(self, indexes: IndexSet) -> None:
        """The instances are not due any more, those that were."""
        for moment, known in list(self._indexes.items()):
            gone = known & indexes
            for index in gone:
                del self._moments[index]
            if len(gone) == len(known):
                del self._indexes[moment]
            elif gone:
                self._indexes[moment] = known - gone

    @property
    def moments(self) -> Mapping[datetime, IndexSet]:
        """Each moment and who is due."""
        return self._indexes
