"""Shared watches of single objects, which end with their last subscriber.

A few objects of a kind in a namespace have a watch each, which delivers nothing else. For more objects, one watch of
the whole kind in the namespace serves them all, and other objects are ignored. The total number of open watches is
limited: beyond it watches take turns, and each turn starts with a list.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tradewind.aio.background import Spawn
from tradewind.kube.client import KubeClient
from tradewind.kube.clock import Clock
from tradewind.kube.decoding import MalformedStream
from tradewind.kube.errors import ApiError, KubeError
from tradewind.kube.informer import Change, ChangeKind, Informer
from tradewind.kube.resources import Resource

Json = dict[str, Any]
Place = tuple[Resource, str, str | None]
"""(resource, namespace, name); the name is None for all objects of the kind."""

ALONE = 4
"""The number of objects of a kind in a namespace that have a watch each."""
OPEN = 100
"""The maximum number of open watches."""
TURN = 10.0
"""Seconds that a watch stays open while others wait for their turn."""
GATHER = 0.5
"""Seconds in which requested objects are collected before their kind is listed."""
PAGE = 50
"""The number of objects in a page of a list: a whole kind may have many large objects."""
NOTIFY_BATCH = 200
"""The number of listeners that are notified of a missing object in one batch."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The cached state of an object: `found` is None if it does not exist; `error` is set while it cannot be read."""

    found: Json | None = None
    error: KubeError | MalformedStream | None = None


@dataclass(slots=True, eq=False)
class _Object:
    """One object with subscribers."""

    seen: Seen | None = None
    """None until the first response."""
    listeners: dict[object, Callable[[Seen], None]] = field(default_factory=dict)

    def notify(self, seen: Seen) -> None:
        self.seen = seen
        for listener in list(self.listeners.values()):
            listener(seen)


@dataclass(slots=True, eq=False)
class _Watch:
    """A watch of one object, or of a kind in a namespace."""

    place: Place
    objects: dict[str, _Object] = field(default_factory=dict)
    """The objects with subscribers, by name."""
    task: asyncio.Task[None] | None = None
    since: float = 0.0
    health_changes: int = 0
    """Number of times it was opened or interrupted."""
    limit: asyncio.Timeout | None = None
    """Ends its turn; None while it waits for one."""

    def end_by(self, moment: float) -> None:
        """End its turn at `moment`, or earlier."""
        if self.limit is not None:
            before = self.limit.when()
            with contextlib.suppress(RuntimeError):  # it is already ending
                self.limit.reschedule(moment if before is None else min(before, moment))


class ObjectWatches:
    """Notifies subscribers of the cached state of an object, and of its changes."""

    def __init__(self, client: KubeClient, *, spawn: Spawn, clock: Clock, alone: int = ALONE) -> None:
        self._client, self._spawn, self._clock, self._alone = client, spawn, clock, alone
        self._watches: dict[Place, _Watch] = {}
        self._slots = asyncio.Semaphore(OPEN)
        self._waiting = 0
        self._open: dict[_Watch, None] = {}
        """The open watches, in the order in which they were opened."""

    def __len__(self) -> int:
        """The number of objects with subscribers."""
        return sum(len(watch.objects) for watch in self._watches.values())

    def subscribe(
        self, resource: Resource, namespace: str, name: str, notify: Callable[[Seen], None]
    ) -> Callable[[], None]:
        """Notify of an object (at once, if it is cached) until the returned function is called."""
        watch = self._watch_for(resource, namespace, name)
        wanted = watch.objects.get(name)
        if wanted is None:
            wanted = watch.objects[name] = _Object()
            if watch.task is None:
                watch.task = self._spawn(self._run(watch), f"watch {resource.plural} in {namespace}")
            watch.end_by(max(asyncio.get_running_loop().time() + GATHER, watch.since + 4 * GATHER))
        token = object()
        wanted.listeners[token] = notify
        if wanted.seen is not None:
            notify(wanted.seen)

        def unsubscribe() -> None:
            wanted.listeners.pop(token, None)
            if wanted.listeners or watch.objects.get(name) is not wanted:
                return
            del watch.objects[name]
            if not watch.objects and watch.task is not None:
                del self._watches[watch.place]
                watch.task.cancel()

        return unsubscribe

    def _watch_for(self, resource: Resource, namespace: str, name: str) -> _Watch:
        kind = resource, namespace
        found = self._watches.get((*kind, name)) or self._watches.get((*kind, None))
        if found is None:
            alone = sum(place[:2] == kind for place in self._watches) < self._alone
            place = (*kind, name if alone else None)
            found = self._watches[place] = _Watch(place)
        return found

    async def _run(self, watch: _Watch) -> None:
        """Run the watch in turns with others until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            if self._slots.locked():
                self._make_room(loop.time())
            self._waiting += 1
            try:
                await self._slots.acquire()
            finally:
                self._waiting -= 1
            watch.since, self._open[watch] = loop.time(), None
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TURN if self._waiting else None) as watch.limit:
                        await self._informer(watch).run()
            finally:
                watch.limit = None
                del self._open[watch]
                self._slots.release()

    def _make_room(self, now: float) -> None:
        """End the turn of another watch soon, because one is waiting."""
        for other in self._open:
            if other.limit is not None and other.limit.when() is None:
                other.end_by(max(now, other.since + TURN))
                return

    def _informer(self, watch: _Watch) -> Informer[Json]:
        resource, namespace, name = watch.place
        names = frozenset(watch.objects)
        """Later subscriptions need a new informer, with a list of its own."""

        def changed(change: Change[Json]) -> None:
            wanted = watch.objects.get(change.object["metadata"]["name"])
            if wanted is not None:
                wanted.notify(Seen(None if change.kind is ChangeKind.DELETED else change.object))

        def health(error: KubeError | MalformedStream | None) -> None:
            watch.health_changes += 1
            self._spawn(self._notify_all(watch, informer, names, error), f"notify of {resource.plural} {namespace}")

        informer = Informer(
            self._client,
            resource,
            namespace=namespace,
            field_selector="" if name is None else f"metadata.name={name}",
            keep=lambda key: key[1] in names,
            decode=_unchanged,
            page_limit=PAGE,
            on_change=changed,
            on_health=health,
            clock=self._clock,
        )
        return informer

    async def _notify_all(
        self,
        watch: _Watch,
        informer: Informer[Json],
        names: frozenset[str],
        error: KubeError | MalformedStream | None,
    ) -> None:
        """Notify of objects that a list did not have, once a watch is open, or of an interruption."""
        namespace = watch.place[1]
        notified, health_before = 0, watch.health_changes
        for name in sorted(names):
            wanted = watch.objects.get(name)
            if wanted is None:
                continue
            seen, found = wanted.seen, informer.store.get((namespace, name))
            if error is not None:
                changed = seen is None or _is_permanent(error)
            else:
                changed = seen is None or seen.error is not None or (found is None and seen.found is not None)
            if changed:
                wanted.notify(Seen(found, error))
                notified += 1
                if notified % NOTIFY_BATCH == 0:
                    await asyncio.sleep(0)
                    if watch.health_changes != health_before:
                        return


def _is_permanent(error: KubeError | MalformedStream) -> bool:
    """True if the error is permanent: missing permission, or a deleted kind."""
    return isinstance(error, ApiError) and not (error.is_transient or error.is_gone)


def _unchanged(found: Json) -> Json:
    return found
