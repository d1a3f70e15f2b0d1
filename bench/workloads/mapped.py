"""One run of a mapped task with thousands of instances."""

from __future__ import annotations

from bench.harness.bed import Bed
from bench.harness.dags import dag, mapped
from bench.harness.race import Race
from bench.harness.results import Result
from bench.workloads import Size

INSTANCES: dict[Size, int] = {"tiny": 30, "small": 1000, "full": 10_000}


async def run(bed: Bed, size: Size, rounds: int) -> list[Result]:
    """The ratio to the raw path, and the writes for each task instance."""
    count = INSTANCES[size]
    race = Race(bed, "mapped", dag("mapped", mapped(count), maxMapLength=count), runs=1, pods=count)
    for _ in range(rounds):
        await race.round()
    return race.results(writes=True)
