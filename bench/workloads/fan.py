"""One run of many parallel tasks."""

from __future__ import annotations

from bench.harness.bed import Bed
from bench.harness.dags import dag, parallel
from bench.harness.race import Race
from bench.harness.results import Result
from bench.workloads import Size

TASKS: dict[Size, int] = {"tiny": 30, "small": 300, "full": 1000}


async def run(bed: Bed, size: Size, rounds: int) -> list[Result]:
    """The ratio to the raw path, and the writes for each task instance."""
    count = TASKS[size]
    race = Race(bed, "fan", dag("fan", parallel(count)), runs=1, pods=count)
    for _ in range(rounds):
        await race.round()
    return race.results(writes=True)
