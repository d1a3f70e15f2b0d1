"""An ordinary Dag beside the most expensive objects, and a take-over with a long queue of wide runs.

One user's objects must not slow another's: no object may block the event loop for long, and the next task of the
ordinary Dag starts as if no other object existed.
"""

from __future__ import annotations

import asyncio
import contextlib
from itertools import pairwise

from bench.harness.accepting import accepted
from bench.harness.bed import Bed
from bench.harness.controller import ControllerProcess
from bench.harness.dags import chain, dag, unlimited_pool
from bench.harness.dags import run as run_of
from bench.harness.hostile import HOSTILE, wide_queue
from bench.harness.observer import Seen, watching
from bench.harness.results import Result
from bench.harness.waiting import TookTooLong
from bench.workloads import Size
from tradewind.api import names
from tradewind.cache.resources import DAGRUNS, DAGS, POOLS
from tradewind.kube.resources import PODS

SCALES: dict[Size, float] = {"tiny": 0.01, "small": 0.15, "full": 1.0}
"""Share of the runs of a long queue: an API server takes minutes for all of them."""
LENGTH: dict[Size, int] = {"tiny": 5, "small": 25, "full": 50}
"""Tasks of the chain beside each object: of 0.1 s each, plus kwok's time for a Pod."""
LIMIT = 120.0
ORDINARY = "ordinary"
FINISHED = f"metadata.name={ORDINARY},status.phase=Succeeded"
DELAY = "tradewind_event_loop_delay_seconds"


async def run(bed: Bed, size: Size, rounds: int) -> list[Result]:
    """The longest step of the event loop, and the longest delay of the next task, beside each; then the take-over.
    There is one round."""
    found: list[Result] = []
    for name in HOSTILE:
        stall, delay = await _beside(bed, name, size)
        found.append(Result(f"stalls-{name}", "ms, at most, of the longest step of the loop", [stall * 1000]))
        found.append(Result(f"stalls-delay-{name}", "s of the ordinary Dag's next task, the longest", [delay]))
    return [*found, *await _take_over(bed, size)]


async def _beside(bed: Bed, name: str, size: Size) -> tuple[float, float]:
    namespace = await bed.namespace(f"stalls-{name}")
    controller = await bed.controller(namespace)
    length = LENGTH[size]
    await bed.create_all(POOLS, namespace, [unlimited_pool()])
    await bed.create_all(DAGS, namespace, [dag(ORDINARY, chain(length))])
    await accepted(bed, namespace, 1)
    await bed.settle()
    before = await _turns(controller)
    async with (
        watching(bed.client, PODS, namespace, label_selector=f"{names.LABEL_DAG}={ORDINARY}") as pods,
        watching(bed.client, DAGRUNS, namespace, field_selector=FINISHED) as runs,
    ):
        await bed.create_all(DAGRUNS, namespace, [run_of(ORDINARY, ORDINARY)])
        await pods.number(1, "the first task of the ordinary Dag starts", LIMIT)
        making = asyncio.create_task(_make(bed, namespace, name, SCALES[size]))
        with contextlib.suppress(TookTooLong):
            await runs.number(1, "the ordinary Dag's run succeeds", LIMIT)
        await making
        # The last one has its turn too.
        await asyncio.sleep(2)
    after = await _turns(controller)
    await controller.stop()
    await bed.clear_pods(namespace)
    longest = max((bound for bound, number in after.items() if number > before.get(bound, 0)), default=0.0)
    return longest, _longest_delay(pods, length)


async def _make(bed: Bed, namespace: str, name: str, scale: float) -> None:
    made = list(HOSTILE[name](scale))
    for resource in (DAGS, DAGRUNS):
        await bed.create_all(resource, namespace, [body for kind, body in made if kind is resource])


async def _turns(controller: ControllerProcess) -> dict[float, float]:
    """Return the number of steps of the event loop by the upper bounds of the histogram."""
    counts = await controller.histogram(DELAY)
    return {bound: number - before for (_, before), (bound, number) in pairwise([(0.0, 0.0), *counts])}


def _longest_delay(pods: Seen, length: int) -> float:
    """Return the time from the finish of a task to the Pod of the next one; LIMIT without one."""
    of_task = {labels[names.LABEL_TASK]: name for name, labels in pods.labels.items()}
    chained = [of_task.get(f"t{number}") for number in range(length)]
    if None in chained:
        return LIMIT
    return max(pods.at[str(after)] - pods.succeeded[str(before)] for before, after in pairwise(chained))


async def _take_over(bed: Bed, size: Size) -> list[Result]:
    """A controller starts, with the default Lease, while runs of a wide Dag wait."""
    namespace = await bed.namespace("stall-takeover")
    made = [body for kind, body in wide_queue(SCALES[size]) if kind is DAGS]
    runs = [body for kind, body in wide_queue(SCALES[size]) if kind is DAGRUNS]
    await bed.create_all(DAGS, namespace, made)
    await bed.create_all(DAGRUNS, namespace, runs)
    await bed.settle()
    async with watching(bed.client, PODS, namespace) as pods:
        controller = await bed.controller(namespace)
        await pods.number(1, "the first Pod", LIMIT)
        seconds = min(pods.at.values()) - controller.started_at
        await asyncio.sleep(5)
        peak = controller.peak_megabytes()
        leads = await controller.metric("tradewind_leader")
    await controller.stop()
    said = f"{len(runs)} queued runs of 1,000 tasks, default Lease" + ("" if leads == 1 else "; it lost the Lease")
    return [
        Result("takeover-wide", "s from the start of the process to the first Pod", [seconds], said),
        Result("takeover-wide-memory", "MB resident at most", [peak], said),
    ]
