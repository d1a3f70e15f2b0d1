"""Several shards share the work: each receives only objects of its own namespaces, and does only their work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.apiserver import Request
from tests.unit.controller.memory_cluster import Json, MemoryCluster
from tradewind.api.shards import Shard, bucket_of
from tradewind.cache.caches import Caches
from tradewind.controller.dags import dags
from tradewind.controller.runs import status_pace, status_writer

pytestmark = pytest.mark.unit

HALVES = (Shard(0, 2), Shard(1, 2))
NAMESPACES = ("prod", "team-a", "team-b", "team-1", "team-2", "ns")


class Halves:
    """A cluster in memory with a controller for each half of its namespaces."""

    def __init__(self) -> None:
        self.clusters: list[MemoryCluster] = []
        self.asked: list[list[Request]] = [[], []]

    @property
    def people(self) -> MemoryCluster:
        return self.clusters[0]

    def known(self, index: int) -> Caches:
        return self.clusters[index].controller.cluster

    async def start(self, **options: Any) -> None:
        for part in HALVES:
            cluster = MemoryCluster()
            if self.clusters:
                cluster.server = self.people.server
            else:
                for namespace in NAMESPACES[:-1]:
                    cluster.create("namespaces", namespace)
            self.clusters.append(cluster)
            cluster.before_request = self.asked[part.index].append
            await cluster.start(shards=2, shard=part.index, **options)

    async def stop(self) -> None:
        for cluster in self.clusters:
            await cluster.stop()


@pytest.fixture
async def halves(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Halves]:
    monkeypatch.setattr(dags, "WRITE_EVERY", 0.02)
    monkeypatch.setattr(status_pace, "LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(status_writer, "FIRST_WRITE_AFTER", 0.01)
    halves = Halves()
    yield halves
    await halves.stop()


def label(namespace: str) -> Json:
    return {"labels": {"tradewind.dev/bucket": str(bucket_of(namespace))}}


async def wait_phase(halves: Halves, namespace: str, run: str, phase: str) -> Json:
    def status() -> Json:
        with halves.people.within(namespace):
            return halves.people.status("dagruns", run)

    await halves.people.eventually(lambda: status().get("phase") == phase, f"{namespace}/{run} is {phase}")
    return status()


@pytest.mark.parametrize("listed", [(), NAMESPACES], ids=["the whole cluster", "namespaces that are listed"])
async def test_each_does_the_work_of_its_own_namespaces(halves: Halves, listed: tuple[str, ...]) -> None:
    await halves.start(namespaces=listed)
    for namespace in NAMESPACES:
        with halves.people.within(namespace):
            halves.people.dag("sales", successfulRunsHistoryLimit=1)
            halves.people.create("pools", "slow", spec={"slots": 1})
            halves.people.create("configmaps", "v", metadata={"labels": {"tradewind.dev/variables": "true"}}, data={})
            halves.people.run("sales", "plain")
            halves.people.create("dagruns", "labelled", metadata=label(namespace), spec={"dag": "sales"})
    for namespace in NAMESPACES:
        for run in ("plain", "labelled"):
            await wait_succeeded_or_gone(halves, namespace, run)
    for part in HALVES:
        own = {namespace for namespace in NAMESPACES if part.owns(namespace)}
        known = halves.known(part.index)
        assert {namespace for namespace, _ in known.dags} == own, part
        assert {namespace for namespace, _ in known.pools} == own
        assert set(known._config_maps) == own
        assert {pod.metadata.namespace for pods in known.pods.values() for pod in pods.values()} <= own
        for informer in known.informers:
            assert {namespace for namespace, _ in informer.store} <= own, informer.resource
        touched = {
            request.path.split("/namespaces/")[1].split("/")[0]
            for request in halves.asked[part.index]
            if "/namespaces/" in request.path and "/leases" not in request.path
        }
        assert touched <= own, part
        leader = halves.clusters[part.index].controller.leader
        assert leader is not None
        assert {namespace for namespace, _ in leader.dags.entries} == own
        registry = halves.clusters[part.index].controller.metrics.registry
        labels = {"shard": str(part.index), "shards": "2"}
        assert registry.get_sample_value("tradewind_shard_info", labels) == 1


async def wait_succeeded_or_gone(halves: Halves, namespace: str, run: str) -> None:
    def over() -> bool:
        with halves.people.within(namespace):
            found = halves.people.get("dagruns", run)
        return not found or (found.get("status") or {}).get("phase") == "Succeeded"

    await halves.people.eventually(over, f"{namespace}/{run} has succeeded")


async def test_what_is_labelled_is_sorted_out_by_the_server(halves: Halves) -> None:
    await halves.start()
    halves.people.dag("sales")
    other = halves.known(1 - bucket_of("ns") % 2)
    before = {id(informer): informer.events for informer in other.informers}
    halves.people.create("dagruns", "labelled", metadata=label("ns"), spec={"dag": "sales"})
    await wait_phase(halves, "ns", "labelled", "Succeeded")
    [pod] = halves.people.all("pods")
    assert pod["metadata"]["labels"]["tradewind.dev/bucket"] == str(bucket_of("ns"))
    sent = {
        informer.resource.plural
        for informer in other.informers
        if informer.events > before[id(informer)] and informer.resource.plural in ("pods", "dagruns")
    }
    assert sent == set()


@pytest.mark.parametrize("wrong", ["99", "x", "", "034"])
async def test_a_label_that_is_no_bucket_is_as_good_as_none(halves: Halves, wrong: str) -> None:
    await halves.start()
    halves.people.dag("sales")
    metadata = {"labels": {"tradewind.dev/bucket": wrong}}
    halves.people.create("dagruns", "r", metadata=metadata, spec={"dag": "sales"})
    await wait_phase(halves, "ns", "r", "Succeeded")


async def test_the_label_of_another_bucket_gives_no_second_owner(
    halves: Halves, caplog: pytest.LogCaptureFixture
) -> None:
    await halves.start()
    halves.people.dag("sales")
    wrong = str(1 - bucket_of("ns") % 2)
    with caplog.at_level(logging.WARNING):
        halves.people.create(
            "dagruns", "hidden", metadata={"labels": {"tradewind.dev/bucket": wrong}}, spec={"dag": "sales"}
        )
        await halves.people.eventually(lambda: "possibly others of its namespace" in caplog.text, "the log says so")
    assert "ignoring dagruns ns/hidden and possibly others of its namespace" in caplog.text
    assert f"their label tradewind.dev/bucket must be {bucket_of('ns')} or absent" in caplog.text
    halves.people.run("sales", "seen")
    await wait_phase(halves, "ns", "seen", "Succeeded")
    assert halves.people.status("dagruns", "hidden") == {}
    # Once it is right, or gone, the run is seen.
    halves.people.patch("dagruns", "hidden", metadata={"labels": {"tradewind.dev/bucket": None}})
    await wait_phase(halves, "ns", "hidden", "Succeeded")


async def test_a_run_whose_label_changes_is_not_taken_for_deleted(halves: Halves) -> None:
    """It leaves one watch for the other; which of them says so first is not known."""
    await halves.start()
    halves.people.dag("sales")
    halves.people.stays.add("r")
    halves.people.create("dagruns", "r", metadata=label("ns"), spec={"dag": "sales"})
    owner = halves.known(bucket_of("ns") % 2)
    for cluster in halves.clusters:
        cluster.stays.add("r")
    await halves.people.eventually(lambda: halves.people.names("pods"), "its Pod is made")
    for number in range(6):
        value = None if number % 2 == 0 else str(bucket_of("ns"))
        halves.people.patch("dagruns", "r", metadata={"labels": {"tradewind.dev/bucket": value}})
        version = halves.people.get("dagruns", "r")["metadata"]["resourceVersion"]

        def seen(version: str = version) -> bool:
            return ("ns", "r") in owner.runs and int(owner.runs["ns", "r"].metadata.resource_version) >= int(version)

        await halves.people.eventually(seen, "the change is seen")
        assert owner.is_active(owner.runs["ns", "r"].metadata.uid)
    [pod] = halves.people.names("pods")
    halves.people.end(pod, "r")
    await wait_phase(halves, "ns", "r", "Succeeded")
    assert len(halves.people.all("pods")) == 1


async def test_history_is_counted_by_whose_it_is(halves: Halves) -> None:
    await halves.start()
    for namespace in NAMESPACES:
        with halves.people.within(namespace):
            halves.people.dag("sales")
            halves.people.run("sales", "plain")
            halves.people.create("dagruns", "labelled", metadata=label(namespace), spec={"dag": "sales"})
    for namespace in NAMESPACES:
        for run in ("plain", "labelled"):
            await wait_phase(halves, namespace, run, "Succeeded")
    await halves.stop()
    for part, cluster in zip(HALVES, halves.clusters, strict=True):
        await cluster.start(shards=2, shard=part.index)
        leader = cluster.controller.leader
        assert leader is not None
        await cluster.eventually(lambda leader=leader: leader.history.counts, "history is counted")
        assert leader.history.counts == {
            ((namespace, "sales"), "Succeeded"): 2 for namespace in NAMESPACES if part.owns(namespace)
        }


async def test_another_shards_dag_is_asked_for(halves: Halves) -> None:
    """Admission: the API server calls whichever controller it likes."""
    await halves.start()
    halves.people.dag("sales", params={"region": {"enum": ["eu"], "default": "eu"}})
    for index in (0, 1):
        known = halves.known(index)
        if known.part.owns("ns"):
            await halves.people.eventually(lambda known=known: ("ns", "sales") in known.dags, "the Dag is seen")
        else:
            assert ("ns", "sales") not in known.dags
        found = await known.find_dag(("ns", "sales"))
        assert found is not None
        assert found.spec["params"] == {"region": {"enum": ["eu"], "default": "eu"}}
        assert await known.find_dag(("ns", "nix")) is None


async def test_a_shard_without_namespaces_waits(halves: Halves) -> None:
    await halves.start(namespaces=("ns",))
    idle = halves.clusters[1 - bucket_of("ns") % 2].controller
    assert idle.leader is not None
    assert idle.cluster.informers == []
    assert (idle.unready(), idle.unhealthy()) == (None, None)
    await asyncio.sleep(0.05)
    assert idle.leader.history.counts == {}
