"""Metrics of a finished run."""

from __future__ import annotations

import pytest

from tests.unit.controller.memory_cluster import MemoryCluster

pytestmark = pytest.mark.unit


async def test_each_instance_of_a_mapped_task_has_a_duration(cluster: MemoryCluster) -> None:
    each = {"name": "each", "image": "busybox", "forEach": {"items": ["a", "b", "c"]}}
    after = {"name": "after", "image": "busybox", "dependsOn": ["each"]}
    cluster.dag("sales", tasks=[each, after, {"name": "nothing", "noop": True}])
    cluster.run("sales", "good")
    await cluster.wait_phase("good", "Succeeded")
    cluster.run("sales", "bad", fails=True)
    await cluster.wait_phase("bad", "Failed")

    def value(name: str, state: str) -> float | None:
        labels = {"namespace": "ns", "state": state} | ({"dag": "sales"} if name == finished else {})
        return cluster.controller.metrics.registry.get_sample_value(name, labels)

    finished, durations = "tradewind_task_instances_finished_total", "tradewind_task_duration_seconds_count"
    await cluster.eventually(lambda: value(finished, "UpstreamFailed"), "the second run is counted")
    # Tasks without a container or without tries have finished too, but took no time.
    assert (value(finished, "Succeeded"), value(durations, "Succeeded")) == (6, 4)
    assert (value(finished, "Failed"), value(durations, "Failed")) == (3, 3)
    assert (value(finished, "UpstreamFailed"), value(durations, "UpstreamFailed")) == (1, None)
