"""A namespace, or all of them, with everything that is watched there: nothing of it counts before all of it is known.

Whoever sees runs without their Pods would make them twice. So a scope is closed until each of its kinds was listed. One
that may not be listed (a right is missing, or the namespace is gone and the rights in it went with it) shuts out its
namespace and no other. It is tried again from time to time; when it can be listed after all the scope opens.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from tradewind.kube.informer import Change, ChangeKind, Informer
from tradewind.kube.objects import Key

Handler = Callable[[Change[Any]], None]

SLICE = 0.005
"""Seconds for which a scope that opens holds the event loop."""


class Scope:
    """`apply` a change by the handler of its kind as soon as the scope is open; until then it is in the store only."""

    def __init__(self, namespace: str | None, on_opening: Callable[[], None]) -> None:
        """`on_opening` is called just before what is known counts."""
        self.namespace = namespace
        self.open = asyncio.Event()
        self.watches: list[tuple[Informer[Any], Handler]] = []
        self._on_opening = on_opening
        self._opening = False
        self._closed = asyncio.Event()
        self._changed: set[tuple[str, Key]] = set()
        """What has changed while the scope was opening, by plural."""

    @property
    def informers(self) -> list[Informer[Any]]:
        """All that is watched."""
        return [informer for informer, _ in self.watches]

    @property
    def listed(self) -> bool:
        """Whether each kind has been listed."""
        return all(informer.synced.is_set() for informer in self.informers)

    @property
    def shut_out(self) -> bool:
        """Whether some kind cannot be listed, and it is known of all others whether they can."""
        return not self.listed and all(informer.answered.is_set() for informer in self.informers)

    def counts(self, plural: str, change: Change[Any]) -> bool:
        """Whether a change is to be dealt with at once."""
        if self._opening:
            metadata = change.object.metadata
            self._changed.add((plural, (metadata.namespace, metadata.name)))
        return self._opening or self.open.is_set()

    async def run(self) -> None:
        """Open as soon as everything is listed, and again each time that it was closed."""
        while True:
            for informer in self.informers:
                await informer.synced.wait()
            await self._open()
            await self._closed.wait()
            self._closed.clear()

    def close(self) -> None:
        """Begin anew: some kind was listed once and may not be seen any more."""
        self.open.clear()
        for informer in self.informers:
            if informer.refused is not None:
                informer.synced.clear()
        self._closed.set()

    async def _open(self) -> None:
        self._opening = True
        self._on_opening()
        until = time.perf_counter() + SLICE
        for informer, handle in self.watches:
            for key in list(informer.store):
                found = informer.store.get(key)
                if found is not None and (informer.resource.plural, key) not in self._changed:
                    informer.report(key, Change(ChangeKind.ADDED, found, None, synthetic=True), handle)
                if time.perf_counter() >= until:
                    await asyncio.sleep(0)
                    until = time.perf_counter() + SLICE
        self._opening, self._changed = False, set()
        self.open.set()

    async def settled(self) -> None:
        """Return once it is open, or shut out for now."""
        for informer in self.informers:
            await informer.answered.wait()
        if self.listed:
            await self.open.wait()

    def missing(self) -> list[str]:
        """What cannot be seen here and why, for people."""
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return [
            f"{informer.resource.plural}{where}: {informer.refused.message or informer.refused}"
            for informer in self.informers
            if informer.refused is not None
        ]
