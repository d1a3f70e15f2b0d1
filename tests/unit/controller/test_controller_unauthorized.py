"""A 401 in passing, as from a server that cannot check tokens for a moment, costs time and nothing else."""

from __future__ import annotations

import pytest

from tests.unit.controller.memory_cluster import ApiError, Json, MemoryCluster

pytestmark = pytest.mark.unit


async def test_a_create_that_met_a_401_is_sent_again() -> None:
    cluster, refused = MemoryCluster(), 0

    def hook(method: str, plural: str, name: str, body: Json) -> None:
        nonlocal refused
        if (method, plural) == ("POST", "pods") and refused < 2:
            refused += 1
            raise ApiError(401, "Unauthorized", "Unauthorized")

    cluster.before_write = hook
    await cluster.start()
    cluster.dag("sales")
    cluster.run("sales", "r")
    status = await cluster.wait_phase("r", "Succeeded")
    assert (refused, status["tasks"][0]["try"]) == (2, 1)
    await cluster.stop()
