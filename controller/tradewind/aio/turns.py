"""Whose Pod is made next: namespaces take turns, in each of them its Dags, and of each Dag its runs.

A wide run asks for thousands of Pods at once, and the API server makes some hundred a second: first come, first served
would let everybody else wait for minutes. Only as many are prepared at a time as can be under way, so that what comes
later need not wait behind what is already on its way.
"""

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Sequence

Path = Sequence[str]
"""Who waits, from the widest group to the narrowest: all of a group share its turns."""
Entry = tuple[int, int, asyncio.Future[None]]
"""(minus the weight, number, resolved when its turn has come)"""


class Turn:
    """The right to make a Pod; `release()` passes it on, once, early where what follows may take long."""

    def __init__(self, turns: "Turns") -> None:
        self._turns: Turns | None = turns

    def release(self) -> None:
        """The next may go on."""
        turns, self._turns = self._turns, None
        if turns is not None:
            turns.passed_on()


class Turns:
    """Turns for as many at a time as `at_once` says, which may change from one moment to the next."""

    def __init__(self, at_once: Callable[[], int]) -> None:
        self._at_once = at_once
        self._taken = 0
        self._waiting = _Group()
        self._numbers = itertools.count()

    @contextlib.asynccontextmanager
    async def take(self, path: Path, weight: int = 0) -> AsyncIterator[Turn]:
        """Wait for a turn. Of those with equal paths the weightiest has its turn first, then who came first."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(path, (-weight, next(self._numbers), future))
        self._go_on()
        turn = Turn(self)
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled():
                turn.release()  # it had its turn at the very moment
            raise
        try:
            yield turn
        finally:
            turn.release()

    def passed_on(self) -> None:
        """One has done with its turn."""
        self._taken -= 1
        self._go_on()

    def _go_on(self) -> None:
        while self._taken < self._at_once() and (future := self._waiting.next()) is not None:
            if not future.cancelled():
                self._taken += 1
                future.set_result(None)


class _Group:
    """Those who wait at one place of the paths: in groups that take turns, or by weight where the paths end."""

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
        """Whose turn it is; its group goes to the end of the row."""
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
