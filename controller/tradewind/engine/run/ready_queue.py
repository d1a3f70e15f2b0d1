"""The tasks of a run that wait only for slots, by pool: the highest weight first, then by position in the Dag."""

import heapq
from collections.abc import Container, Iterator

Entry = tuple[int, int]
"""(minus the priority weight, position of the task)"""


class ReadyQueue:
    """Tasks with at least one ready instance. Removing one is cheap: its entry stays and is skipped at the head."""

    def __init__(self) -> None:
        self._heaps: dict[str, list[Entry]] = {}
        self._ready: set[int] = set()
        self._aside: list[tuple[str, Entry]] = []

    def __bool__(self) -> bool:
        return bool(self._ready)

    def __iter__(self) -> Iterator[int]:
        return iter(self._ready)

    def add(self, pool: str, weight: int, position: int) -> None:
        """Add a task that has a ready instance."""
        if position not in self._ready:
            self._ready.add(position)
            heapq.heappush(self._heaps.setdefault(pool, []), (-weight, position))

    def discard(self, position: int) -> None:
        """Remove a task without ready instances."""
        self._ready.discard(position)

    def head(self, blocked: Container[str]) -> tuple[Entry, str] | None:
        """The next task and its pool, from the pools that are not blocked."""
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
        """Remove the head of a pool until take_back()."""
        self._aside.append((pool, heapq.heappop(self._heaps[pool])))

    def take_back(self) -> None:
        """Return the tasks that were put aside to the queue."""
        for pool, entry in self._aside:
            heapq.heappush(self._heaps.setdefault(pool, []), entry)
        self._aside.clear()
