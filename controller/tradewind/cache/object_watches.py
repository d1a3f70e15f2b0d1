"""Watches of objects, each shared by all who want to hear of it, and ended with the last of them.

A few objects of a kind in a namespace have a watch each, which brings nothing else. Where more are wanted, one watch of
the whole kind there serves them all, and what nobody wants is passed over. Of both together only so many are open at
the same time, whoever asks for them: beyond that they take turns, each of which begins with a list.
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
"""(resource, namespace, name; None for all of the kind)"""

ALONE = 4
"""Objects of a kind in a namespace that have a watch each."""
OPEN = 100
"""Watches that are open at the same time."""
TURN = 10.0
"""Seconds for which a watch stays open though others wait for their turn."""
GATHER = 0.5
"""Seconds in which objects that are wanted are gathered before a kind is listed for them."""
PAGE = 50
"""Objects in a page of a list: of a whole kind there may be many, and large ones."""
TOLD_AT_ONCE = 200
"""Listeners that are told in one go that there is no such object."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of an object: `found` None if there is none; `error` while it cannot be read."""

    found: Json | None = None
    error: KubeError | MalformedStream | None = None


@dataclass(slots=True, eq=False)
class _Object:
    """One object that somebody wants to hear of."""

    seen: Seen | None = None
    """None until the first answer."""
    listeners: dict[object, Callable[[Seen], None]] = field(default_factory=dict)

    def tell(self, seen: Seen) -> None:
        self.seen = seen
        for listener in list(self.listeners.values()):
            listener(seen)


@dataclass(slots=True, eq=False)
class _Watch:
    """A watch of one object, or of a kind in a namespace."""

    place: Place
    objects: dict[str, _Object] = field(default_factory=dict)
    """Those that are wanted of it, by name."""
    task: asyncio.Task[None] | None = None
    since: float = 0.0
    news: int = 0
    """How often it was opened or interrupted."""
    limit: asyncio.Timeout | None = None
    """Ends its turn; None while it waits for one."""

    def end_by(self, moment: float) -> None:
        """Its turn ends then, if not before."""
        if self.limit is not None:
            before = self.limit.when()
            with contextlib.suppress(RuntimeError):  # it is about to end anyway
                self.limit.reschedule(moment if before is None else min(before, moment))


class ObjectWatches:
    """Whoever subscribes is told what is known of an object, and each time that changes."""

    def __init__(self, client: KubeClient, *, spawn: Spawn, clock: Clock, alone: int = ALONE) -> None:
        self._client, self._spawn, self._clock, self._alone = client, spawn, clock, alone
        self._watches: dict[Place, _Watch] = {}
        self._slots = asyncio.Semaphore(OPEN)
        self._waiting = 0
        self._open: dict[_Watch, None] = {}
        """Those that have their turn, the one that has had it for the longest first."""

    def __len__(self) -> int:
        """How many objects somebody wants to hear of."""
        return sum(len(watch.objects) for watch in self._watches.values())

    def subscribe(
        self, resource: Resource, namespace: str, name: str, tell: Callable[[Seen], None]
    ) -> Callable[[], None]:
        """Hear of an object (at once, where it is known) until the returned function is called."""
        watch = self._watch_for(resource, namespace, name)
        wanted = watch.objects.get(name)
        if wanted is None:
            wanted = watch.objects[name] = _Object()
            if watch.task is None:
                watch.task = self._spawn(self._run(watch), f"watch {resource.plural} in {namespace}")
            watch.end_by(max(asyncio.get_running_loop().time() + GATHER, watch.since + 4 * GATHER))
        token = object()
        wanted.listeners[token] = tell
        if wanted.seen is not None:
            tell(wanted.seen)

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
        """Take turns with the others for as long as it is wanted."""
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
        """One waits: another's turn ends soon."""
        for other in self._open:
            if other.limit is not None and other.limit.when() is None:
                other.end_by(max(now, other.since + TURN))
                return

    def _informer(self, watch: _Watch) -> Informer[Json]:
        resource, namespace, name = watch.place
        names = frozenset(watch.objects)
        """What is wanted later has a list of its own, with a new informer."""

        def changed(change: Change[Json]) -> None:
            wanted = watch.objects.get(change.object["metadata"]["name"])
            if wanted is not None:
                wanted.tell(Seen(None if change.kind is ChangeKind.DELETED else change.object))

        def health(error: KubeError | MalformedStream | None) -> None:
            watch.news += 1
            self._spawn(self._tell_all(watch, informer, names, error), f"tell of {resource.plural} {namespace}")

        informer = Informer(
            self._client,
            resource,
            namespace=namespace,
            field_selector="" if name is None else f"metadata.name={name}",
            keep=lambda key: key[1] in names,
            decode=_as_it_is,
            page_limit=PAGE,
            on_change=changed,
            on_health=health,
            clock=self._clock,
        )
        return informer

    async def _tell_all(
        self,
        watch: _Watch,
        informer: Informer[Json],
        names: frozenset[str],
        error: KubeError | MalformedStream | None,
    ) -> None:
        """A watch is open, so that what was not listed is not there; or it was interrupted."""
        namespace = watch.place[1]
        told, news_before = 0, watch.news
        for name in sorted(names):
            wanted = watch.objects.get(name)
            if wanted is None:
                continue
            seen, found = wanted.seen, informer.store.get((namespace, name))
            if error is not None:
                news = seen is None or _lasts(error)
            else:
                news = seen is None or seen.error is not None or (found is None and seen.found is not None)
            if news:
                wanted.tell(Seen(found, error))
                told += 1
                if told % TOLD_AT_ONCE == 0:
                    await asyncio.sleep(0)
                    if watch.news != news_before:
                        return


def _lasts(error: KubeError | MalformedStream) -> bool:
    """Whether it is more than an interruption: a right that is missing, or a kind that is gone."""
    return isinstance(error, ApiError) and not (error.is_transient or error.is_gone)


def _as_it_is(found: Json) -> Json:
    return found
