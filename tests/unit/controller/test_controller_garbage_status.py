"""A run whose status was edited by hand waits and says why; all others continue."""

import pytest

from tests.unit.controller.memory_cluster import MemoryCluster

pytestmark = pytest.mark.unit


async def test_only_that_run_is_affected(cluster: MemoryCluster) -> None:
    cluster.dag("sales")
    entry = {"name": "load", "state": "Running", "count": 2, "indexes": {"Running": "0-99999999999"}}
    await cluster.stop()
    cluster.run("sales", "bent")
    cluster.patch("dagruns", "bent", subresource="status", status={"phase": "Running", "tasks": [entry]})
    cluster.run("sales", "straight")

    await cluster.start()

    await cluster.wait_phase("straight", "Succeeded")
    status = await cluster.eventually(
        lambda: (found := cluster.status("dagruns", "bent")).get("reason") and found, "it says why it waits"
    )
    assert status["reason"] == "StatusUnusable"
    assert "status.tasks[load].indexes.Running" in status["message"]

    cluster.patch("dagruns", "bent", subresource="status", status={"phase": "Queued", "tasks": []})
    await cluster.wait_phase("bent", "Succeeded")
