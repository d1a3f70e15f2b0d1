"""From the finish of a task to the Pod of the next one, on an idle cluster, as a watch delivers both."""

from __future__ import annotations

from itertools import pairwise

from bench.harness.accepting import accepted
from bench.harness.bed import Bed
from bench.harness.dags import chain, dag
from bench.harness.dags import run as run_of
from bench.harness.observer import Seen, watching
from bench.harness.results import Result
from bench.harness.statistics import percentile
from bench.workloads import Size
from tradewind.api import names
from tradewind.cache.resources import DAGRUNS, DAGS
from tradewind.kube.resources import PODS

LENGTH: dict[Size, int] = {"tiny": 5, "small": 40, "full": 40}


async def run(bed: Bed, size: Size, rounds: int) -> list[Result]:
    """Milliseconds, 50th and 99th percentile over the hops of a chain."""
    length = LENGTH[size]
    found = [await _hops(bed, length) for _ in range(rounds)]
    return [
        Result("hop-p50", "ms", [percentile(hops, 0.5) for hops in found], f"{length - 1} hops a round"),
        Result("hop-p99", "ms", [percentile(hops, 0.99) for hops in found]),
    ]


async def _hops(bed: Bed, length: int) -> list[float]:
    namespace = await bed.namespace("hop")
    controller = await bed.controller(namespace)
    await bed.create_all(DAGS, namespace, [dag("hop", chain(length))])
    await accepted(bed, namespace, 1)
    await bed.settle()
    async with (
        watching(bed.client, PODS, namespace) as pods,
        watching(bed.client, DAGRUNS, namespace, field_selector="status.phase=Succeeded") as runs,
    ):
        await bed.create_all(DAGRUNS, namespace, [run_of("hop", "hop")])
        await runs.number(1, "the chain succeeds", 60 + length * 5)
    await controller.stop()
    return _between(pods, length)


def _between(pods: Seen, length: int) -> list[float]:
    of_task = {labels[names.LABEL_TASK]: name for name, labels in pods.labels.items()}
    chained = [of_task[f"t{number}"] for number in range(length)]
    return [(pods.at[after] - pods.succeeded[before]) * 1000 for before, after in pairwise(chained)]
