"""The controller's memory with thousands of Dags and Pods."""

from __future__ import annotations

from bench.harness.accepting import accepted
from bench.harness.bed import Bed
from bench.harness.crowd import crowd
from bench.harness.population import yearly_dags
from bench.harness.results import Result
from bench.workloads import Size
from tradewind.cache.resources import DAGS

COUNTS: dict[Size, tuple[int, int]] = {"tiny": (30, 20), "small": (2000, 1000), "full": (10_000, 5000)}
"""(active Pods, Dags)"""


async def run(bed: Bed, size: Size, rounds: int) -> list[Result]:
    """Resident memory with all of them, before and after a restart; the larger counts. There is one round."""
    pods, dags = COUNTS[size]
    namespace, controller = await crowd(bed, "memory", pods)
    few = controller.resident_megabytes()
    await bed.create_all(DAGS, namespace, yearly_dags(dags))
    await accepted(bed, namespace, dags)
    await bed.settle()
    grown, peak = controller.resident_megabytes(), controller.peak_megabytes()
    await controller.stop()
    again = await bed.controller(namespace)
    await bed.settle()
    fresh, top = again.resident_megabytes(), again.peak_megabytes()
    await again.stop()
    details = {"before the Dags": few, "peak": peak, "after a restart": fresh, "its peak": top}
    said = f"{pods} active Pods, {dags} Dags; peak {peak:.0f} MB, after a restart {fresh:.0f} MB"
    return [Result("memory", "MB resident", [max(grown, fresh)], said, {k: round(v) for k, v in details.items()})]
