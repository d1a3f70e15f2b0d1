"""A controller that is stopped releases its Lease soon, whatever the API server does with its writes."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.unit.controller.memory_cluster import MemoryCluster
from tradewind.cache.observation import is_finished
from tradewind.controller.process import controller as controller_module

pytestmark = pytest.mark.unit


def holder(cluster: MemoryCluster) -> str | None:
    found: str | None = cluster.get("leases", "tradewind-controller")["spec"].get("holderIdentity")
    return found


async def test_what_is_not_answered_does_not_hold_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller_module, "FLUSH_WITHIN", 0.5)
    cluster = MemoryCluster()
    await cluster.start()
    cluster.dag("sales")
    cluster.stays.add("r")
    cluster.run("sales", "r")
    [pod] = await cluster.eventually(lambda: cluster.names("pods"), "it has a Pod")
    cluster.hold = lambda plural, name, body: plural in ("dagruns", "events", "dags")
    cluster.kubelet(pod, "r")
    await asyncio.sleep(0.2)
    began = time.monotonic()
    await cluster.stop()
    assert (holder(cluster), time.monotonic() - began < 2.5) == (None, True)


async def test_what_is_known_is_written_before(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = MemoryCluster()
    await cluster.start()
    cluster.dag("sales")
    cluster.run("sales", "r")
    known = cluster.controller.cluster.pods
    await cluster.eventually(
        lambda: any(is_finished(pod) for pods in known.values() for pod in pods.values()),
        "its Pod has finished",
    )
    await asyncio.sleep(0.02)
    await cluster.stop()
    assert (holder(cluster), cluster.status("dagruns", "r").get("phase")) == (None, "Succeeded")
