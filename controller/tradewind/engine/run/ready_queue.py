"""The tasks of a run that wait for nothing but slots, by pool: the weightiest first, then the first in the Dag."""

import heapq
from collections.abc import Container, Iterator

Entry = tuple[int, int]
"""(minus the priority weight, position of the task)"""


class ReadyQueue:
    """Tasks with at least one instance that is ready. Taking one out of the middle is free: it is passed over when its
    turn comes."""

    def __init__(self) -> None:
        self._heaps: dict[str, list[Entry]] = {}
        self._ready: set[int] = set()
        self._aside: list[tuple[str, Entry]] = []

    def __bool__(self) -> bool:
        return bool(self._ready)

    def __iter__(self) -> Iterator[int]:
        return iter(self._ready)

    def add(self, pool: str, weight: int, position: int) -> None:
        """The task has a ready instance."""
        if position not in self._ready:
            self._ready.add(position)
            heapq.heappush(self._heaps.setdefault(pool, []), (-weight, position))

    def discard(self, position: int) -> None:
        """The task has none any more."""
        self._ready.discard(position)

    def head(self, blocked: Container[str]) -> tuple[Entry, str] | None:
        """The task whose turn it is, and its pool, among the pools that are not blocked."""
        best: tuple[Entry, str] | None = None
        for pool, heap in list(self._heaps.items()):
            if pool in blocked:
                continue
            while heap and heap[0][1] not in self._ready:
                heapq.heappop(heap)
            if not heap:
                del self._heaps[pool]
            elif best is None or (heap[0], pool) < best:
                best = heap[0], pool
        return best

    def put_aside(self, pool: str) -> None:
        """Pass over the head of a pool until take_back()."""
        self._aside.append((pool, heapq.heappop(self._heaps[pool])))

    def take_back(self) -> None:
        """What was put aside has its turn again."""
        for pool, entry in self._aside:
            heapq.heappush(self._heaps.setdefault(pool, []), entry)
        self._aside.clear()
