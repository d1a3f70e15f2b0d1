"""A set of indexes kept as ranges: what thousands of alike instances of a mapped task take is one line."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class IndexSet:
    """Whole numbers from 0. Reads and writes `"0-811,813"`, as the status of an Indexed Job does."""

    __slots__ = ("_ends", "_size", "_starts")

    def __init__(self, indexes: Iterable[int] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        """The last index of each range."""
        self._size = 0
        for index in indexes:
            self.add(index)

    @classmethod
    def range(cls, count: int) -> "IndexSet":
        """All indexes below `count`."""
        found = cls()
        if count:
            found._starts, found._ends, found._size = [0], [count - 1], count
        return found

    @classmethod
    def parse(cls, text: str) -> "IndexSet":
        """The set that str() wrote. Raises ValueError for anything else."""
        found = cls()
        for part in text.split(",") if text else ():
            first, _, last = part.partition("-")
            start, end = int(first), int(last or first)
            if end < start or (found._ends and start <= found._ends[-1]):
                raise ValueError(f"{text!r} is not a list of ascending ranges")
            found._starts.append(start)
            found._ends.append(end)
            found._size += end - start + 1
        return found

    def add(self, index: int) -> None:
        """Add an index; one that is there already changes nothing."""
        starts, ends = self._starts, self._ends
        at = bisect_right(starts, index)
        if at and index <= ends[at - 1]:
            return
        self._size += 1
        joins_left = at > 0 and ends[at - 1] == index - 1
        joins_right = at < len(starts) and starts[at] == index + 1
        if joins_left and joins_right:
            ends[at - 1] = ends[at]
            del starts[at], ends[at]
        elif joins_left:
            ends[at - 1] = index
        elif joins_right:
            starts[at] = index
        else:
            starts.insert(at, index)
            ends.insert(at, index)

    def discard(self, index: int) -> None:
        """Remove an index, if it is there."""
        starts, ends = self._starts, self._ends
        at = bisect_left(ends, index)
        if at == len(ends) or starts[at] > index:
            return
        self._size -= 1
        start, end = starts[at], ends[at]
        if start == end:
            del starts[at], ends[at]
        elif index == start:
            starts[at] = index + 1
        elif index == end:
            ends[at] = index - 1
        else:
            ends[at] = index - 1
            starts.insert(at + 1, index + 1)
            ends.insert(at + 1, end)

    @property
    def first(self) -> int:
        """The lowest index. Raises IndexError where there is none."""
        return self._starts[0]

    def __contains__(self, index: int) -> bool:
        at = bisect_right(self._starts, index)
        return at > 0 and index <= self._ends[at - 1]

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[int]:
        for start, end in zip(self._starts, self._ends, strict=True):
            yield from range(start, end + 1)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IndexSet) and (self._starts, self._ends) == (other._starts, other._ends)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        ranges = zip(self._starts, self._ends, strict=True)
        return ",".join(f"{start}" if start == end else f"{start}-{end}" for start, end in ranges)

    def __repr__(self) -> str:
        return f"IndexSet({str(self)!r})"
