"""A namespace that is gone, or in which a right is missing, costs that namespace and no other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.apiserver import Request
from tests.unit.controller.memory_cluster import ApiError, MemoryCluster
from tradewind.controller.dags import dags
from tradewind.kube.backoff import Backoff

pytestmark = pytest.mark.unit

TASK = {"name": "load", "image": "busybox", "args": ["load"]}


@pytest.fixture
async def cluster(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(Backoff, "next", lambda backoff, at_least=None: 0.02)
    monkeypatch.setattr(dags, "WRITE_EVERY", 0.02)
    cluster = MemoryCluster()
    cluster._ask("POST", "namespaces", "", {"metadata": {"name": "other"}})
    for namespace in ("ns", "other"):
        with cluster.within(namespace):
            cluster.dag("sales")
            cluster.run("sales", f"in-{namespace}")
    yield cluster
    await cluster.stop()


def forbid(cluster: MemoryCluster, what: str) -> Callable[[], None]:
    """Forbid requests whose path contains this, until the returned function is called."""

    def before(request: Request) -> None:
        if what in request.path and request.method == "GET":
            raise ApiError(403, "Forbidden", f"cannot list {what}")

    cluster.before_request = before
    return lambda: setattr(cluster, "before_request", lambda request: None)


def blind(cluster: MemoryCluster, namespace: str, plural: str) -> Callable[[], None]:
    """A kind may not be seen there any more, though it was; until the answer is called."""
    allow = forbid(cluster, f"/namespaces/{namespace}/{plural}")
    for informer in cluster.controller.cluster.informers:
        if (informer.namespace, informer.resource.plural) == (namespace, plural):
            informer._resource_version = ""
    for watch in list(cluster.server.watches):
        watch.end()
    return allow


def refused(cluster: MemoryCluster) -> dict[tuple[str, str], float]:
    families = cluster.controller.metrics.registry.collect()
    samples = [sample for family in families if family.name == "tradewind_watches_refused" for sample in family.samples]
    return {(sample.labels["namespace"], sample.labels["resource"]): sample.value for sample in samples}


async def test_a_namespace_that_is_deleted_keeps_no_one_from_becoming_leader(
    cluster: MemoryCluster, caplog: pytest.LogCaptureFixture
) -> None:
    forbid(cluster, "/namespaces/gone/")
    with caplog.at_level(logging.WARNING):
        await cluster.start(namespaces=("gone", "ns"))
        await cluster.wait_phase("in-ns", "Succeeded")
        await asyncio.sleep(0.5)
    assert cluster.controller.unready() is None
    assert "pods in namespace gone: cannot list" in str(cluster.controller.left_out())
    await cluster.controller.mirror.take()
    kinds = {"pods", "dags", "pools", "backfills", "dagruns", "configmaps"}
    assert refused(cluster) == {("gone", kind): 1 for kind in kinds}
    logged = [
        record.getMessage()
        for record in caplog.records
        if "namespaces/gone/pods cannot be listed or watched" in record.getMessage()
    ]
    assert len(logged) == 1


@pytest.mark.parametrize("kind", ["pods", "dags", "pools", "backfills", "dagruns", "configmaps"])
async def test_nothing_is_done_where_one_kind_is_missing_until_it_can_be_seen(
    cluster: MemoryCluster, kind: str
) -> None:
    allow = forbid(cluster, f"/namespaces/other/{kind}")
    await cluster.start(namespaces=("ns", "other"))
    await cluster.wait_phase("in-ns", "Succeeded")
    with cluster.within("other"):
        cluster.run("sales", "second")
        await asyncio.sleep(0.3)
        assert cluster.names("pods") == []
        assert cluster.status("dagruns", "in-other") == {}
        assert kind in str(cluster.controller.left_out())
        term = cluster.controller.election.term
        allow()
        await cluster.wait_phase("in-other", "Succeeded")
        await cluster.wait_phase("second", "Succeeded")
        assert len(cluster.names("pods")) == 2
    assert cluster.controller.left_out() is None
    assert cluster.controller.election.term == term, "it is still the leader"
    await cluster.controller.mirror.take()
    assert refused(cluster) == {}


async def test_a_pod_that_goes_while_runs_cannot_be_seen_has_its_result(cluster: MemoryCluster) -> None:
    await cluster.start(namespaces=("ns", "other"))
    with cluster.within("other"):
        cluster.stays.add("late")
        cluster.run("sales", "late")
        [pod] = await cluster.eventually(
            lambda: [name for name in cluster.names("pods") if name.startswith("late-")], "it has a Pod"
        )
        await cluster.eventually(lambda: cluster.status("dagruns", "late").get("tasks"), "its status says so")
        with cluster.within("ns"):
            await cluster.kill()
            allow = forbid(cluster, "/namespaces/other/dagruns")
            await cluster.start(namespaces=("ns", "other"))
        cluster.kubelet(pod, "late")
        await asyncio.sleep(0.1)
        cluster.delete("pods", pod)
        await asyncio.sleep(0.1)
        allow()
        status = await cluster.wait_phase("late", "Succeeded")
        assert (status["tasks"][0]["state"], status["tasks"][0]["try"]) == ("Succeeded", 1)


async def test_with_cluster_scope_what_is_missing_is_named_and_there_is_no_leader(cluster: MemoryCluster) -> None:
    allow = forbid(cluster, "/configmaps")
    starting = asyncio.create_task(cluster.start())
    await asyncio.sleep(0.5)
    assert cluster.controller.leader is None
    assert "waiting for configmaps: cannot list /configmaps" in str(cluster.controller.unready())
    assert cluster.controller.unhealthy() is None
    allow()
    await starting
    await cluster.wait_phase("in-ns", "Succeeded")
    assert cluster.controller.unready() is None


async def test_where_nothing_can_be_seen_there_is_no_leader(cluster: MemoryCluster) -> None:
    allow = forbid(cluster, "/namespaces/ns/pods")
    starting = asyncio.create_task(cluster.start(namespaces=("ns",)))
    await asyncio.sleep(0.5)
    assert cluster.controller.leader is None
    assert "waiting for pods in namespace ns: " in str(cluster.controller.unready())
    allow()
    await starting
    await cluster.wait_phase("in-ns", "Succeeded")


async def test_a_right_that_is_lost_later_is_named_and_comes_back(cluster: MemoryCluster) -> None:
    await cluster.start(namespaces=("ns", "other"))
    await cluster.wait_phase("in-ns", "Succeeded")
    allow = blind(cluster, "other", "pools")
    await cluster.eventually(cluster.controller.left_out, "it is named")
    cluster.run("sales", "later")
    await cluster.wait_phase("later", "Succeeded")
    await cluster.controller.cluster.catch_up()  # a new leader leads all the same
    allow()
    await cluster.eventually(lambda: cluster.controller.left_out() is None, "it can be seen again")


@pytest.mark.parametrize("kind", ["dagruns", "pods"])
async def test_a_new_leader_does_nothing_where_it_cannot_see_any_more(cluster: MemoryCluster, kind: str) -> None:
    cluster.stays.add("late")
    await cluster.start(namespaces=("ns", "other"))
    with cluster.within("other"):
        await cluster.wait_phase("in-other", "Succeeded")
        cluster.dag("two", tasks=[TASK, {**TASK, "name": "after", "dependsOn": ["load"]}])
        cluster.run("two", "late")
        [pod] = await cluster.eventually(
            lambda: [name for name in cluster.names("pods") if name.startswith("late-")], "it has a Pod"
        )
        await cluster.eventually(lambda: cluster.status("dagruns", "late").get("tasks"), "its status says so")
        allow = blind(cluster, "other", kind)
        await cluster.eventually(cluster.controller.left_out, "it is named")
        # Another replica is the leader meanwhile: the task finishes, and the run is stopped.
        cluster.controller._stopped_leading()
        cluster.patch("dagruns", "late", subresource="status", status={"phase": "Failed", "reason": "Stopped"})
        cluster.kubelet(pod, "late")
        cluster.controller._started_leading()
        with cluster.within("ns"):
            cluster.run("sales", "meanwhile")
            await cluster.wait_phase("meanwhile", "Succeeded")
        assert [name for name in cluster.names("pods") if name.startswith("late-")] == [pod]
        cluster.run("sales", "later")
        await asyncio.sleep(0.2)
        assert cluster.status("dagruns", "later") == {}
        allow()
        await cluster.wait_phase("later", "Succeeded")
        assert cluster.status("dagruns", "late")["phase"] == "Failed"
        assert [name for name in cluster.names("pods") if name.startswith("late-")] == [pod]
