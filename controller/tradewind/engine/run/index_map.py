"""Numbers by index, such as tries: thousands of instances of a mapped task have the same number."""

from collections.abc import Iterable, Mapping

from tradewind.engine.run.index_set import IndexSet


class IndexMap:
    """A number >= 0 for some indexes, stored as one set of indexes for each number: meant for few distinct numbers."""

    __slots__ = ("_by_number",)

    def __init__(self) -> None:
        self._by_number: dict[int, IndexSet] = {}

    @classmethod
    def parse(cls, texts: Mapping[str, str] | None) -> "IndexMap":
        """The inverse of texts(). Raises ValueError for anything else."""
        found = cls()
        found._by_number = {int(number): IndexSet.parse(text) for number, text in (texts or {}).items()}
        return found

    def texts(self) -> dict[str, str]:
        """`{"2": "3,17-20"}`, the lowest number first."""
        return {str(number): str(self._by_number[number]) for number in sorted(self._by_number)}

    def items(self) -> Iterable[tuple[int, IndexSet]]:
        """Each number and its indexes."""
        return self._by_number.items()

    def get(self, index: int, otherwise: int = 0) -> int:
        """The number of an index, or `otherwise`."""
        for number, indexes in self._by_number.items():
            if index in indexes:
                return number
        return otherwise

    def set(self, index: int, number: int | None) -> None:
        """Set the number of an index; None removes it."""
        known = self.get(index, -1)
        if known == number:
            return
        if known >= 0:
            indexes = self._by_number[known]
            indexes.discard(index)
            if not indexes:
                del self._by_number[known]
        if number is not None:
            self._by_number.setdefault(number, IndexSet()).add(index)

    def set_all(self, indexes: IndexSet, number: int | None) -> None:
        """Set the number of many indexes; None removes theirs."""
        for known, before in list(self._by_number.items()):
            left = before - indexes
            if left:
                self._by_number[known] = left
            else:
                del self._by_number[known]
        if number is not None and indexes:
            self._by_number[number] = self._by_number.get(number, IndexSet()) | indexes

    def __bool__(self) -> bool:
        return bool(self._by_number)
