"""Another client writes to a run at the same time as the controller: nothing is lost, and nothing happens twice."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.controller.memory_cluster import Json, MemoryCluster, Unreachable

pytestmark = pytest.mark.unit


def ends(cluster: MemoryCluster) -> float:
    """Return the number of finished runs of the Dag according to the metrics."""
    labels = {"namespace": "ns", "dag": "sales", "state": "Succeeded"}
    sample = cluster.controller.metrics.registry.get_sample_value("tradewind_dag_runs_finished_total", labels)
    return sample or 0


def is_last(plural: str, body: Json) -> bool:
    """True if a write sets the run to a finished phase."""
    return plural == "dagruns" and (body.get("status") or {}).get("phase") == "Succeeded"


async def test_a_label_at_the_end_of_a_run(cluster: MemoryCluster) -> None:
    left = ["label"]

    def label(method: str, plural: str, name: str, body: Json) -> None:
        if is_last(plural, body) and left:
            left.pop()
            cluster.patch("dagruns", name, metadata={"labels": {"seen": "yes"}})

    cluster.before_write = label
    cluster.dag("sales")
    cluster.run("sales", "one")

    await cluster.wait_phase("one", "Succeeded")

    assert not left
    cluster.run("sales", "two")
    await cluster.wait_phase("two", "Succeeded")
    await cluster.eventually(lambda: ends(cluster) >= 2, "both are counted")
    assert ends(cluster) == 2
    leader: Any = cluster.controller.leader
    assert not leader.runs.records


async def test_an_end_that_no_one_answered(cluster: MemoryCluster) -> None:
    left = ["lost"]

    def lose(method: str, plural: str, name: str, body: Json) -> None:
        if is_last(plural, body) and left:
            left.pop()
            raise Unreachable("no answer")

    cluster.after_write = lose
    cluster.dag("sales")
    cluster.run("sales", "one")
    await cluster.wait_phase("one", "Succeeded")
    await cluster.eventually(lambda: ends(cluster) == 1, "it is counted")
