"""Those who follow the caches. Each may come and go at any time, and none holds up another, nor a watch.

A Listener is called at once and in order, on the event loop, when a cache has changed: it has to return soon. A reader
that may be slow iterates over Changes: an object that changes again before it is taken is there once, so a slow reader
has at most as much to take as there are objects.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from tradewind.cache.resources import BACKFILLS, DAGRUNS, DAGS, POOLS, DagRunObject, PodObject
from tradewind.kube.informer import Change
from tradewind.kube.objects import Key
from tradewind.kube.resources import PODS, Resource


class Listener:
    """Override what you follow. The new state is in the caches already; what is not there any more is deleted, or no
    longer selected."""

    def scope_opens(self) -> None:
        """A scope is about to count that has been closed: see `scopes`."""

    def dag_changed(self, key: Key) -> None:
        """A Dag was created, changed or deleted."""

    def run_changed(self, key: Key, change: Change[DagRunObject]) -> None:
        """A DagRun was created, changed, finished or deleted."""

    def request_changed(self, key: Key, dag: str) -> None:
        """A DagRun of that Dag has another request, or none any more."""

    def pod_changed(self, run_uid: str, pod: PodObject, gone: bool) -> None:
        """A Pod of a run was created, changed or deleted."""

    def pool_changed(self, key: Key) -> None:
        """A Pool was created, changed or deleted."""

    def backfill_changed(self, key: Key, dag: str) -> None:
        """A Backfill of that Dag was created, changed or deleted."""


class Listeners:
    """All listeners of some caches."""

    def __init__(self) -> None:
        self._listeners: dict[object, Listener] = {}

    def add(self, listener: Listener) -> Callable[[], None]:
        """Call it from now on, until the returned function is called."""
        token = object()
        self._listeners[token] = listener

        def remove() -> None:
            self._listeners.pop(token, None)

        return remove

    def tell(self, call: Callable[[Listener], None]) -> None:
        """Call each. An error of one does not keep the change from the others; it is raised after them."""
        errors = []
        for token, listener in list(self._listeners.items()):
            if token in self._listeners:
                try:
                    call(listener)
                except Exception as error:
                    errors.append(error)
        if errors:
            raise ExceptionGroup("listeners failed", errors)


class Changed(NamedTuple):
    """An object to look up again."""

    resource: Resource
    key: Key
    """Namespace and name; of Pods, namespace and UID of their run, by which they are looked up."""


class Changes(Listener):
    """What changed since it was taken, the oldest first."""

    def __init__(self) -> None:
        self._waiting: dict[Changed, None] = {}
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    async def __aiter__(self) -> AsyncIterator[Changed]:
        while True:
            await self._news.wait()
            while self._waiting:
                changed = next(iter(self._waiting))
                del self._waiting[changed]
                yield changed
            self._news.clear()

    def _add(self, resource: Resource, key: Key) -> None:
        self._waiting[Changed(resource, key)] = None
        self._news.set()

    def dag_changed(self, key: Key) -> None:
        self._add(DAGS, key)

    def run_changed(self, key: Key, change: Change[DagRunObject]) -> None:
        self._add(DAGRUNS, key)

    def request_changed(self, key: Key, dag: str) -> None:
        self._add(DAGRUNS, key)

    def pod_changed(self, run_uid: str, pod: PodObject, gone: bool) -> None:
        self._add(PODS, (pod.metadata.namespace, run_uid))

    def pool_changed(self, key: Key) -> None:
        self._add(POOLS, key)

    def backfill_changed(self, key: Key, dag: str) -> None:
        self._add(BACKFILLS, key)
