from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.controller.memory_cluster import MemoryCluster
from tradewind.controller.dags import dags
from tradewind.controller.pods import tries
from tradewind.controller.runs import requests, status_pace, status_writer


@pytest.fixture
async def cluster(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MemoryCluster]:
    """A cluster in memory with a controller that leads, and gathers changes for a shorter time. Whatever fails in the
    background fails the test, unless that says that it expects it."""
    monkeypatch.setattr(dags, "WRITE_EVERY", 0.02)
    monkeypatch.setattr(status_pace, "LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(status_writer, "FIRST_WRITE_AFTER", 0.01)
    cluster = MemoryCluster()
    await cluster.start()
    yield cluster
    await cluster.stop()
    assert cluster.failures_expected or not cluster.failures, "something failed in the background: see the log"


@pytest.fixture
def quick_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread, as for large runs: that of small ones is what the simulation knows."""
    monkeypatch.setattr(requests, "SMALL_RUN", 0)
    monkeypatch.setattr(requests, "LOOK_AGAIN", 0.01)
    monkeypatch.setattr(tries, "LOOK_AGAIN", 0.01)
