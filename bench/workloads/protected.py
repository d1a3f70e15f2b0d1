"""As fan, with `resultProtection: Finalizer`: one more write for each Pod, after its result is in status."""

from __future__ import annotations

from bench.harness.bed import Bed
from bench.harness.dags import dag, parallel
from bench.harness.race import Race
from bench.harness.results import Result
from bench.workloads import Size
from bench.workloads.fan import TASKS


async def run(bed: Bed, size: Size, rounds: int) -> list[Result]:
    """The ratio to the raw path (whose Pods have no finalizer), and the writes for each task instance."""
    count = TASKS[size]
    made = dag("protected", parallel(count), resultProtection="Finalizer")
    race = Race(bed, "protected", made, runs=1, pods=count)
    for _ in range(rounds):
        await race.round()
    return race.results(writes=True)
