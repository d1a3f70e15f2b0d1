"""/metrics is made beside the loop that works; what a Dag that is deleted had is not in it."""

from __future__ import annotations

import gzip
from contextlib import AsyncExitStack
from socket import socket

import aiohttp
import pytest

from tests.unit.controller.memory_cluster import MemoryCluster
from tradewind.controller.metrics import collector
from tradewind.controller.process import endpoints

pytestmark = pytest.mark.unit


async def test_a_page_packed_or_not(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "SLICE", 0.0)  # other things happen between any two steps of a snapshot
    with socket() as found:
        found.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{found.getsockname()[1]}/metrics"
    cluster.dag("sales")
    cluster.run("sales", "good")
    await cluster.wait_phase("good", "Succeeded")
    async with AsyncExitStack() as stack, aiohttp.ClientSession(auto_decompress=False) as session:
        port = int(url.split(":")[2].split("/")[0])
        await endpoints.serve(cluster.controller, metrics_port=port, probe_port=0, stack=stack)
        async with session.get(url, headers={"Accept-Encoding": "gzip"}) as answer:
            packed, how = await answer.read(), answer.headers["Content-Encoding"]
        async with session.get(url, headers={"Accept-Encoding": "identity"}) as answer:
            plain = await answer.read()
            assert "Content-Encoding" not in answer.headers
    assert (gzip.decompress(packed), how) == (plain, "gzip")
    for line in (
        'tradewind_dag_runs{dag="sales",namespace="ns",state="Succeeded"} 1.0',
        'tradewind_dags{namespace="ns",state="Accepted"} 1.0',
        'tradewind_dag_runs_finished_total{dag="sales",namespace="ns",state="Succeeded"} 1.0',
        "tradewind_leader 1.0",
    ):
        assert line in plain.decode().splitlines()


async def test_the_series_of_a_dag_go_with_it(cluster: MemoryCluster) -> None:
    for dag in ("sales", "other"):
        cluster.dag(dag)
        cluster.run(dag, f"{dag}-bad", fails=True)
        await cluster.wait_phase(f"{dag}-bad", "Failed")

    def dags() -> set[str]:
        families = cluster.controller.metrics.registry.collect()
        return {sample.labels.get("dag", "") for family in families for sample in family.samples} - {""}

    await cluster.eventually(lambda: dags() == {"sales", "other"}, "both are counted")
    cluster.stays.add("late")
    cluster.run("sales", "late")
    await cluster.eventually(lambda: "late-load-1" in " ".join(cluster.names("pods")), "it has a Pod")
    cluster.delete("dags", "sales")
    await cluster.eventually(lambda: dags() == {"other"}, "its series are gone")
    [pod] = [name for name in cluster.names("pods") if name.startswith("late-load-1")] or [""]
    if pod:
        cluster.end(pod, "late")
        await cluster.eventually(
            lambda: cluster.status("dagruns", "late").get("phase") in (None, "Succeeded"),
            "the run has finished or is deleted",
        )
    await cluster.controller.mirror.take()
    assert "sales" not in {
        sample.labels.get("dag") for sample in next(iter(cluster.controller.metrics._runs_finished.collect())).samples
    }
