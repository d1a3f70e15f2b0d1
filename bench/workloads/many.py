"""Many runs of one task: the cost of a run, its creation by a client included."""

from __future__ import annotations

from bench.harness.bed import Bed
from bench.harness.dags import dag, parallel
from bench.harness.race import Race
from bench.harness.results import Result
from bench.workloads import Size

RUNS: dict[Size, int] = {"tiny": 20, "small": 300, "full": 1000}


async def run(bed: Bed, size: Size, rounds: int) -> list[Result]:
    """The ratio to the raw path, which creates no runs."""
    race = Race(bed, "many", dag("many", parallel(1)), runs=RUNS[size], pods=1)
    for _ in range(rounds):
        await race.round()
    return race.results(writes=True)
