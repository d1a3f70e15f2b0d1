"""Growth of the controller's cost of a task instance with the size of the run, and with the number of other objects."""

from __future__ import annotations

from statistics import median

from bench.harness.accepting import accepted
from bench.harness.bed import Bed
from bench.harness.controller import ControllerProcess
from bench.harness.dags import dag, mapped, unlimited_pool
from bench.harness.dags import run as run_of
from bench.harness.observer import watching_results
from bench.harness.population import add_finished_runs, yearly_dags
from bench.harness.results import Result
from bench.workloads import Size
from tradewind.cache.resources import DAGRUNS, DAGS, POOLS

INSTANCES: dict[Size, tuple[int, ...]] = {"tiny": (10, 20), "small": (200, 600, 2000), "full": (500, 1500, 5000)}
CROWDS: dict[Size, tuple[int, ...]] = {"tiny": (0, 20), "small": (0, 300, 1000), "full": (0, 1500, 5000)}
"""Existing Dags, with two finished runs each."""
Costs = dict[int, list[float]]
"""Milliseconds for each instance in each round, by size."""


async def run(bed: Bed, size: Size, rounds: int) -> list[Result]:
    """Processor time for each task instance at the largest size, in units of that at the smallest."""
    namespace = await bed.namespace("curve")
    controller = await bed.controller(namespace)
    await bed.create_all(POOLS, namespace, [unlimited_pool()])
    await bed.create_all(
        DAGS, namespace, [dag(f"mapped-{count}", mapped(count), maxMapLength=count) for count in INSTANCES[size]]
    )
    await accepted(bed, namespace, len(INSTANCES[size]))
    by_size: Costs = {count: [] for count in INSTANCES[size]}
    for number in range(rounds):
        for count, costs in by_size.items():
            costs.append(await _milliseconds(bed, controller, namespace, count, f"size-{number}"))
    by_crowd: Costs = {}
    there, count = 0, INSTANCES[size][0]
    for crowd in CROWDS[size]:
        if crowd > there:
            manifests = yearly_dags(crowd - there, there)
            await bed.create_all(DAGS, namespace, manifests)
            names = [one["metadata"]["name"] for one in manifests]
            await add_finished_runs(bed, namespace, names, 2 * len(names))
            await accepted(bed, namespace, len(INSTANCES[size]) + crowd)
        there = crowd
        by_crowd[crowd] = [
            await _milliseconds(bed, controller, namespace, count, f"crowd-{crowd}-{number}")
            for number in range(rounds)
        ]
    await controller.stop()
    return [
        _growth("curve-instances", by_size, "instances in the run"),
        _growth("curve-crowd", by_crowd, "Dags, with two finished runs each"),
    ]


async def _milliseconds(bed: Bed, controller: ControllerProcess, namespace: str, count: int, label: str) -> float:
    """Processor time of the controller for each instance of a run."""
    await bed.settle()
    async with watching_results(bed.client, namespace) as (_, runs):
        before, there = controller.cpu_seconds(), len(runs.at)
        await bed.create_all(DAGRUNS, namespace, [run_of(f"mapped-{count}", f"{label}-{count}")])
        await runs.number(there + 1, f"a run of {count} succeeds", 60 + count / 5)
        return (controller.cpu_seconds() - before) / count * 1000


def _growth(name: str, points: Costs, what: str) -> Result:
    rounds = list(points.values())
    medians = {point: median(costs) for point, costs in points.items()}
    said = ", ".join(f"{point}: {cost:.2f} ms" for point, cost in medians.items())
    details = {f"ms at {point}": round(cost, 3) for point, cost in medians.items()}
    smallest = median(rounds[0])
    return Result(name, "× the smallest's cost", [cost / smallest for cost in rounds[-1]], f"{what}: {said}", details)
