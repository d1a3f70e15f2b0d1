"""Delay of writes of the status of a Dag."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.unit.controller.memory_cluster import Json, MemoryCluster
from tradewind.aio import background
from tradewind.controller.dags import dags

pytestmark = pytest.mark.unit


async def test_the_first_status_is_written_at_once(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dags, "WRITE_EVERY", 30.0)
    cluster.dag("d")
    await cluster.eventually(lambda: cluster.status("dags", "d").get("conditions"), "its conditions", seconds=5.0)


async def test_the_end_of_a_run_is_reported_soon_and_many_are_gathered(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dags, "WRITE_EVERY", 2.0)
    writes: list[float] = []

    def after(method: str, plural: str, name: str, body: Json) -> None:
        if (method, plural) == ("PATCH", "dags"):
            writes.append(time.monotonic())

    cluster.after_write = after
    cluster.stays = {"a", "b", "c"}
    cluster.dag("d")
    for name in cluster.stays:
        cluster.run("d", name)
    await cluster.eventually(lambda: cluster.status("dags", "d").get("activeRuns") == 3, "all run")
    await asyncio.sleep(2.1)
    pods = {pod["metadata"]["labels"]["tradewind.dev/run"]: pod["metadata"]["name"] for pod in cluster.all("pods")}
    writes.clear()
    cluster.end(pods["a"], "a")
    await cluster.wait_phase("a", "Succeeded")
    known = lambda: (cluster.status("dags", "d").get("lastRun"), cluster.status("dags", "d")["activeRuns"]) == ("a", 2)  # noqa: E731
    await cluster.eventually(known, "its end is reported", seconds=1.0)
    for name in ("b", "c"):
        cluster.end(pods[name], name)
    await cluster.eventually(lambda: cluster.status("dags", "d")["activeRuns"] == 0, "all are reported")
    assert len(writes) == 2
    assert writes[1] - writes[0] >= 1.9


async def test_an_unexpected_error_does_not_end_it(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.failures_expected = True
    monkeypatch.setattr(background, "FIRST_PAUSE", 0.05)
    failed: list[Any] = []
    with_times = dags.with_times  # type: ignore[attr-defined]

    def fails(*arguments: Any) -> Any:
        if not failed:
            failed.append(arguments)
            raise RuntimeError("unexpected")
        return with_times(*arguments)

    monkeypatch.setattr(dags, "with_times", fails)
    cluster.dag("d")
    await cluster.eventually(lambda: cluster.status("dags", "d").get("conditions"), "its conditions")
    assert failed
