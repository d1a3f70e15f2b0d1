"""The order in which runs are loaded, and how many at once.

A new leader may have thousands to load. Started runs come first, since they hold slots; then the others in the order in
which they will start. The work to load a run is divided into pieces, at most one in each turn of the event loop, so
that watch events and probes are handled in between."""

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
"""Runs that are loaded at the same time: most of that time they wait for responses of the API server."""

Load = Callable[[Key, str], Coroutine[Any, Any, float | None]]
"""Loads a run by key and UID; returns the seconds until the next attempt if it failed."""


class LoadQueue:
    """Runs to load, by UID."""

    def __init__(self, load: Load, *, spawn: Spawn) -> None:
        self._load, self._spawn = load, spawn
        self._heap: list[_Entry] = []
        self._waiting: dict[str, bool] = {}
        """Runs that are not being loaded yet; True for those that have not started."""
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._unloaded_started: set[str] = set()
        """Started runs that are not loaded yet."""
        self._piece = asyncio.Lock()
        self._progress = asyncio.Event()
        self._started = False

    def start(self) -> None:
        """Start to load runs. Call this when the existing runs are added, since their order matters."""
        self._started = True
        self._load_next()

    def __contains__(self, uid: str) -> bool:
        return uid in self._waiting or uid in self._loading

    def add(self, key: Key, uid: str, *, started: bool, place: datetime) -> None:
        """Add a run, unless it is in the queue or being loaded."""
        if uid in self:
            return
        self._waiting[uid] = not started
        if started:
            self._unloaded_started.add(uid)
        heapq.heappush(self._heap, (not started, place, key, uid))
        self._load_next()

    def discard(self, uid: str, *, cancel: bool) -> None:
        """Remove a run. `cancel`: even while it is being loaded."""
        self._waiting.pop(uid, None)
        task = self._loading.get(uid)
        if task is not None and cancel:
            task.cancel()
        self._left(uid)

    @asynccontextmanager
    async def piece(self) -> AsyncIterator[None]:
        """Hold this for a piece of work on one run; do not await anything while holding it."""
        async with self._piece:
            await asyncio.sleep(0)
            yield

    async def work(self, run: Key, pieces: Iterator[None]) -> None:
        """Do the work on one run, piece by piece."""
        done = object()
        found: object = None
        while found is not done:
            async with self.piece():
                with working_on("DagRun", run):
                    found = next(pieces, done)

    async def turn(self) -> None:
        """Wait for a turn of the event loop in which no other piece of work is done."""
        async with self.piece():
            pass

    async def loaded(self, *, started: bool) -> None:
        """Wait until all runs are loaded; with `started`, all that have started."""
        while self._unloaded_started if started else (self._waiting or self._loading):
            self._progress.clear()
            await self._progress.wait()

    def _load_next(self) -> None:
        while self._started and self._heap and len(self._loading) < AT_ONCE:
            entry = heapq.heappop(self._heap)
            not_started, place, key, uid = entry
            if self._waiting.get(uid) is not not_started:
                continue  # it was removed
            del self._waiting[uid]
            again = partial(self.add, key, uid, started=not not_started, place=place)
            self._loading[uid] = self._spawn(self._work(entry), f"load {key[0]}/{key[1]}", again)

    async def _work(self, entry: "_Entry") -> None:
        not_started, _, key, uid = entry
        pause: float | None = None
        try:
            pause = await self._load(key, uid)
        finally:
            if self._loading.get(uid) is asyncio.current_task():
                del self._loading[uid]
                if pause is None:
                    self._left(uid)
                else:
                    self._waiting[uid] = not_started
                    self._spawn(self._later(entry, pause), f"load {key[0]}/{key[1]} again")
            self._load_next()

    async def _later(self, entry: "_Entry", pause: float) -> None:
        await asyncio.sleep(pause)
        if entry[3] in self._waiting:
            heapq.heappush(self._heap, entry)
            self._load_next()

    def _left(self, uid: str) -> None:
        self._unloaded_started.discard(uid)
        self._progress.set()


_Entry = tuple[bool, datetime, Key, str]
"""(not started, logical date, key, UID)"""
