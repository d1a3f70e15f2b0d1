"""Caches of some namespaces, of a shard or of the whole cluster: informers of our kinds and of our Pods, with look-ups.

Any process may have its own, whether it leads or not: they get, list and watch, and need no other right. So a standby
acts on warm caches, and a reader that never leads knows as much as the leader. The caches also keep what Pods said that
have been deleted since, for as long as their run has not finished.

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
"""Pods by name, and what they were found to say."""

EVERY_KIND = (DAGS, DAGRUNS, POOLS, BACKFILLS, PODS, CONFIGMAPS)
ACTIVE_RUNS = "status.phase!=Succeeded,status.phase!=Failed"
WITH_REQUEST = "spec.request.id!="
OF_VARIABLES = f"{names.LABEL_VARIABLES}=true"
ASK_WITHIN = 2.0
"""Seconds; whoever wants to know is itself waited for."""
OVER_KEPT = 10_000
UNCLAIMED_KEPT = 2000
"""Results of Pods that have gone and whose run is not known; most of these runs are over."""


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
        """Of what is in the scopes, only what belongs to `part` is kept. A process that may not list one of the kinds
        leaves it out of `kinds`: a scope counts once all of those are listed."""
        self.part, self._client = part, client
        self.dags: dict[Key, DagObject] = {}
        self.runs: dict[Key, DagRunObject] = {}
        """DagRuns that have not finished."""
        self.requested: dict[Key, DagRunObject] = {}
        """DagRuns that something is asked of, ended or not."""
        self._runs_of: dict[Key, dict[str, DagRunObject]] = {}
        self.pools: dict[Key, PoolObject] = {}
        self.backfills: dict[Key, BackfillObject] = {}
        self.pods: dict[str, dict[str, PodObject]] = {}
        """Pods by UID of their run, then by name."""
        self._config_maps: dict[str, dict[str, dict[str, str] | None]] = {}
        """Data of ConfigMaps of variables, by namespace and name."""
        self._gone: dict[str, dict[TryKey, TryReport]] = {}
        self._unclaimed: deque[tuple[str, TryKey]] = deque()
        """Those in `_gone` whose run was not known when they went, the oldest first."""
        self._active: dict[str, str] = {}
        """Namespaces of the runs that have not finished, by UID. A Pod in another says nothing of a run: whoever may
        create Pods there could otherwise say how its tries went."""
        self._gone_in: dict[str, str] = {}
        """The namespaces of the Pods in `_gone` whose run was not known, by UID of the run."""
        self._over: dict[str, str] = {}
        """Namespaces of runs that were active and are not any more, by UID, the oldest first."""
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
        """What is watched, in the order in which it counts when a scope opens."""
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
        """Caches that fill themselves and are kept up to date until the end of the block."""
        caches = cls(client, scopes, part=part, kinds=kinds)
        running = asyncio.create_task(caches.run(), name="caches")
        try:
            yield caches
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call it with each change from now on, until the returned function is called."""
        return self._listeners.add(listener)

    @contextlib.asynccontextmanager
    async def changes(self) -> AsyncIterator[Changes]:
        """What changes from now on, for a reader that may be slow."""
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
        """Whether all is known that can be known, and that is something."""
        known = [scope.open.is_set() for scope in self.scopes]
        return (any(known) or not known) and all(scope.open.is_set() or scope.shut_out for scope in self.scopes)

    async def wait_synced(self) -> None:
        """Return once all is known that can be known, and that is something."""
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
        """What is still to be listed, for people."""
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
        """What we are not let see, and why, for people."""
        return list(dict.fromkeys(line for scope in self.scopes for line in scope.missing()))

    async def catch_up(self) -> None:
        """Return once what decides about starts is known as it is now, whatever the watches have not brought yet.
        KubeError if the server cannot be asked."""
        known = [informer for scope in self.scopes if scope.open.is_set() for informer in scope.informers]
        await asyncio.gather(*(_catch_up(each) for each in known if each.resource in (PODS, DAGRUNS, DAGS, POOLS)))

    def close_unseen(self) -> bool:
        """Forget what is known of scopes of which something may not be seen any more, until it can be seen again:
        whoever begins to lead would act on the past. Returns whether there were any."""
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
        """What Pods said that have gone stays: it comes no second time."""

        def concerned(other: str) -> bool:
            return namespace is None or other == namespace

        stores: tuple[dict[Key, Any], ...] = (
            *(self.dags, self.runs, self.requested, self._runs_of, self.pools, self.backfills),
        )
        for store in stores:
            for key in [key for key in store if concerned(key[0])]:
                del store[key]
        for other in [other for other in self._config_maps if concerned(other)]:
            del self._config_maps[other]
        for uid, where in list(self._active.items()):
            if concerned(where):
                del self._active[uid]
                if uid in self._gone:
                    self._gone_in[uid] = where
                    self._unclaimed += [(uid, identity) for identity in self._gone[uid]]
        for uid, pods in list(self.pods.items()):
            left = {name: pod for name, pod in pods.items() if not concerned(pod.metadata.namespace)}
            if left:
                self.pods[uid] = left
            else:
                del self.pods[uid]

    async def find_dag(self, key: Key) -> DagObject | None:
        """A Dag, another shard's too. None if there is none, or if the server does not say soon."""
        if self.part.owns(key[0]):
            return self.dags.get(key)
        try:
            found = await self._client.request_bytes("GET", DAGS.path(*key), timeout=ASK_WITHIN)
            return msgspec.json.decode(found, type=DagObject)
        except (KubeError, ValueError):
            return None

    def reports(self, run_uid: str, observed: Observed | None = None) -> list[TryReport]:
        """What is known of each try of a run, from its Pods and from those that are gone. The later tries first: that
        there is one tells how to take what is known of those before."""

        def said(pod: PodObject) -> TryReport | None:
            known = observed.get(pod.metadata.name) if observed else None
            return known[1] if known is not None and known[0] is pod else observe(pod, gone=False)

        seen = (said(pod) for pod in self.pods.get(run_uid, {}).values())
        known = [*self._gone.get(run_uid, {}).values(), *(report for report in seen if report is not None)]
        return sorted(known, key=lambda report: (report.number, report.poke), reverse=True)

    def pod(self, run_uid: str, name: str) -> PodObject | None:
        """One Pod of a run."""
        return self.pods.get(run_uid, {}).get(name)

    def variables(self, namespace: str) -> Variables:
        """What templates may read of the ConfigMaps of a namespace, as they are now."""
        return Variables(self._config_maps.get(namespace), namespace)

    def runs_of(self, dag: Key) -> Mapping[str, DagRunObject]:
        """The DagRuns of a Dag that have not finished, by name."""
        return self._runs_of.get(dag, {})

    def is_active(self, run_uid: str) -> bool:
        """Whether a DagRun has not finished, as far as we have heard."""
        return run_uid in self._active

    def backfill_is_gone(self, run: DagRunObject) -> bool:
        """Whether a run names a Backfill that is not there any more, or is about to go."""
        metadata = run.metadata
        if names.LABEL_BACKFILL not in metadata.labels or names.ANNOTATION_BACKFILL_UID not in metadata.annotations:
            return False
        found = backfill_of(self.backfills, metadata.namespace, metadata.labels, metadata.annotations)
        return found is None or found.metadata.deletion_timestamp is not None

    def _scope_opens(self) -> None:
        self._listeners.tell(lambda listener: listener.scope_opens())

    def _changed(self, scope: Scope, resource: Resource, handle: Handler, change: Change[Any]) -> None:
        if scope.counts(resource.plural, change):
            handle(change)
        elif resource is PODS and change.kind is ChangeKind.DELETED and (uid := run_uid_of(change.object)) is not None:
            # It comes no second time.
            self._remember_gone(uid, change.object)

    def _dag(self, change: Change[DagObject]) -> None:
        _update(self.dags, change)
        key = _key(change)
        self._listeners.tell(lambda listener: listener.dag_changed(key))

    def _run(self, change: Change[DagRunObject]) -> None:
        _update(self.runs, change)
        key, run = _key(change), change.object
        uid, dag = run.metadata.uid, (key[0], run.dag)
        if change.kind is ChangeKind.DELETED:
            _discard(self._runs_of, dag, key[1])
            # Finished or deleted: what its deleted Pods said is of no more use.
            self._active.pop(uid, None)
            self._gone.pop(uid, None)
            self._over[uid] = key[0]
            if len(self._over) > OVER_KEPT:
                del self._over[next(iter(self._over))]
        else:
            if uid not in self._active:
                self._drop_foreign_pods(uid, key[0])
            self._active[uid] = key[0]
            self._over.pop(uid, None)
            self._runs_of.setdefault(dag, {})[key[1]] = run
        self._listeners.tell(lambda listener: listener.run_changed(key, change))

    def _request(self, change: Change[DagRunObject]) -> None:
        _update(self.requested, change)
        key, dag = _key(change), change.object.dag
        self._listeners.tell(lambda listener: listener.request_changed(key, dag))

    def _pool(self, change: Change[PoolObject]) -> None:
        _update(self.pools, change)
        key = _key(change)
        self._listeners.tell(lambda listener: listener.pool_changed(key))

    def _config_map(self, change: Change[ConfigMapObject]) -> None:
        namespace, name = _key(change)
        if change.kind is not ChangeKind.DELETED:
            self._config_maps.setdefault(namespace, {})[name] = change.object.data
        else:
            _discard(self._config_maps, namespace, name)

    def _backfill(self, change: Change[BackfillObject]) -> None:
        _update(self.backfills, change)
        key, dag = _key(change), str(change.object.spec.get("dag"))
        self._listeners.tell(lambda listener: listener.backfill_changed(key, dag))

    def _pod(self, change: Change[PodObject]) -> None:
        pod = change.object
        uid, namespace = run_uid_of(pod), pod.metadata.namespace
        if uid is None or namespace != self._active.get(uid, self._over.get(uid, namespace)):
            return
        gone = change.kind is ChangeKind.DELETED
        if gone:
            pods = self.pods.get(uid, {})
            known = pods.get(pod.metadata.name)
            if known is not None and known.metadata.uid == pod.metadata.uid:
                del pods[pod.metadata.name]
                if not pods:
                    del self.pods[uid]
            self._remember_gone(uid, pod)
        else:
            self.pods.setdefault(uid, {})[pod.metadata.name] = pod
        self._listeners.tell(lambda listener: listener.pod_changed(uid, pod, gone))

    def _drop_foreign_pods(self, uid: str, namespace: str) -> None:
        """Forget Pods that claim to be of a run that is now known to be in another namespace."""
        pods = self.pods.pop(uid, {})
        own = {name: pod for name, pod in pods.items() if pod.metadata.namespace == namespace}
        if own:
            self.pods[uid] = own
        if self._gone_in.pop(uid, namespace) != namespace:
            self._gone.pop(uid, None)

    def keep_result(self, pod: PodObject) -> None:
        """A Pod that has ended was read other than by watch. That may never show it: what it says is kept for whoever
        leads this process's next term."""
        uid = run_uid_of(pod)
        if uid is not None:
            self._remember_gone(uid, pod)

    def _remember_gone(self, uid: str, pod: PodObject) -> None:
        identity, report = try_of(pod), observe(pod, gone=True)
        if identity is None or report is None or uid in self._over:
            return
        namespace = pod.metadata.namespace
        if uid not in self._active and self._gone_in.setdefault(uid, namespace) != namespace:
            return
        gone = self._gone.setdefault(uid, {})
        if report.event is not TryEvent.LOST or identity not in gone:
            gone[identity] = report  # how it ended says more than that it is missing
        if uid not in self._active:
            # Its run has long been over, or the watch of runs lags behind that of Pods and is about to bring it.
            self._unclaimed.append((uid, identity))
            if len(self._unclaimed) > UNCLAIMED_KEPT:
                oldest, of = self._unclaimed.popleft()
                if oldest not in self._active:
                    _discard(self._gone, oldest, of)
                    if oldest not in self._gone:
                        self._gone_in.pop(oldest, None)


async def _catch_up(informer: Informer[Any]) -> None:
    """What was refused lately may be allowed again, long before the informer tries next."""
    try:
        await informer.catch_up()
    except ApiError as error:
        if informer.refused is None or not (error.is_forbidden or error.is_not_found):
            raise


def _key(change: Change[Any]) -> Key:
    metadata = change.object.metadata
    return metadata.namespace, metadata.name


def _discard(stores: dict[K, dict[N, V]], key: K, name: N) -> None:
    """Take something out of one of several stores, and the store if it was the last."""
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
