"""Subscribers to changes of the caches. They can be added and removed at any time, and block neither each other nor a
watch.

A Listener is called synchronously and in order, on the event loop, after a cache has changed: it must return quickly. A
slow reader iterates over Changes: an object that changes repeatedly before it is read occurs once, so that the queue
never has more entries than there are objects.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from tradewind.cache.resources import BACKFILLS, DAGRUNS, DAGS, POOLS, DagRunObject, PodObject
from tradewind.kube.informer import Change
from tradewind.kube.objects import Key
from tradewind.kube.resources import PODS, Resource


class Listener:
    """Override the methods of interest. The caches already have the new state; an object that is no longer in them was
    deleted, or is no longer selected."""

    def scope_opens(self) -> None:
        """A scope is about to open: see `scopes`."""

    def dag_changed(self, key: Key) -> None:
        """A Dag was created, changed or deleted."""

    def run_changed(self, key: Key, change: Change[DagRunObject]) -> None:
        """A DagRun was created, changed, finished or deleted."""

    def request_changed(self, key: Key, dag: str) -> None:
        """A DagRun of that Dag has another request, or no request."""

    def pod_changed(self, run_uid: str, pod: PodObject, gone: bool) -> None:
        """A Pod of a run was created, changed or deleted."""

    def pool_changed(self, key: Key) -> None:
        """A Pool was created, changed or deleted."""

    def backfill_changed(self, key: Key, dag: str) -> None:
        """A Backfill of that Dag was created, changed or deleted."""


class Listeners:
    """All listeners of the caches."""

    def __init__(self) -> None:
        self._listeners: dict[object, Listener] = {}

    def add(self, listener: Listener) -> Callable[[], None]:
        """Add a listener, until the returned function is called."""
        token = object()
        self._listeners[token] = listener

        def remove() -> None:
            self._listeners.pop(token, None)

        return remove

    def notify(self, call: Callable[[Listener], None]) -> None:
        """Notify each listener. Errors are raised after all of them have been called."""
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
    """A changed object, to look up in the caches."""

    resource: Resource
    key: Key
    """Namespace and name; for Pods, the namespace and the UID of their run, by which the caches index them."""


class Changes(Listener):
    """The changes that were not read yet, the oldest first."""

    def __init__(self) -> None:
        self._waiting: dict[Changed, None] = {}
        self._has_changes = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    async def __aiter__(self) -> AsyncIterator[Changed]:
        while True:
            await self._has_changes.wait()
            while self._waiting:
                changed = next(iter(self._waiting))
                del self._waiting[changed]
                yield changed
            self._has_changes.clear()

    def _add(self, resource: Resource, key: Key) -> None:
        self._waiting[Changed(resource, key)] = None
        self._has_changes.set()

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
