"""Thousands of idle Dags and finished runs: they should cost nothing."""

from __future__ import annotations

import asyncio
import time

from bench.harness.accepting import accepted
from bench.harness.bed import Bed
from bench.harness.population import add_finished_runs, yearly_dags
from bench.harness.requests import of_controller
from bench.harness.results import Result
from bench.workloads import Size
from tradewind.cache.resources import DAGS

COUNTS: dict[Size, tuple[int, int]] = {"tiny": (20, 40), "small": (1000, 2000), "full": (5000, 10_000)}
"""(Dags, finished runs)"""
SECONDS: dict[Size, float] = {"tiny": 3, "small": 20, "full": 60}


async def run(bed: Bed, size: Size, rounds: int) -> list[Result]:
    """The share of a core, and the writes to our kinds and Pods."""
    dags, runs = COUNTS[size]
    namespace = await bed.namespace("idle")
    manifests = yearly_dags(dags)
    await bed.create_all(DAGS, namespace, manifests)
    await add_finished_runs(bed, namespace, [one["metadata"]["name"] for one in manifests], runs)
    began = time.perf_counter()
    controller = await bed.controller(namespace)
    await accepted(bed, namespace, dags)
    started = time.perf_counter() - began
    await bed.settle()
    shares, writes = [], []
    for _ in range(rounds):
        requests, cpu = await bed.requests(), controller.cpu_seconds()
        await asyncio.sleep(SECONDS[size])
        shares.append((controller.cpu_seconds() - cpu) / SECONDS[size] * 100)
        writes.append(float(of_controller(await bed.requests() - requests).total()))
    memory = controller.resident_megabytes()
    await controller.stop()
    said = f"{dags} Dags, {runs} finished runs; {memory:.0f} MB"
    return [
        Result("idle-cpu", "% of a core", shares, said, {"first acceptance of all s": round(started, 1)}),
        Result("idle-writes", "writes but the Lease's", writes, f"in {SECONDS[size]:g} s"),
    ]
