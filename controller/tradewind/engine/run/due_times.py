"""The times at which instances are due for their next try; many share the same time."""

from collections.abc import Mapping
from datetime import datetime

from tradewind.engine.run.index_set import IndexSet


class DueTimes:
    """A moment for each index, and the indexes of each moment."""

    __slots__ = ("_indexes", "_moments")

    def __init__(self) -> None:
        self._moments: dict[int, datetime] = {}
        self._indexes: dict[datetime, IndexSet] = {}

    def set(self, index: int, moment: datetime) -> bool:
        """Set when an instance is due. Return False if other instances are due at the same moment."""
        self.discard(index)
        self._moments[index] = moment
        known = self._indexes.get(moment)
        if known is None:
            self._indexes[moment] = IndexSet([index])
        else:
            known.add(index)
        return known is None

    def set_all(self, indexes: IndexSet, moment: datetime) -> None:
        """Set when instances are due that have no due time yet."""
        self._moments |= dict.fromkeys(indexes, moment)
        self._indexes[moment] = self._indexes.get(moment, IndexSet()) | indexes

    def get(self, index: int) -> datetime | None:
        """When an instance is due, or None."""
        return self._moments.get(index)

    def take(self, moment: datetime) -> IndexSet:
        """Remove and return the instances that are due at exactly this moment."""
        indexes = self._indexes.pop(moment, None) or IndexSet()
        for index in indexes:
            del self._moments[index]
        return indexes

    def discard(self, index: int) -> None:
        """Remove the due time of an instance, if it has one."""
        moment = self._moments.pop(index, None)
        if moment is not None:
            left = self._indexes[moment]
            left.discard(index)
            if not left:
                del self._indexes[moment]

    def discard_all(self, indexes: IndexSet) -> None:
        """Remove the due times of instances that have one."""
        for moment, known in list(self._indexes.items()):
            removed = known & indexes
            for index in removed:
                del self._moments[index]
            if len(removed) == len(known):
                del self._indexes[moment]
            elif removed:
                self._indexes[moment] = known - removed

    @property
    def moments(self) -> Mapping[datetime, IndexSet]:
        """The instances that are due, by moment."""
        return self._indexes
