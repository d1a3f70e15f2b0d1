"""Prometheus metrics of what happens to runs and tasks, and of the controller itself; mirror.py has the current state.

Labels are namespace, dag, state, pool and reason only: never a run, a task or a Pod, whose number is unlimited. Only
counters have the label dag, and a deleted Dag's series are removed; durations are by namespace. The thread that answers
Prometheus reads all of it while the event loop writes it.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import Metric

from tradewind.engine.run.run_info import Note
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_node import TaskNode
from tradewind.engine.schedule.finished_run import FinishedRun
from tradewind.kube.objects import Key
from tradewind.kube.working_on import working_on

_RUN_SECONDS = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400)
_TASK_SECONDS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600)
_DELAY_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600)
_LOOP_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
_STALL_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Collector(Protocol):
    """The protocol of prometheus_client's collectors."""

    def collect(self) -> Iterator[Metric]: ...


class Metrics:
    """All metrics of one controller process, in a registry of its own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        dag, state = ["namespace", "dag"], ["namespace", "state"]
        self.is_dag: Callable[[Key], bool] = lambda dag: True
        """True if the Dag exists: others have no series."""
        self._of_dag: dict[Key, set[tuple[Counter, str]]] = {}
        self._runs_finished = Counter(
            "tradewind_dag_runs_finished", "Finished runs", [*dag, "state"], registry=registry
        )
        self._tasks_finished = Counter(
            "tradewind_task_instances_finished", "Finished task instances", [*dag, "state"], registry=registry
        )
        self._tries_failed = Counter(
            "tradewind_tries_failed", "Tries that failed or were lost", [*dag, "reason"], registry=registry
        )
        self._run_seconds = Histogram(
            "tradewind_dag_run_duration_seconds",
            "Time from a run's start to its finish",
            state,
            buckets=_RUN_SECONDS,
            registry=registry,
        )
        self._task_seconds = Histogram(
            "tradewind_task_duration_seconds",
            "Time from the start of a task's container to its finish, last try",
            state,
            buckets=_TASK_SECONDS,
            registry=registry,
        )
        self._schedule_delay = Histogram(
            "tradewind_schedule_delay_seconds",
            "Time from a tick of the schedule to the creation of its run",
            ["namespace"],
            buckets=_DELAY_SECONDS,
            registry=registry,
        )
        self.loop_seconds = Histogram(
            "tradewind_loop_seconds",
            "Duration of one step of the leader's loop",
            buckets=_LOOP_SECONDS,
            registry=registry,
        )
        self.loop_delay = Histogram(
            "tradewind_event_loop_delay_seconds",
            "Delay of ready callbacks of the event loop, measured ten times a second",
            buckets=_STALL_SECONDS,
            registry=registry,
        )
        self.stall = Gauge(
            "tradewind_event_loop_stall_seconds",
            "How long the event loop was last blocked, if for a second or more, and by work on which object",
            ["kind", "namespace", "name"],
            registry=registry,
        )
        self.loop_failures = Counter(
            "tradewind_loop_failures",
            "Steps of the leader's loop, and background tasks, that failed unexpectedly",
            registry=registry,
        )
        self.shard = Gauge(
            "tradewind_shard_info",
            "Always 1; labels give this controller's shard",
            ["shard", "shards"],
            registry=registry,
        )
        self.leader = Gauge("tradewind_leader", "1 while this replica is the leader", registry=registry)

    def show_stall(self, what: working_on | None, seconds: float) -> None:
        """Show how long the event loop is, or was, held. One series at most, as the number of objects is unlimited."""
        self.stall.clear()
        namespace, name = what.key if what is not None else ("", "")
        self.stall.labels(what.kind if what is not None else "", namespace, name).set(seconds)

    def forget(self, dag: Key) -> None:
        """Remove the series of a deleted Dag."""
        for counter, value in self._of_dag.pop(dag, ()):
            counter.remove(*dag, value)

    def _count(self, counter: Counter, dag: Key, value: str, number: float = 1) -> None:
        if self.is_dag(dag):
            counter.labels(*dag, value).inc(number)
            self._of_dag.setdefault(dag, set()).add((counter, value))

    def run_finished(self, run: RunState) -> None:
        """Count a finished run, and its tasks that finished since it last started."""
        info = run.info
        dag = info.namespace, info.dag
        self._count(self._runs_finished, dag, run.phase.value)
        if run.started_at and run.finished_at:
            seconds = (run.finished_at - run.started_at).total_seconds()
            self._run_seconds.labels(info.namespace, run.phase.value).observe(seconds)
        # Tasks that a rerun left alone were counted when the run finished before.
        again = run.started_at if run.requests else None
        for node in run.nodes:
            if again is not None and node.finished_at is not None and node.finished_at < again:
                continue
            for state, count in node.tally().items():
                self._count(self._tasks_finished, dag, state.value, count)
            for state, seconds in _durations(node):
                self._task_seconds.labels(info.namespace, state.value).observe(seconds)

    def run_refused(self, run: FinishedRun) -> None:
        """Count a run that was refused before its start: it has no duration and no task instances."""
        self._count(self._runs_finished, (run.namespace, run.dag), run.phase.value)

    def note(self, note: Note) -> None:
        """Count failed and lost tries."""
        if note.task is not None and note.cause is not None:
            self._count(self._tries_failed, (note.run.namespace, note.run.dag), note.cause)

    def observe_schedule_delay(self, dag: Key, seconds: float) -> None:
        """Observe the seconds from a tick to the creation of its run."""
        self._schedule_delay.labels(dag[0]).observe(max(0.0, seconds))


def _durations(node: TaskNode) -> list[tuple[TaskState, float]]:
    """Return the final states of a task's instances with their seconds; instances that ran nothing are left out."""
    whole = node.whole
    if not node.task.kind.has_tries:
        return []
    if node.count:
        return node.durations
    if whole.started_at is None or whole.finished_at is None:
        return []
    return [(whole.state, (whole.finished_at - whole.started_at).total_seconds())]
