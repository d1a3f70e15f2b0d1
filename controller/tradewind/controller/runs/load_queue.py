"""Which runs are loaded next, and how many at once.

After a change of leader there may be thousands. Those that have begun come first, since they hold slots; the others in
the order in which they leave their queue. What it takes to load one comes in pieces, of which there is one at most in
each turn of the event loop: between two of them Pods are heard of and probes are answered.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any

from tradewind.aio.background import Spawn
from tradewind.kube.objects import Key
from tradewind.kube.working_on import working_on

AT_ONCE = 16
"""Runs that may wait for an answer of the API server while they are loaded."""

Load = Callable[[Key, str], Coroutine[Any, Any, float | None]]
"""Loads a run by key and UID; the seconds after which to try again, if that is needed."""


class LoadQueue:
    """Runs that are to be loaded, by UID."""

    def __init__(self, load: Load, *, spawn: Spawn) -> None:
        self._load, self._spawn = load, spawn
        self._heap: list[_Entry] = []
        self._waiting: dict[str, bool] = {}
        """The runs that are not being loaded yet, and whether they have still to begin."""
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._begun: set[str] = set()
        """Those that are not loaded yet, of the runs that have begun."""
        self._piece = asyncio.Lock()
        self._progress = asyncio.Event()
        self._started = False

    def start(self) -> None:
        """Begin: those that there were from the beginning have been added, so it is known which come first."""
        self._started = True
        self._go_on()

    def __contains__(self, uid: str) -> bool:
        return uid in self._waiting or uid in self._loading

    def add(self, key: Key, uid: str, *, begun: bool, place: datetime) -> None:
        """Load a run, unless that is under way."""
        if uid in self:
            return
        self._waiting[uid] = not begun
        if begun:
            self._begun.add(uid)
        heapq.heappush(self._heap, (not begun, place, key, uid))
        self._go_on()

    def discard(self, uid: str, *, cancel: bool) -> None:
        """The run is gone. `cancel`: also if it is just being loaded."""
        self._waiting.pop(uid, None)
        task = self._loading.get(uid)
        if task is not None and cancel:
            task.cancel()
        self._left(uid)

    @asynccontextmanager
    async def piece(self) -> AsyncIterator[None]:
        """Do a piece of the work on one run; within it nothing is waited for."""
        async with self._piece:
            await asyncio.sleep(0)
            yield

    async def work(self, run: Key, pieces: Iterator[None]) -> None:
        """Do the work on one run that is offered in pieces."""
        done = object()
        found: object = None
        while found is not done:
            async with self.piece():
                with working_on("DagRun", run):
                    found = next(pieces, done)

    async def turn(self) -> None:
        """Wait for a turn of the event loop in which nothing else of this is done."""
        async with self.piece():
            pass

    async def loaded(self, *, begun: bool) -> None:
        """Return once no run, or none that has `begun`, is left to be loaded."""
        while self._begun if begun else (self._waiting or self._loading):
            self._progress.clear()
            await self._progress.wait()

    def _go_on(self) -> None:
        while self._started and self._heap and len(self._loading) < AT_ONCE:
            entry = heapq.heappop(self._heap)
            not_begun, place, key, uid = entry
            if self._waiting.get(uid) is not not_begun:
                continue  # it is gone
            del self._waiting[uid]
            again = partial(self.add, key, uid, begun=not not_begun, place=place)
            self._loading[uid] = self._spawn(self._work(entry), f"load {key[0]}/{key[1]}", again)

    async def _work(self, entry: "_Entry") -> None:
        not_begun, _, key, uid = entry
        pause: float | None = None
        try:
            pause = await self._load(key, uid)
        finally:
            if self._loading.get(uid) is asyncio.current_task():
                del self._loading[uid]
                if pause is None:
                    self._left(uid)
                else:
                    self._waiting[uid] = not_begun
                    self._spawn(self._later(entry, pause), f"load {key[0]}/{key[1]} again")
            self._go_on()

    async def _later(self, entry: "_Entry", pause: float) -> None:
        await asyncio.sleep(pause)
        if entry[3] in self._waiting:
            heapq.heappush(self._heap, entry)
            self._go_on()

    def _left(self, uid: str) -> None:
        self._begun.discard(uid)
        self._progress.set()


_Entry = tuple[bool, datetime, Key, str]
"""(it has not begun, logical date, key, UID)"""
