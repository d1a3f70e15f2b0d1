"""Caches of some namespaces, of a shard or of the whole cluster: informers of our kinds and of our Pods, with indexes.

Any process may have its own, whether it is the leader or not: they only need permission to get, list and watch. So a
standby starts with warm caches, and a reader knows as much as the leader. The caches also keep the results of deleted
Pods until their run has finished.

    async with Caches.open(client, ["team-a"]) as caches:
        await caches.wait_synced()
        print(caches.dags["team-a", "daily-sales"].facts)
        async with caches.changes() as changes:
            async for changed in changes:
                ...
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Self, TypeVar

import msgspec

from tradewind.api import names
from tradewind.api.shards import ONLY_SHARD, Shard
from tradewind.api.variables import Variables
from tradewind.cache.listeners import Changes, Listener, Listeners
from tradewind.cache.observation import observe, run_uid_of, try_of
from tradewind.cache.resources import (
    BACKFILLS,
    DAGRUNS,
    DAGS,
    POOLS,
    BackfillObject,
    ConfigMapObject,
    DagObject,
    DagRunObject,
    PodObject,
    PoolObject,
    backfill_of,
)
from tradewind.cache.scopes import Handler, Scope
from tradewind.cache.watches import watches
from tradewind.engine.run.tries import TryEvent, TryKey, TryReport
from tradewind.kube.client import ApiClient
from tradewind.kube.clock import SYSTEM_CLOCK, Clock
from tradewind.kube.errors import ApiError, KubeError
from tradewind.kube.informer import Change, ChangeKind, Informer
from tradewind.kube.objects import Key
from tradewind.kube.resources import CONFIGMAPS, PODS, Resource

K = TypeVar("K")
N = TypeVar("N")
V = TypeVar("V")

Observed = dict[str, tuple[PodObject, TryReport | None]]
"""Pods by name, with the report on their try."""

EVERY_KIND = (DAGS, DAGRUNS, POOLS, BACKFILLS, PODS, CONFIGMAPS)
ACTIVE_RUNS = "status.phase!=Succeeded,status.phase!=Failed"
WITH_REQUEST = "spec.request.id!="
OF_VARIABLES = f"{names.LABEL_VARIABLES}=true"
READ_TIMEOUT = 2.0
"""Timeout in seconds of a read that blocks other work."""
FINISHED_KEPT = 10_000
UNCLAIMED_KEPT = 2000
"""The maximum number of results of deleted Pods of unknown runs; most of these runs have finished."""


class Caches:
    """Informers for each scope (one namespace, or None for all), and indexes over them."""

    def __init__(
        self,
        client: ApiClient,
        scopes: Sequence[str | None] = (None,),
        *,
        part: Shard = ONLY_SHARD,
        kinds: Collection[Resource] = EVERY_KIND,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Only objects of `part` are kept. A process without permission to list a kind omits it from `kinds`: a scope
        opens once all of those are listed."""
        self.part, self._client = part, client
        self.dags: dict[Key, DagObject] = {}
        self.runs: dict[Key, DagRunObject] = {}
        """Unfinished DagRuns."""
        self.requested: dict[Key, DagRunObject] = {}
        """DagRuns with a request, finished or not."""
        self._runs_of: dict[Key, dict[str, DagRunObject]] = {}
        self.pools: dict[Key, PoolObject] = {}
        self.backfills: dict[Key, BackfillObject] = {}
        self.pods: dict[str, dict[str, PodObject]] = {}
        """Pods by UID of their run, then by name."""
        self._config_maps: dict[str, dict[str, dict[str, str] | None]] = {}
        """Data of ConfigMaps of variables, by namespace and name."""
        self._deleted: dict[str, dict[TryKey, TryReport]] = {}
        self._unclaimed: deque[tuple[str, TryKey]] = deque()
        """Results in `_deleted` whose run was unknown when their Pod was deleted, the oldest first."""
        self._active: dict[str, str] = {}
        """Namespaces of the unfinished runs, by UID. Pods in other namespaces are ignored: otherwise anyone who may
        create Pods there could report results of the run's tries."""
        self._deleted_in: dict[str, str] = {}
        """The namespaces of the Pods in `_deleted` whose run was unknown, by UID of the run."""
        self._finished: dict[str, str] = {}
        """Namespaces of runs that are no longer active, by UID, the oldest first."""
        self._listeners = Listeners()
        self.scopes: list[Scope] = []
        for namespace in scopes:
            scope = Scope(namespace, self._scope_opens)
            self.scopes.append(scope)
            for resource, decode, handle, options in self._selections():
                if resource not in kinds:
                    continue
                on_change = partial(self._changed, scope, resource, handle)
                found = watches(client, namespace, part, resource, decode, on_change, clock=clock, **options)
                scope.watches += [(informer, handle) for informer in found]
        self.informers = [informer for scope in self.scopes for informer in scope.informers]

    def _selections(self) -> list[tuple[Resource, type[Any], Handler, dict[str, Any]]]:
        """Return what to watch, in the order in which it is applied when a scope opens."""
        return [
            (PODS, PodObject, self._pod, {"labels": names.LABEL_RUN, "labelled": True}),
            (DAGS, DagObject, self._dag, {}),
            (POOLS, PoolObject, self._pool, {}),
            (BACKFILLS, BackfillObject, self._backfill, {}),
            (DAGRUNS, DagRunObject, self._run, {"fields": ACTIVE_RUNS, "labelled": True}),
            (DAGRUNS, DagRunObject, self._request, {"fields": WITH_REQUEST, "labelled": True}),
            (CONFIGMAPS, ConfigMapObject, self._config_map, {"labels": OF_VARIABLES}),
        ]

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        client: ApiClient,
        scopes: Sequence[str | None] = (None,),
        *,
        part: Shard = ONLY_SHARD,
        kinds: Collection[Resource] = EVERY_KIND,
    ) -> AsyncIterator[Self]:
        """Create caches and keep them up to date until the end of the block."""
        caches = cls(client, scopes, part=part, kinds=kinds)
        running = asyncio.create_task(caches.run(), name="caches")
        try:
            yield caches
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Notify `listener` of each change, until the returned function is called."""
        return self._listeners.add(listener)

    @contextlib.asynccontextmanager
    async def changes(self) -> AsyncIterator[Changes]:
        """Collect changes from now on, for a reader that may be slow."""
        changes = Changes()
        unsubscribe = self.subscribe(changes)
        try:
            yield changes
        finally:
            unsubscribe()

    async def run(self) -> None:
        """Keep everything up to date until cancelled."""
        async with asyncio.TaskGroup() as group:
            for informer in self.informers:
                group.create_task(informer.run(), name=f"informer {informer.resource.plural}")
            for scope in self.scopes:
                group.create_task(scope.run(), name=f"open {scope.namespace or 'all namespaces'}")

    @property
    def synced(self) -> bool:
        """True if at least one scope is open, and all others are open or inaccessible."""
        known = [scope.open.is_set() for scope in self.scopes]
        return (any(known) or not known) and all(scope.open.is_set() or scope.inaccessible for scope in self.scopes)

    async def wait_synced(self) -> None:
        """Return once at least one scope is open, and all others are open or inaccessible."""
        for scope in self.scopes:
            await scope.settled()
        opening = [asyncio.ensure_future(scope.open.wait()) for scope in self.scopes]
        try:
            if opening:
                await asyncio.wait(opening, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in opening:
                each.cancel()

    def unlisted(self) -> list[str]:
        """Return the kinds that are not listed yet, for people."""
        waiting = [informer for informer in self.informers if not informer.synced.is_set()]
        named = dict.fromkeys(
            f"{informer.resource.plural} in namespace {informer.namespace}"
            if informer.namespace
            else informer.resource.plural
            for informer in waiting
            if informer.refused is None
        )
        return [*named, *self.refused()]

    def refused(self) -> list[str]:
        """Return the kinds that cannot be listed, with the reasons, for people."""
        return list(dict.fromkeys(line for scope in self.scopes for line in scope.missing()))

    async def catch_up(self) -> None:
        """Return once the kinds that scheduling depends on are as new as the server is now. Raises KubeError if the
        server cannot be reached."""
        known = [informer for scope in self.scopes if scope.open.is_set() for informer in scope.informers]
        await asyncio.gather(*(_catch_up(each) for each in known if each.resource in (PODS, DAGRUNS, DAGS, POOLS)))

    def close_inaccessible(self) -> bool:
        """Close scopes with a kind that can no longer be listed, and drop their objects, until it can be listed again:
        a new leader would act on stale state. Return True if there were any."""
        closed = [
            scope
            for scope in self.scopes
            if scope.open.is_set() and any(informer.refused is not None for informer in scope.informers)
        ]
        for scope in closed:
            scope.close()
            self._forget(scope.namespace)
        return bool(closed)

    def _forget(self, namespace: str | None) -> None:
        """Drop the objects of a scope. Results of deleted Pods are kept, because they are not delivered again."""

        def in_scope(other: str) -> bool:
            return namespace is None or other == namespace

        stores: tuple[dict[Key, Any], ...] = (
            *(self.dags, self.runs, self.requested, self._runs_of, self.pools, self.backfills),
        )
        for store in stores:
            for key in [key for key in store if in_scope(key[0])]:
                del store[key]
        for other in [other for other in self._config_maps if in_scope(other)]:
            del self._config_maps[other]
        for uid, where in list(self._active.items()):
            if in_scope(where):
                del self._active[uid]
                if uid in self._deleted:
                    self._deleted_in[uid] = where
                    self._unclaimed += [(uid, identity) for identity in self._deleted[uid]]
        for uid, pods in list(self.pods.items()):
            left = {name: pod for name, pod in pods.items() if not in_scope(pod.metadata.namespace)}
            if left:
                self.pods[uid] = left
            else:
                del self.pods[uid]

    async def find_dag(self, key: Key) -> DagObject | None:
        """Return a Dag, also one of another shard. None if it does not exist, or if the server does not respond in
        time."""
        if self.part.owns(key[0]):
            return self.dags.get(key)
        try:
            found = await self._client.request_bytes("GET", DAGS.path(*key), timeout=READ_TIMEOUT)
            return msgspec.json.decode(found, type=DagObject)
        except (KubeError, ValueError):
            return None

    def reports(self, run_uid: str, observed: Observed | None = None) -> list[TryReport]:
        """Return the reports on the tries of a run, from its Pods and from deleted ones. Later tries come first: their
        existence affects how the reports on earlier ones are interpreted."""

        def said(pod: PodObject) -> TryReport | None:
            known = observed.get(pod.metadata.name) if observed else None
            return known[1] if known is not None and known[0] is pod else observe(pod, gone=False)

        seen = (said(pod) for pod in self.pods.get(run_uid, {}).values())
        known = [*self._deleted.get(run_uid, {}).values(), *(report for report in seen if report is not None)]
        return sorted(known, key=lambda report: (report.number, report.poke), reverse=True)

    def pod(self, run_uid: str, name: str) -> PodObject | None:
        """Return a Pod of a run."""
        return self.pods.get(run_uid, {}).get(name)

    def variables(self, namespace: str) -> Variables:
        """Return the current variables of a namespace, for templates."""
        return Variables(self._config_maps.get(namespace), namespace)

    def runs_of(self, dag: Key) -> Mapping[str, DagRunObject]:
        """Return the unfinished DagRuns of a Dag, by name."""
        return self._runs_of.get(dag, {})

    def is_active(self, run_uid: str) -> bool:
        """True if a DagRun is unfinished, according to the caches."""
        return run_uid in self._active

    def backfill_is_deleted(self, run: DagRunObject) -> bool:
        """True if the Backfill of a run was deleted, or is being deleted."""
        metadata = run.metadata
        if names.LABEL_BACKFILL not in metadata.labels or names.ANNOTATION_BACKFILL_UID not in metadata.annotations:
            return False
        found = backfill_of(self.backfills, metadata.namespace, metadata.labels, metadata.annotations)
        return found is None or found.metadata.deletion_timestamp is not None

    def _scope_opens(self) -> None:
        self._listeners.notify(lambda listener: listener.scope_opens())

    def _changed(self, scope: Scope, resource: Resource, handle: Handler, change: Change[Any]) -> None:
        if scope.counts(resource.plural, change):
            handle(change)
        elif resource is PODS and change.kind is ChangeKind.DELETED and (uid := run_uid_of(change.object)) is not None:
            # The event is not delivered again.
            self._keep_deleted(uid, change.object)

    def _dag(self, change: Change[DagObject]) -> None:
        _update(self.dags, change)
        key = _key(change)
        self._listeners.notify(lambda listener: listener.dag_changed(key))

    def _run(self, change: Change[DagRunObject]) -> None:
        _update(self.runs, change)
        key, run = _key(change), change.object
        uid, dag = run.metadata.uid, (key[0], run.dag)
        if change.kind is ChangeKind.DELETED:
            _discard(self._runs_of, dag, key[1])
            # Finished or deleted: the results of its deleted Pods are no longer needed.
            self._active.pop(uid, None)
            self._deleted.pop(uid, None)
            self._finished[uid] = key[0]
            if len(self._finished) > FINISHED_KEPT:
                del self._finished[next(iter(self._finished))]
        else:
            if uid not in self._active:
                self._drop_foreign_pods(uid, key[0])
            self._active[uid] = key[0]
            self._finished.pop(uid, None)
            self._runs_of.setdefault(dag, {})[key[1]] = run
        self._listeners.notify(lambda listener: listener.run_changed(key, change))

    def _request(self, change: Change[DagRunObject]) -> None:
        _update(self.requested, change)
        key, dag = _key(change), change.object.dag
        self._listeners.notify(lambda listener: listener.request_changed(key, dag))

    def _pool(self, change: Change[PoolObject]) -> None:
        _update(self.pools, change)
        key = _key(change)
        self._listeners.notify(lambda listener: listener.pool_changed(key))

    def _config_map(self, change: Change[ConfigMapObject]) -> None:
        namespace, name = _key(change)
        if change.kind is not ChangeKind.DELETED:
            self._config_maps.setdefault(namespace, {})[name] = change.object.data
        else:
            _discard(self._config_maps, namespace, name)

    def _backfill(self, change: Change[BackfillObject]) -> None:
        _update(self.backfills, change)
        key, dag = _key(change), str(change.object.spec.get("dag"))
        self._listeners.notify(lambda listener: listener.backfill_changed(key, dag))

    def _pod(self, change: Change[PodObject]) -> None:
        pod = change.object
        uid, namespace = run_uid_of(pod), pod.metadata.namespace
        if uid is None or namespace != self._active.get(uid, self._finished.get(uid, namespace)):
            return
        gone = change.kind is ChangeKind.DELETED
        if gone:
            pods = self.pods.get(uid, {})
            known = pods.get(pod.metadata.name)
            if known is not None and known.metadata.uid == pod.metadata.uid:
                del pods[pod.metadata.name]
                if not pods:
                    del self.pods[uid]
            self._keep_deleted(uid, pod)
        else:
            self.pods.setdefault(uid, {})[pod.metadata.name] = pod
        self._listeners.notify(lambda listener: listener.pod_changed(uid, pod, gone))

    def _drop_foreign_pods(self, uid: str, namespace: str) -> None:
        """Drop Pods that claim to belong to a run in another namespace."""
        pods = self.pods.pop(uid, {})
        own = {name: pod for name, pod in pods.items() if pod.metadata.namespace == namespace}
        if own:
            self.pods[uid] = own
        if self._deleted_in.pop(uid, namespace) != namespace:
            self._deleted.pop(uid, None)

    def keep_result(self, pod: PodObject) -> None:
        """Keep the result of a finished Pod that was read without the watch, which may never deliver it, for the next
        term of this process."""
        uid = run_uid_of(pod)
        if uid is not None:
            self._keep_deleted(uid, pod)

    def _keep_deleted(self, uid: str, pod: PodObject) -> None:
        identity, report = try_of(pod), observe(pod, gone=True)
        if identity is None or report is None or uid in self._finished:
            return
        namespace = pod.metadata.namespace
        if uid not in self._active and self._deleted_in.setdefault(uid, namespace) != namespace:
            return
        gone = self._deleted.setdefault(uid, {})
        if report.event is not TryEvent.LOST or identity not in gone:
            gone[identity] = report  # a result has precedence over a lost Pod
        if uid not in self._active:
            # Its run finished long ago, or the watch of runs lags behind that of Pods.
            self._unclaimed.append((uid, identity))
            if len(self._unclaimed) > UNCLAIMED_KEPT:
                oldest, of = self._unclaimed.popleft()
                if oldest not in self._active:
                    _discard(self._deleted, oldest, of)
                    if oldest not in self._deleted:
                        self._deleted_in.pop(oldest, None)


async def _catch_up(informer: Informer[Any]) -> None:
    """Catch up, also with a kind that was forbidden and may be allowed again before the informer retries."""
    try:
        await informer.catch_up()
    except ApiError as error:
        if informer.refused is None or not (error.is_forbidden or error.is_not_found):
            raise


def _key(change: Change[Any]) -> Key:
    metadata = change.object.metadata
    return metadata.namespace, metadata.name


def _discard(stores: dict[K, dict[N, V]], key: K, name: N) -> None:
    """Remove an entry of a nested dict, and the inner dict if it is empty."""
    store = stores.get(key)
    if store is not None:
        store.pop(name, None)
        if not store:
            del stores[key]


def _update(store: dict[Key, Any], change: Change[Any]) -> None:
    if change.kind is ChangeKind.DELETED:
        store.pop(_key(change), None)
    else:
        store[_key(change)] = change.object
