"""Readers of caches: each sees every change, starts and stops at any time, and blocks no other; a process that only
reads fills its own beside the leader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.apiserver import MemoryClient
from tests.apiserver.kinds import BY_PLURAL
from tests.unit.controller.memory_cluster import MemoryCluster
from tradewind.api.shards import Shard
from tradewind.cache.caches import Caches
from tradewind.cache.listeners import Changed, Changes, Listener
from tradewind.cache.resources import BACKFILLS, DAGRUNS, DAGS, POOLS, PodObject
from tradewind.kube.errors import ApiError
from tradewind.kube.objects import Key

pytestmark = pytest.mark.unit


SPAN = {"dag": "sales", "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}


class ReadOnly(MemoryClient):
    """May get, list and watch some kinds, and nothing else."""

    def __init__(self, cluster: MemoryCluster, *kinds: str) -> None:
        super().__init__(cluster.server, "reader")
        self.kinds = kinds or tuple(BY_PLURAL)

    async def _exchange_in_memory(self, request: Any, timeout: float) -> Any:
        if request.method != "GET" or request.path.rpartition("/")[2] not in self.kinds:
            raise ApiError(403, "Forbidden", f"cannot {request.method} {request.path}")
        return await super()._exchange_in_memory(request, timeout)


class Follower(Listener):
    """Notes which Dags have changed."""

    def __init__(self) -> None:
        self.dags: list[str] = []

    def dag_changed(self, key: Key) -> None:
        self.dags.append(key[1])


@pytest.fixture
async def people() -> MemoryCluster:
    """A cluster without a controller."""
    return MemoryCluster()


@pytest.fixture
async def caches(people: MemoryCluster) -> AsyncIterator[Caches]:
    async with Caches.open(ReadOnly(people)) as caches:
        await caches.wait_synced()
        yield caches


async def seen(people: MemoryCluster, follower: Follower, *names: str) -> None:
    await people.eventually(lambda: follower.dags == list(names), f"{names} are seen, in this order")


async def take(changes: Changes, number: int) -> list[Changed]:
    taken: list[Changed] = []
    async with asyncio.timeout(30):
        async for changed in changes:
            taken.append(changed)
            if len(taken) == number:
                break
    return taken


async def test_each_of_two_listeners_sees_every_change(people: MemoryCluster, caches: Caches) -> None:
    one, other = Follower(), Follower()
    caches.subscribe(one)
    unsubscribe = caches.subscribe(other)
    people.dag("a")
    people.dag("b")
    await seen(people, one, "a", "b")
    assert other.dags == ["a", "b"]
    unsubscribe()
    people.patch("dags", "a", spec={"suspend": True})
    await seen(people, one, "a", "b", "a")
    assert other.dags == ["a", "b"]
    unsubscribe()  # has no further effect


async def test_what_is_known_already_is_not_a_change(people: MemoryCluster) -> None:
    people.dag("a")
    async with Caches.open(ReadOnly(people), ["ns"]) as caches:
        await caches.wait_synced()
        follower = Follower()
        caches.subscribe(follower)
        people.dag("b")
        await seen(people, follower, "b")
        assert set(caches.dags) == {("ns", "a"), ("ns", "b")}


async def test_a_listener_that_fails_does_not_keep_a_change_from_the_others(
    people: MemoryCluster, caches: Caches
) -> None:
    class Broken(Listener):
        def dag_changed(self, key: Key) -> None:
            raise RuntimeError("broken")

    one, other = Follower(), Follower()
    for listener in (one, Broken(), other):
        caches.subscribe(listener)
    people.dag("a")
    people.dag("b")
    await seen(people, other, "a", "b")
    assert one.dags == ["a", "b"]
    assert sum(informer.callback_errors for informer in caches.informers) == 2


async def test_a_listener_that_another_has_removed_is_not_called(people: MemoryCluster, caches: Caches) -> None:
    class Removes(Listener):
        def dag_changed(self, key: Key) -> None:
            unsubscribe()

    follower = Follower()
    caches.subscribe(Removes())
    unsubscribe = caches.subscribe(follower)
    people.dag("a")
    await people.eventually(lambda: caches.dags, "it is seen")
    assert follower.dags == []


async def test_a_slow_reader_blocks_no_one_and_gets_each_object_once(people: MemoryCluster, caches: Caches) -> None:
    follower = Follower()
    caches.subscribe(follower)
    async with caches.changes() as slow, caches.changes() as quick:
        for name in ("a", "b", "c"):
            people.dag(name)
        taken = await take(quick, 3)
        for _ in range(20):
            people.patch("dags", "a", metadata={"annotations": {"note": str(len(follower.dags))}})
            await take(quick, 1)
        assert len(follower.dags) == 23
        assert len(slow) == 3
        assert await take(slow, 3) == taken == [Changed(DAGS, ("ns", name)) for name in ("a", "b", "c")]
        people.create("pools", "slow", spec={"slots": 1})
        assert await take(slow, 1) == [Changed(POOLS, ("ns", "slow"))]
    people.dag("d")
    await seen(people, follower, *follower.dags[:23], "d")
    assert len(slow) == 0


async def test_changes_name_what_to_look_up(people: MemoryCluster, caches: Caches) -> None:
    people.dag("sales")
    await people.eventually(lambda: caches.dags, "the Dag is seen")
    async with caches.changes() as changes:
        people.create("backfills", "b", spec=SPAN)
        people.run("sales", "r")
        found = {changed.resource: changed.key for changed in await take(changes, 2)}
        assert found == {BACKFILLS: ("ns", "b"), DAGRUNS: ("ns", "r")}
        run = caches.runs["ns", "r"]
        labels = {"tradewind.dev/run": "r"}
        owner = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "DagRun", "name": "r", "uid": run.metadata.uid}
        people.create(
            "pods",
            "p",
            metadata={"labels": labels, "ownerReferences": [{**owner, "controller": True}]},
            spec={"containers": [{"name": "task", "image": "busybox"}]},
        )
        [pod] = await take(changes, 1)
        pods: dict[str, PodObject] = caches.pods[pod.key[1]]
        assert (pod.key, set(pods)) == (("ns", run.metadata.uid), {"p"})


async def test_a_second_process_that_may_only_read_sees_a_run_finish(cluster: MemoryCluster) -> None:
    cluster.stays.add("r")
    async with Caches.open(ReadOnly(cluster), ["ns"]) as caches:
        await caches.wait_synced()
        cluster.dag("sales")
        cluster.run("sales", "r")
        await cluster.eventually(lambda: caches.runs.get(("ns", "r")), "the run is seen")
        uid = caches.runs["ns", "r"].metadata.uid
        [pod] = await cluster.eventually(lambda: [*caches.pods.get(uid, {})], "its Pod is seen")
        await cluster.eventually(lambda: caches.runs["ns", "r"].phase == "Running", "its phase is seen")
        cluster.kubelet(pod, "r")
        await cluster.eventually(lambda: not caches.is_active(uid), "it has finished")
        assert caches.runs == {}
    assert cluster.status("dagruns", "r")["phase"] == "Succeeded"


async def test_a_reader_without_a_right_leaves_that_kind_out(people: MemoryCluster) -> None:
    people.dag("sales")
    client = ReadOnly(people, "dags", "dagruns")
    async with Caches.open(client, ["ns"], kinds=(DAGS, DAGRUNS)) as caches:
        await caches.wait_synced()
        assert set(caches.dags) == {("ns", "sales")}
        assert {informer.resource for informer in caches.informers} == {DAGS, DAGRUNS}


async def test_caches_of_a_shard_have_its_namespaces_only(people: MemoryCluster) -> None:
    namespaces = ("prod", "team-a", "team-b", "ns")
    for namespace in namespaces[:-1]:
        people.create("namespaces", namespace)
    for namespace in namespaces:
        with people.within(namespace):
            people.dag("sales")
    found = []
    for index in (0, 1):
        async with Caches.open(ReadOnly(people), part=Shard(index, 2)) as caches:
            await caches.wait_synced()
            assert all(Shard(index, 2).owns(namespace) for namespace, _ in caches.dags)
            found += [namespace for namespace, _ in caches.dags]
    assert sorted(found) == sorted(namespaces)
