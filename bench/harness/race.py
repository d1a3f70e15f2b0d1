"""The raw path and the controller on the same Pods, in turn: the cost of the controller."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.harness import raw
from bench.harness.accepting import accepted
from bench.harness.bed import Bed
from bench.harness.dags import Manifest, run, unlimited_pool
from bench.harness.observer import watching_results
from bench.harness.requests import Requests, of_controller
from bench.harness.results import Result
from tradewind.cache.resources import DAGRUNS, DAGS, POOLS
from tradewind.kube.client import KubeClient

SLOWEST = 10.0
"""Pods a second: a slower round has failed."""


@dataclass(frozen=True, slots=True)
class Lap:
    """One round of one side."""

    pods: int
    seconds: float
    cpu: Mapping[str, float]
    """Processor seconds by process."""
    requests: Requests
    megabytes: float = 0.0
    """Peak memory of the controller."""
    events: int = 0
    """Writes of Events by the controller."""

    @property
    def rate(self) -> float:
        """Pods a second, from the first request to the last result."""
        return self.pods / self.seconds

    @property
    def milliseconds(self) -> float:
        """Processor time of all processes for each Pod."""
        return sum(self.cpu.values()) / self.pods * 1000


@dataclass(slots=True)
class Race:
    """`runs` runs of a Dag that has `pods` task instances in each."""

    bed: Bed
    name: str
    dag: Manifest
    runs: int
    pods: int
    laps: list[tuple[Lap, Lap]] = field(default_factory=list)

    @property
    def _total(self) -> int:
        return self.runs * self.pods

    @property
    def _limit(self) -> float:
        return 60 + self._total / SLOWEST

    async def round(self) -> None:
        """The raw path, then the controller."""
        slow = await self.raw()
        self.laps.append((slow, await self.controller()))

    async def raw(self) -> Lap:
        """The Pods from a bare client."""
        bed = self.bed
        await bed.settle()
        namespace = await bed.namespace(f"{self.name}-raw")
        owners = await bed.create_all(DAGRUNS, namespace, self._runs())
        bodies = list(raw.pods(self.dag, namespace, owners))
        assert len(bodies) == self._total
        # A client of its own, so that observing does not wait for creating.
        async with (
            KubeClient.from_environment(bed.cluster.kubeconfig) as client,
            watching_results(bed.client, namespace) as (pods, _),
        ):
            cpu, requests, began = bed.usage(), await bed.requests(), time.perf_counter()
            await raw.create(client, namespace, bodies)
            await pods.number(self._total, "Pods of the raw path succeed", self._limit)
            lap = Lap(self._total, pods.last - began, _less(bed.usage(), cpu), await bed.requests() - requests)
        await bed.clear_pods(namespace)
        return lap

    async def controller(self) -> Lap:
        """The same by runs of the Dag, until the last run has succeeded."""
        bed = self.bed
        await bed.settle()
        namespace = await bed.namespace(self.name)
        controller = await bed.controller(namespace)
        try:
            await bed.create_all(POOLS, namespace, [unlimited_pool()])
            [dag] = await bed.create_all(DAGS, namespace, [self.dag])
            await accepted(bed, namespace, 1)
            async with watching_results(bed.client, namespace) as (pods, runs):
                own, events = controller.cpu_seconds(), await controller.events_written()
                cpu, requests, began = bed.usage(), await bed.requests(), time.perf_counter()
                await bed.create_all(DAGRUNS, namespace, self._runs(dag["metadata"]["uid"]))
                await pods.number(self._total, "Pods of the controller succeed", self._limit)
                await runs.number(self.runs, "runs succeed", self._limit)
                used = _less(bed.usage(), cpu) | {"controller": controller.cpu_seconds() - own}
                events = await controller.events_written() - events
                lap = Lap(
                    self._total,
                    runs.last - began,
                    used,
                    await bed.requests() - requests,
                    controller.peak_megabytes(),
                    events,
                )
            # While there is a controller that removes their finalizers.
            await bed.clear_pods(namespace)
            return lap
        finally:
            await controller.stop()

    def _runs(self, dag_uid: str | None = None) -> list[Manifest]:
        name = self.dag["metadata"]["name"]
        return [run(name, f"{name}-{number}", dag_uid) for number in range(self.runs)]

    # Results -----------------------------------------------------------------------------------------------------

    def results(self, *, writes: bool = False) -> list[Result]:
        """The ratio of the rates; with `writes` also the API writes for each task instance."""
        made = self.name
        raws, ours = zip(*self.laps, strict=True)
        more = f"{median(lap.rate for lap in ours):.0f} of {median(lap.rate for lap in raws):.0f} Pods/s"
        ratio = Result(
            made, "of the raw path's Pods/s", [our.rate / slow.rate for slow, our in self.laps], more, self._details()
        )
        # Other work on the machine changes the rates from round to round, but not the cost of a Pod.
        costs = [slow.milliseconds / our.milliseconds for slow, our in self.laps]
        more = f"{median(lap.milliseconds for lap in ours):.0f} ms of all processes, {_own(ours):.1f} of the controller"
        cost = Result(f"{made}-cpu", "raw path's CPU for a Pod / ours", costs, more)
        if not writes:
            return [ratio, cost]
        sent = [of_controller(lap.requests, events=lap.events, by_bench=self.runs) for lap in ours]
        each = [found.total() / lap.pods for found, lap in zip(sent, ours, strict=True)]
        said = ", ".join(f"{verb} {resource} {number}" for (verb, resource), number in sent[-1].most_common())
        return [ratio, cost, Result(f"{made}-writes", "API writes per task instance", each, said)]

    def _details(self) -> dict[str, float]:
        """Milliseconds of each process for each Pod, and memory."""
        found = {}
        for side, laps in (("raw", [lap for lap, _ in self.laps]), ("", [lap for _, lap in self.laps])):
            for process in laps[0].cpu:
                name = f"{side} {process} CPU ms/Pod".strip()
                found[name] = round(median(lap.cpu[process] / lap.pods * 1000 for lap in laps), 2)
        found["controller peak RSS MB"] = round(max(lap.megabytes for _, lap in self.laps))
        return found


def _own(laps: Sequence[Lap]) -> float:
    """The controller's milliseconds for each Pod."""
    return median(lap.cpu["controller"] / lap.pods * 1000 for lap in laps)


def _less(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    return {name: value - before[name] for name, value in after.items()}
