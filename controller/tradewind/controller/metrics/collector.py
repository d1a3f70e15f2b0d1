"""The state of the cluster as metrics: a snapshot at each scrape, so that no counters must follow every change.

The objects belong to the controller's event loop. They are counted there in slices, between which the loop does other
work; another thread turns the numbers into series, and those into text.
"""

import asyncio
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tradewind.cache.caches import Caches
from tradewind.controller.dags.entry import Entry
from tradewind.engine.scheduler import Scheduler
from tradewind.kube.objects import Key
from tradewind.kube.writer import Writer

SLICE = 0.002
"""Seconds of work on a snapshot in one turn of the loop."""


_Gauge = tuple[str, str, list[str], Mapping[Any, int]]
"""Name, help text, labels, and values by labels."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The leader's objects that are counted."""

    scheduler: Scheduler
    dags: Mapping[Key, Entry]
    finished: Mapping[tuple[Key, str], int]
    """Finished runs, by Dag and phase."""


class Mirror:
    """A collector of the last snapshot, and of numbers that need none."""

    def __init__(self, cluster: Caches, counted: Callable[[], Counted | None], writer: Writer) -> None:
        """`counted()` is called for each snapshot; it returns None if this replica is not the leader."""
        self._cluster, self._counted, self._writer = cluster, counted, writer
        self._gauges: list[_Gauge] = []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; callable from any thread."""
        yield from self._writes()
        yield from self._informers()
        for name, text, labels, values in self._gauges:
            family = GaugeMetricFamily(name, text, labels=labels)
            for key, value in values.items():
                family.add_metric(key, value)
            yield family

    async def take(self) -> None:
        """Take a snapshot. Call this on the controller's loop."""
        counted = self._counted()
        self._gauges = await self._state(counted, _Slices()) if counted is not None else []

    def _writes(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "tradewind_api_writes", "Writes to the Kubernetes API", labels=["verb", "resource", "code"]
        )
        for labels, number in list(self._writer.writes.items()):
            family.add_metric(labels, number)
        yield family
        yield GaugeMetricFamily(
            "tradewind_api_writes_queued",
            "Writes to the Kubernetes API without a response yet",
            value=self._writer.queued,
        )

    def _informers(self) -> Iterator[Metric]:
        objects = GaugeMetricFamily("tradewind_cached_objects", "Objects in the caches", labels=["resource"])
        events = CounterMetricFamily("tradewind_watch_events", "Events received by watches", labels=["resource"])
        relists = CounterMetricFamily("tradewind_watch_lists", "Full lists of a resource", labels=["resource"])
        totals: dict[str, list[int]] = {}
        for informer in self._cluster.informers:
            total = totals.setdefault(informer.resource.plural, [0, 0, 0])
            for index, number in enumerate((len(informer.store), informer.events, informer.lists)):
                total[index] += number
        for resource, (stored, received, listed) in totals.items():
            objects.add_metric([resource], stored)
            events.add_metric([resource], received)
            relists.add_metric([resource], listed)
        yield from (objects, events, relists)
        refused = GaugeMetricFamily(
            "tradewind_watches_refused",
            "1 for each resource that may not be listed or watched in a namespace; no tasks start there meanwhile",
            labels=["resource", "namespace"],
        )
        for resource, namespace in sorted(
            {(each.resource.plural, each.namespace or "") for each in self._cluster.informers if each.refused}
        ):
            refused.add_metric([resource, namespace], 1)
        yield refused

    async def _state(self, counted: Counted, slices: "_Slices") -> "list[_Gauge]":
        runs: Tally[tuple[str, str, str]] = Tally()
        tasks: Tally[tuple[str, str, str]] = Tally()
        waiting: Tally[tuple[str, str]] = Tally()
        for (key, phase), number in list(counted.finished.items()):
            runs[*key, phase] += number
            await slices.end()
        for run in list(counted.scheduler.runs.values()):
            info = run.info
            runs[info.namespace, info.dag, run.phase.value] += 1
            for state, count in run.tally().items():
                tasks[info.namespace, info.dag, state.value] += count
            for node in run.nodes if run.queue else ():
                if node.ready:
                    waiting[info.namespace, node.task.pool] += len(node.ready)
            await slices.end()
        dags: Tally[tuple[str, str]] = Tally()
        for entry in list(counted.dags.values()):
            dags[entry.key[0], "Rejected" if entry.problems else "Accepted"] += 1
            await slices.end()
        backfills: Tally[tuple[str, str, str]] = Tally()
        for (namespace, _), found in list(self._cluster.backfills.items()):
            phase = str(found.status.get("phase") or "Pending")
            backfills[namespace, str(found.spec.get("dag")), phase] += 1
            await slices.end()
        slots = counted.scheduler.slots
        limits, used = dict(slots.limits), dict(slots.used)
        labels, by_pool = ["namespace", "dag", "state"], ["namespace", "pool"]
        return [
            ("tradewind_dag_runs", "Runs by state; finished ones while the history limits keep them", labels, runs),
            ("tradewind_task_instances", "Task instances of unfinished runs by state", labels, tasks),
            ("tradewind_pool_slots", "Slots of a pool, -1 for no limit", by_pool, limits),
            ("tradewind_pool_used_slots", "Slots of a pool that task instances hold", by_pool, used),
            ("tradewind_pool_waiting_tasks", "Ready task instances that wait for slots of a pool", by_pool, waiting),
            ("tradewind_backfills", "Backfills by state", labels, backfills),
            ("tradewind_dags", "Dags by state: Accepted or Rejected", ["namespace", "state"], dags),
        ]


class _Slices:
    """Yields to the event loop after each slice."""

    def __init__(self) -> None:
        self._until = time.perf_counter() + SLICE

    async def end(self) -> None:
        """Yield to the event loop if the slice is used up."""
        if time.perf_counter() >= self._until:
            await asyncio.sleep(0)
            self._until = time.perf_counter() + SLICE
