"""Thousands of Dags with a cron expression each, many of them due in the same second."""

from __future__ import annotations

import asyncio
import math
import time
from datetime import UTC, datetime, timedelta

from bench.harness.accepting import accepted
from bench.harness.bed import Bed
from bench.harness.dags import Manifest, dag, parallel
from bench.harness.dags import run as run_of
from bench.harness.observer import Seen, watching
from bench.harness.population import yearly_dags
from bench.harness.results import Result
from bench.harness.statistics import percentile
from bench.workloads import Size
from tradewind.api import names
from tradewind.cache.resources import DAGRUNS, DAGS

COUNTS: dict[Size, tuple[int, int, int]] = {"tiny": (20, 5, 2), "small": (1000, 100, 20), "full": (5000, 500, 50)}
"""(all Dags, those due in the same second, those due in the same second of the other minute)"""
LONGEST_LAG = 50.0


async def run(bed: Bed, size: Size, rounds: int) -> list[Result]:
    """Lags from the tick to the moment in which a watch delivers the run."""
    total, burst, few = COUNTS[size]
    raw = await _raw(bed, burst)
    namespace = await bed.namespace("schedule")
    controller = await bed.controller(namespace)
    await bed.create_all(DAGS, namespace, yearly_dags(total - burst - few))
    await accepted(bed, namespace, total - burst - few)
    # Two minutes for each round, the first of them far enough that all Dags are accepted by then.
    first = _next_minute(datetime.now(UTC) + timedelta(seconds=5 + (burst + few) / 10))
    ticks = [first + timedelta(minutes=number) for number in range(2 * rounds)]
    due = _due("few", few, ticks[0::2]) + _due("burst", burst, ticks[1::2])
    await bed.create_all(DAGS, namespace, due)
    await accepted(bed, namespace, total)
    if datetime.now(UTC) > first:
        raise RuntimeError("the Dags were not accepted before their first tick: this machine is too slow")
    before = controller.cpu_seconds()
    async with watching(bed.client, DAGRUNS, namespace) as runs:
        await asyncio.sleep((ticks[-1] - datetime.now(UTC)).total_seconds())
        await runs.number(rounds * (burst + few), "runs are made", LONGEST_LAG)
    cpu = controller.cpu_seconds() - before
    await controller.stop()
    many = [_lags(runs, "burst", burst, tick) for tick in ticks[1::2]]
    some = [_lags(runs, "few", few, tick) for tick in ticks[0::2]]
    said = f"{burst} due, {total} Dags, {cpu / rounds:.2f} CPU s a round; a bare client creates the runs in {raw:.1f} s"
    return [
        Result("schedule-burst", "s from the tick to the last run", [max(lags) for lags in many], said),
        Result("schedule-lag", "ms, p99", [percentile(lags, 0.99) * 1000 for lags in some], f"{few} due"),
    ]


async def _raw(bed: Bed, count: int) -> float:
    """Return the seconds in which a bare client creates so many runs, without a controller."""
    namespace = await bed.namespace("schedule-raw")
    await bed.settle()
    began = time.perf_counter()
    await bed.create_all(DAGRUNS, namespace, [run_of("raw", f"raw-{number}") for number in range(count)])
    return time.perf_counter() - began


def _due(label: str, count: int, ticks: list[datetime]) -> list[Manifest]:
    minutes = ",".join(str(tick.minute) for tick in ticks)
    return [dag(f"{label}-{number:04}", parallel(1), schedule=f"{minutes} * * * *") for number in range(count)]


def _lags(runs: Seen, label: str, count: int, tick: datetime) -> list[float]:
    """Seconds from the tick to each of its runs."""
    offset = time.time() - time.perf_counter()
    due = [names.run_name(f"{label}-{number:04}", tick) for number in range(count)]
    return [runs.at[name] + offset - tick.timestamp() for name in due]


def _next_minute(moment: datetime) -> datetime:
    return datetime.fromtimestamp(math.ceil(moment.timestamp() / 60) * 60, UTC)
