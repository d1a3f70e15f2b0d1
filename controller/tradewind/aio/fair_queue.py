"""A fair queue with a limit on concurrency: namespaces take turns, in each of them its Dags, and in each Dag its runs.

A wide run requests thousands of Pods at once, and the API server creates some hundred per second: in the order of
arrival, all other runs would wait for minutes. Only as many Pods are prepared at a time as can be in flight, so that a
later request need not wait behind Pods that are already prepared.
"""

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Sequence

Path = Sequence[str]
"""The groups of a waiter, from the widest to the narrowest: the members of a group share its turns."""
Entry = tuple[int, int, asyncio.Future[None]]
"""(minus the weight, sequence number, resolved when the permit is granted)"""


class Permit:
    """The right to proceed. `release()` passes it on once; call it early if the remaining work may take long."""

    def __init__(self, queue: "FairQueue") -> None:
        self._queue: FairQueue | None = queue

    def release(self) -> None:
        """Grant the permit to the next waiter."""
        queue, self._queue = self._queue, None
        if queue is not None:
            queue.released()


class FairQueue:
    """Grants at most `limit()` permits at a time; the limit may change at any moment."""

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._granted = 0
        self._waiting = _Group()
        self._sequence = itertools.count()

    @contextlib.asynccontextmanager
    async def acquire(self, path: Path, weight: int = 0) -> AsyncIterator[Permit]:
        """Wait for a permit. Among equal paths the highest weight goes first, then the earliest arrival."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(path, (-weight, next(self._sequence), future))
        self._grant()
        permit = Permit(self)
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled():
                permit.release()  # it was granted at the same moment
            raise
        try:
            yield permit
        finally:
            permit.release()

    def released(self) -> None:
        """Count a released permit and grant it to the next waiter."""
        self._granted -= 1
        self._grant()

    def _grant(self) -> None:
        while self._granted < self._limit() and (future := self._waiting.next()) is not None:
            if not future.cancelled():
                self._granted += 1
                future.set_result(None)


class _Group:
    """The waiters with a common part of their path: subgroups that take turns, or a heap by weight at the end of the
    path."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._entries: list[Entry] = []

    def __bool__(self) -> bool:
        return bool(self._groups or self._entries)

    def add(self, path: Path, entry: Entry) -> None:
        if path:
            self._groups.setdefault(path[0], _Group()).add(path[1:], entry)
        else:
            heapq.heappush(self._entries, entry)

    def next(self) -> asyncio.Future[None] | None:
        """Return the next waiter; its group moves to the end of the row."""
        if self._entries:
            return heapq.heappop(self._entries)[2]
        if not self._groups:
            return None
        name = next(iter(self._groups))
        group = self._groups.pop(name)
        found = group.next()
        if group:
            self._groups[name] = group
        return found
