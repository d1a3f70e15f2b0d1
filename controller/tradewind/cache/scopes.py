"""A namespace, or all of them, with all its watches: its objects are used only once all kinds are listed.

Runs without their Pods would be started twice, so a scope is closed until each of its kinds is listed. If a kind cannot
be listed (permission is missing, or the namespace was deleted together with its roles), the scope stays closed, without
effect on others. The list is retried, and the scope opens when it succeeds.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from tradewind.kube.informer import Change, ChangeKind, Informer
from tradewind.kube.objects import Key

Handler = Callable[[Change[Any]], None]

SLICE = 0.005
"""The maximum number of seconds that an opening scope blocks the event loop."""


class Scope:
    """Passes changes to the handler of their kind while the scope is open; before that they are only stored."""

    def __init__(self, namespace: str | None, on_opening: Callable[[], None]) -> None:
        """`on_opening` is called just before the scope opens."""
        self.namespace = namespace
        self.open = asyncio.Event()
        self.watches: list[tuple[Informer[Any], Handler]] = []
        self._on_opening = on_opening
        self._opening = False
        self._closed = asyncio.Event()
        self._changed: set[tuple[str, Key]] = set()
        """Objects that changed while the scope was opening, by plural."""

    @property
    def informers(self) -> list[Informer[Any]]:
        """The informers of all kinds."""
        return [informer for informer, _ in self.watches]

    @property
    def listed(self) -> bool:
        """True if every kind is listed."""
        return all(informer.synced.is_set() for informer in self.informers)

    @property
    def inaccessible(self) -> bool:
        """True if a kind cannot be listed, and all other kinds have been listed or rejected."""
        return not self.listed and all(informer.answered.is_set() for informer in self.informers)

    def counts(self, plural: str, change: Change[Any]) -> bool:
        """True if a change must be handled at once."""
        if self._opening:
            metadata = change.object.metadata
            self._changed.add((plural, (metadata.namespace, metadata.name)))
        return self._opening or self.open.is_set()

    async def run(self) -> None:
        """Open once everything is listed, and again each time after it was closed."""
        while True:
            for informer in self.informers:
                await informer.synced.wait()
            await self._open()
            await self._closed.wait()
            self._closed.clear()

    def close(self) -> None:
        """Close the scope: a kind can no longer be listed."""
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
        """Return once the scope is open or currently inaccessible."""
        for informer in self.informers:
            await informer.answered.wait()
        if self.listed:
            await self.open.wait()

    def missing(self) -> list[str]:
        """Return the kinds that cannot be listed, with the reasons, for people."""
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return [
            f"{informer.resource.plural}{where}: {informer.refused.message or informer.refused}"
            for informer in self.informers
            if informer.refused is not None
        ]
