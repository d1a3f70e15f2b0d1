"""Prometheus metrics: the state in `status`, mirrored, and what the controller itself does.

Labels are namespace, dag, state, pool and reason only: never a run, a task or a Pod, of which there is no end.
"""

from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tradewind.engine.ended_run import EndedRun
from tradewind.engine.run import RunState
from tradewind.engine.run_info import Note
from tradewind.engine.states import TaskState
from tradewind.engine.task_node import TaskNode
from tradewind.kube.objects import Key
from tradewind.kube.writer import Writer

if TYPE_CHECKING:
    from tradewind.controller.cluster import Cluster
    from tradewind.controller.leader import Leader

_RUN_SECONDS = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400)
_TASK_SECONDS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600)
_DELAY_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600)
_LOOP_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)


class Collector(Protocol):
    """What prometheus_client asks of a collector."""

    def collect(self) -> Iterator[Metric]: ...


class Metrics:
    """All metrics of one controller process, in a registry of its own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        dag = ["namespace", "dag"]
        self._runs_finished = Counter(
            "tradewind_dag_runs_finished", "Runs that have ended", [*dag, "state"], registry=registry
        )
        self._tasks_finished = Counter(
            "tradewind_task_instances_finished", "Task instances that have ended", [*dag, "state"], registry=registry
        )
        self._tries_failed = Counter(
            "tradewind_tries_failed", "Tries that failed or were lost", [*dag, "reason"], registry=registry
        )
        self._run_seconds = Histogram(
            "tradewind_dag_run_duration_seconds",
            "From a run's start to its end",
            [*dag, "state"],
            buckets=_RUN_SECONDS,
            registry=registry,
        )
        self._task_seconds = Histogram(
            "tradewind_task_duration_seconds",
            "From the start of a task's container to its end, last try",
            [*dag, "state"],
            buckets=_TASK_SECONDS,
            registry=registry,
        )
        self._schedule_delay = Histogram(
            "tradewind_schedule_delay_seconds",
            "From a tick of the schedule to the creation of its run",
            dag,
            buckets=_DELAY_SECONDS,
            registry=registry,
        )
        self.loop_seconds = Histogram(
            "tradewind_loop_seconds", "Time of one step of the loop", buckets=_LOOP_SECONDS, registry=registry
        )
        self.loop_failures = Counter("tradewind_loop_failures", "Steps or tasks that failed", registry=registry)
        self.shard = Gauge(
            "tradewind_shard_info",
            "1; which part of the namespaces is this controller's",
            ["shard", "shards"],
            registry=registry,
        )
        self.leader = Gauge("tradewind_leader", "1 while this replica leads", registry=registry)

    def mirror(self, cluster: "Cluster", leader: Callable[[], "Leader | None"], writer: Writer) -> None:
        """Report the state of the cluster at each scrape; what only the leader knows, while this replica leads."""
        self.registry.register(_Mirror(cluster, leader, writer))

    def run_finished(self, run: RunState) -> None:
        """A run has ended: count it, and its tasks that have ended since it last began."""
        info = run.info
        self._runs_finished.labels(info.namespace, info.dag, run.phase.value).inc()
        if run.started_at and run.finished_at:
            seconds = (run.finished_at - run.started_at).total_seconds()
            self._run_seconds.labels(info.namespace, info.dag, run.phase.value).observe(seconds)
        # What was not run again in a run that had ended before was counted then.
        again = run.started_at if run.requests else None
        for node in run.nodes:
            if again is not None and node.finished_at is not None and node.finished_at < again:
                continue
            for state, count in node.tally().items():
                self._tasks_finished.labels(info.namespace, info.dag, state.value).inc(count)
            for state, seconds in _durations(node):
                self._task_seconds.labels(info.namespace, info.dag, state.value).observe(seconds)

    def run_refused(self, run: EndedRun) -> None:
        """A run has ended that could never start: it has no duration and no task instances."""
        self._runs_finished.labels(run.namespace, run.dag, run.phase.value).inc()

    def note(self, note: Note) -> None:
        """Count failed and lost tries."""
        if note.task is not None and note.cause is not None:
            self._tries_failed.labels(note.run.namespace, note.run.dag, note.cause).inc()

    def observe_schedule_delay(self, dag: Key, seconds: float) -> None:
        """The run of a tick was made this long after it."""
        self._schedule_delay.labels(*dag).observe(max(0.0, seconds))


def _durations(node: TaskNode) -> list[tuple[TaskState, float]]:
    """How the instances of a task ended and in how many seconds; those that ran nothing have taken no time."""
    whole = node.whole
    if node.task.noop:
        return []
    if node.count:
        return node.took
    if whole.started_at is None or whole.finished_at is None:
        return []
    return [(whole.state, (whole.finished_at - whole.started_at).total_seconds())]


class _Mirror:
    """Reads the caches when Prometheus asks, so that nothing has to be kept in step with them."""

    def __init__(self, cluster: "Cluster", leader: Callable[[], "Leader | None"], writer: Writer) -> None:
        self._cluster, self._leader, self._writer = cluster, leader, writer

    def collect(self) -> Iterator[Metric]:
        yield from self._writes()
        yield from self._informers()
        leader = self._leader()
        if leader is not None:
            yield from self._state(leader)

    def _writes(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "tradewind_api_writes", "Writes to the Kubernetes API", labels=["verb", "resource", "code"]
        )
        for labels, number in self._writer.writes.items():
            family.add_metric(labels, number)
        yield family
        yield GaugeMetricFamily("tradewind_api_writes_queued", "Writes not yet answered", value=self._writer.queued)

    def _informers(self) -> Iterator[Metric]:
        objects = GaugeMetricFamily("tradewind_cached_objects", "Objects in the caches", labels=["resource"])
        events = CounterMetricFamily("tradewind_watch_events", "Events received by watches", labels=["resource"])
        relists = CounterMetricFamily("tradewind_watch_lists", "Full lists of a kind", labels=["resource"])
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

    def _state(self, leader: "Leader") -> Iterator[Metric]:
        runs: Tally[tuple[str, str, str]] = Tally()
        tasks: Tally[tuple[str, str, str]] = Tally()
        waiting: Tally[tuple[str, str]] = Tally()
        for (key, phase), number in leader.history.counts.items():
            runs[*key, phase] += number
        for run in leader.scheduler.runs.values():
            info = run.info
            runs[info.namespace, info.dag, run.phase.value] += 1
            for state, count in run.tally().items():
                tasks[info.namespace, info.dag, state.value] += count
            for node in run.nodes if run.queue else ():
                if node.ready:
                    waiting[info.namespace, node.task.pool] += len(node.ready)
        labels = ["namespace", "dag", "state"]
        yield _gauge("tradewind_dag_runs", "Runs, finished ones as far as history keeps them", labels, runs)
        yield _gauge("tradewind_task_instances", "Task instances of runs that have not finished", labels, tasks)
        slots = leader.scheduler.slots
        by_pool = ["namespace", "pool"]
        yield _gauge("tradewind_pool_slots", "Slots of a pool, -1 for no limit", by_pool, slots.limits)
        yield _gauge("tradewind_pool_used_slots", "Slots that tasks hold", by_pool, slots.used)
        yield _gauge("tradewind_pool_waiting_tasks", "Ready tasks that wait for slots", by_pool, waiting)
        dags: Tally[tuple[str, str]] = Tally()
        for entry in leader.dags.entries.values():
            dags[entry.key[0], "Rejected" if entry.problems else "Accepted"] += 1
        backfills: Tally[tuple[str, str, str]] = Tally()
        for (namespace, _), found in self._cluster.backfills.items():
            phase = str(found.status.get("phase") or "Pending")
            backfills[namespace, str(found.spec.get("dag")), phase] += 1
        yield _gauge("tradewind_backfills", "Backfills", labels, backfills)
        yield _gauge("tradewind_dags", "Dags, by whether they are accepted", ["namespace", "state"], dags)


def _gauge(name: str, text: str, labels: list[str], values: Mapping[Any, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
