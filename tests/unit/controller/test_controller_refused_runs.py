"""A rejected run is finished like any other: it is counted and pruned, and its Dag reports it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.controller.memory_cluster import Json, MemoryCluster, nothing
from tradewind.kube.errors import ApiError, Unreachable

pytestmark = pytest.mark.unit

PARAMS = {"region": {"enum": ["eu", "us"], "default": "eu"}}


def failed_runs(cluster: MemoryCluster) -> int:
    leader: Any = cluster.controller.leader
    return int(leader.history.counts[("ns", "sales"), "Failed"])


def series(cluster: MemoryCluster, name: str) -> float | None:
    labels = {"namespace": "ns", "dag": "sales", "state": "Failed"}
    return cluster.controller.metrics.registry.get_sample_value(name, labels)


async def test_it_counts_as_a_failed_run(cluster: MemoryCluster) -> None:
    cluster.dag("sales", params=PARAMS)
    cluster.run("sales", "mars", params={"region": "mars"})

    status = await cluster.wait_phase("mars", "Failed")

    assert status["reason"] == "InvalidParams"
    dag = await cluster.eventually(
        lambda: (found := cluster.status("dags", "sales")).get("lastRun") and found, "the Dag names its last run"
    )
    assert (dag["lastRun"], dag["lastRunPhase"]) == ("mars", "Failed")
    assert dag["lastRunFinishTime"] == status["finishedAt"]
    assert failed_runs(cluster) == 1
    assert series(cluster, "tradewind_dag_runs_finished_total") == 1
    await cluster.controller.mirror.take()
    assert series(cluster, "tradewind_dag_runs") == 1
    metadata = cluster.get("dagruns", "mars")["metadata"]
    assert metadata["labels"] == {"tradewind.dev/dag": "sales"}, "the next leader counts by label"
    [event] = cluster.events("DagRun", "mars")
    assert (event["type"], event["reason"]) == ("Warning", "InvalidParams")


async def test_the_history_limit_prunes_it(cluster: MemoryCluster) -> None:
    cluster.dag("sales", params=PARAMS, failedRunsHistoryLimit=1)
    for number in range(3):
        cluster.run("sales", f"mars-{number}", params={"region": "mars"})
        await cluster.eventually(
            lambda number=number: cluster.status("dags", "sales").get("lastRun") == f"mars-{number}",
            "it was refused",
        )
    await cluster.eventually(lambda: cluster.names("dagruns") == ["mars-2"], "only the last is kept")
    await cluster.eventually(lambda: failed_runs(cluster) == 1, "one is counted")


async def test_one_that_waits_for_a_leader_counts(cluster: MemoryCluster) -> None:
    """The runs that there are when it starts to lead are loaded before it has understood any Dag."""
    cluster.dag("sales", params=PARAMS)
    await cluster.kill()
    cluster.run("sales", "mars", params={"region": "mars"})
    await cluster.start()
    await cluster.eventually(lambda: cluster.status("dags", "sales").get("lastRun") == "mars", "the Dag says so")
    await cluster.eventually(lambda: failed_runs(cluster) == 1, "it is counted")


@pytest.mark.parametrize(
    "trouble", [Unreachable("no answer"), ApiError(409, "Conflict", "changed meanwhile")], ids=["no answer", "conflict"]
)
@pytest.mark.parametrize("takes_effect", [True, False])
async def test_it_counts_once_though_a_write_goes_wrong(
    cluster: MemoryCluster, trouble: Exception, takes_effect: bool
) -> None:
    left = [trouble]

    def disturb(method: str, plural: str, name: str, body: Json) -> None:
        if method == "PATCH" and plural == "dagruns" and "status" in body and left:
            if not takes_effect:
                # Another client changes the object, and the controller writes before the watch delivers the change.
                cluster.patch("dagruns", name, metadata={"annotations": {"seen": "yes"}})
            raise left.pop()

    if takes_effect:
        cluster.after_write = disturb
    else:
        cluster.before_write = disturb
    cluster.dag("sales", params=PARAMS)
    cluster.run("sales", "mars", params={"region": "mars"})

    await cluster.wait_phase("mars", "Failed")
    await cluster.eventually(lambda: cluster.status("dags", "sales").get("lastRun") == "mars", "the Dag says so")

    cluster.before_write = cluster.after_write = nothing
    assert not left
    assert failed_runs(cluster) == 1
    assert len(cluster.events("DagRun", "mars")) == 1
