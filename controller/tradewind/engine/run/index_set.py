"""A set of indexes stored as ranges: thousands of instances of a mapped task in the same state take one line."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class IndexSet:
    """A set of integers >= 0. The text format is `"0-811,813"`, as in the status of an Indexed Job.

    Adding, removing and finding an index take the time of a binary search; set operations, parsing and formatting take
    time proportional to the number of ranges.
    """

    __slots__ = ("_ends", "_size", "_starts", "_text")

    def __init__(self, indexes: Iterable[int] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        """The last index of each range."""
        self._size = 0
        self._text: str | None = None
        for index in sorted(indexes) if indexes else ():
            if not self._ends or index > self._ends[-1] + 1:
                self._starts.append(index)
                self._ends.append(index)
                self._size += 1
            elif index > self._ends[-1]:
                self._ends[-1] = index
                self._size += 1

    @classmethod
    def range(cls, count: int) -> "IndexSet":
        """All indexes below `count`."""
        found = cls()
        if count:
            found._append(0, count - 1)
        return found

    @classmethod
    def parse(cls, text: str) -> "IndexSet":
        """The inverse of str(). Raises ValueError for anything else."""
        found = cls()
        for part in text.split(",") if text else ():
            first, dash, last = part.partition("-")
            if not first.isdecimal() or (dash and not last.isdecimal()):
                raise ValueError(f"{text!r} is not a list of indexes and ranges")
            start = int(first)
            end = int(last) if dash else start
            if end < start or (found._ends and start <= found._ends[-1]):
                raise ValueError(f"{text!r} is not a list of ascending ranges")
            found._append(start, end)
        return found

    def copy(self) -> "IndexSet":
        """An independent copy."""
        found = IndexSet()
        found._starts, found._ends = self._starts.copy(), self._ends.copy()
        found._size, found._text = self._size, self._text
        return found

    def add(self, index: int) -> None:
        """Add an index, if it is not in the set."""
        starts, ends = self._starts, self._ends
        at = bisect_right(starts, index)
        if at and index <= ends[at - 1]:
            return
        self._size += 1
        self._text = None
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
        """Remove an index, if it is in the set."""
        starts, ends = self._starts, self._ends
        at = bisect_left(ends, index)
        if at == len(ends) or starts[at] > index:
            return
        self._size -= 1
        self._text = None
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
        """The lowest index. Raises IndexError if the set is empty."""
        return self._starts[0]

    def __and__(self, other: "IndexSet") -> "IndexSet":
        """The intersection."""
        if self == other:
            return self.copy()
        found = IndexSet()
        mine, theirs = 0, 0
        while mine < len(self._starts) and theirs < len(other._starts):
            start = max(self._starts[mine], other._starts[theirs])
            end = min(self._ends[mine], other._ends[theirs])
            if start <= end:
                found._append(start, end)
            if self._ends[mine] == end:
                mine += 1
            else:
                theirs += 1
        return found

    def __sub__(self, other: "IndexSet") -> "IndexSet":
        """The difference."""
        found = IndexSet()
        if self == other:
            return found
        if not other:
            return self.copy()
        theirs = 0
        for start, end in zip(self._starts, self._ends, strict=True):
            while theirs < len(other._ends) and other._ends[theirs] < start:
                theirs += 1
            at = theirs
            while at < len(other._starts) and other._starts[at] <= end:
                if start < other._starts[at]:
                    found._append(start, other._starts[at] - 1)
                start = other._ends[at] + 1
                at += 1
            if start <= end:
                found._append(start, end)
        return found

    def __or__(self, other: "IndexSet") -> "IndexSet":
        """The union."""
        if not other or self == other:
            return self.copy()
        if not self:
            return other.copy()
        found = IndexSet()
        for start, end in sorted((*self._ranges(), *other._ranges())):
            found._append(start, end)
        return found

    def __contains__(self, index: int) -> bool:
        at = bisect_right(self._starts, index)
        return at > 0 and index <= self._ends[at - 1]

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[int]:
        for start, end in self._ranges():
            yield from range(start, end + 1)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IndexSet) and (self._starts, self._ends) == (other._starts, other._ends)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        if self._text is None:
            self._text = ",".join(
                str(start) if start == end else f"{start}-{end}"
                for start, end in zip(self._starts, self._ends, strict=True)
            )
        return self._text

    def __repr__(self) -> str:
        return f"IndexSet({str(self)!r})"

    def _ranges(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._ends, strict=True)

    def _append(self, start: int, end: int) -> None:
        """Add a range that starts at or after the start of the last range."""
        if self._ends and start <= self._ends[-1] + 1:
            self._size += max(0, end - self._ends[-1])
            self._ends[-1] = max(end, self._ends[-1])
        else:
            self._starts.append(start)
            self._ends.append(end)
            self._size += end - start + 1
        self._text = None
