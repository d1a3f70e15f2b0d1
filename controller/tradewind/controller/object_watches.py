"""Watches of single objects, each shared by all who want to hear of it, and ended with the last of them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tradewind.kube.client import KubeClient
from tradewind.kube.clock import Clock
from tradewind.kube.decoding import MalformedStream
from tradewind.kube.errors import ApiError, KubeError
from tradewind.kube.informer import Change, ChangeKind, Informer
from tradewind.kube.resources import Resource

Json = dict[str, Any]
Place = tuple[Resource, str, str]
"""(resource, namespace, name)"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of an object: `found` None if there is none; `error` while it cannot be read."""

    found: Json | None = None
    error: KubeError | MalformedStream | None = None


@dataclass(slots=True, eq=False)
class _Watch:
    task: asyncio.Task[None] | None = None
    seen: Seen | None = None
    """None until the first answer."""
    listeners: dict[object, Callable[[Seen], None]] = field(default_factory=dict)

    def tell(self, seen: Seen) -> None:
        self.seen = seen
        for listener in list(self.listeners.values()):
            listener(seen)


class ObjectWatches:
    """Whoever subscribes is told what is known of an object, and each time that changes."""

    def __init__(self, client: KubeClient, *, spawn: Callable[[Any, str], asyncio.Task[None]], clock: Clock) -> None:
        self._client, self._spawn, self._clock = client, spawn, clock
        self._watches: dict[Place, _Watch] = {}

    def __len__(self) -> int:
        return len(self._watches)

    def subscribe(
        self, resource: Resource, namespace: str, name: str, tell: Callable[[Seen], None]
    ) -> Callable[[], None]:
        """Hear of an object (at once, where it is known) until the returned function is called."""
        place = resource, namespace, name
        watch = self._watches.get(place)
        if watch is None:
            watch = self._watches[place] = _Watch()
            watch.task = self._spawn(self._run(watch, place), f"watch {resource.plural} {namespace}/{name}")
        token = object()
        watch.listeners[token] = tell
        if watch.seen is not None:
            tell(watch.seen)

        def unsubscribe() -> None:
            watch.listeners.pop(token, None)
            if not watch.listeners and self._watches.get(place) is watch:
                del self._watches[place]
                if watch.task is not None:
                    watch.task.cancel()

        return unsubscribe

    async def _run(self, watch: _Watch, place: Place) -> None:
        resource, namespace, name = place

        def changed(change: Change[Json]) -> None:
            watch.tell(Seen(None if change.kind is ChangeKind.DELETED else change.object))

        def health(error: KubeError | MalformedStream | None) -> None:
            found = informer.store.get((namespace, name))
            if error is None:
                if watch.seen is None or watch.seen.error is not None:
                    watch.tell(Seen(found))
            elif watch.seen is None or _lasts(error):
                watch.tell(Seen(found, error))

        informer = Informer(
            self._client,
            resource,
            namespace=namespace,
            field_selector=f"metadata.name={name}",
            decode=_as_it_is,
            on_change=changed,
            on_health=health,
            clock=self._clock,
        )
        await informer.run()


def _lasts(error: KubeError | MalformedStream) -> bool:
    """Whether it is more than an interruption: a right that is missing, or a kind that is gone."""
    return isinstance(error, ApiError) and not (error.is_transient or error.is_gone)


def _as_it_is(found: Json) -> Json:
    return found
