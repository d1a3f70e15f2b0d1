"""Many runs of a chain."""

from __future__ import annotations

from bench.harness.bed import Bed
from bench.harness.dags import chain, dag
from bench.harness.race import Race
from bench.harness.results import Result
from bench.workloads import Size

LENGTH = 10
RUNS: dict[Size, int] = {"tiny": 3, "small": 40, "full": 100}


async def run(bed: Bed, size: Size, rounds: int) -> list[Result]:
    """The ratio to the raw path, which waits for nothing."""
    race = Race(bed, "chains", dag("chains", chain(LENGTH)), runs=RUNS[size], pods=LENGTH)
    for _ in range(rounds):
        await race.round()
    return race.results(writes=True)
