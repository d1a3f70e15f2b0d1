"""The tasks of a run that wait for nothing but slots, by pool, first in the Dag first."""

import heapq


class ReadyQueue:
    """Positions of tasks. Taking one out of the middle is free: it is passed over when its turn comes."""

    def __init__(self) -> None:
        self._heaps: dict[str, list[int]] = {}
        self._ready: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._ready)

    def add(self, pool: str, position: int) -> None:
        """The task is ready."""
        if position not in self._ready:
            self._ready.add(position)
            heapq.heappush(self._heaps.setdefault(pool, []), position)

    def discard(self, position: int) -> None:
        """The task is not ready any more, if it was."""
        self._ready.discard(position)

    def heads(self) -> list[tuple[int, str]]:
        """The first task of each pool, first in the Dag first."""
        found = []
        for pool, heap in list(self._heaps.items()):
            while heap and heap[0] not in self._ready:
                heapq.heappop(heap)
            if heap:
                found.append((heap[0], pool))
            else:
                del self._heaps[pool]
        return sorted(found)

    def take(self, pool: str) -> int:
        """Remove the first task of a pool, which heads() has named."""
        position = heapq.heappop(self._heaps[pool])
        self._ready.discard(position)
        return position
