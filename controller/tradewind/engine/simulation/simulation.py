"""The loop of a simulation: plans of the scheduler are applied at once, and time jumps to the next event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from graphlib import TopologicalSorter
from typing import Any

from tradewind.api.resolve import ResolvedDag
from tradewind.api.times import format_time
from tradewind.api.variables import ConfigMaps, Variables
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.task_node import TaskNode
from tradewind.engine.run.tries import TryReport
from tradewind.engine.scheduler import Scheduler
from tradewind.engine.simulation.outcomes import Outcomes
from tradewind.engine.simulation.virtual_cluster import VirtualCluster

NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class DagToRun:
    """A Dag with one simulated run that starts at its logical date."""

    name: str
    dag: ResolvedDag
    logical_date: datetime
    params: Mapping[str, Any] = field(default_factory=dict)
    interval: tuple[datetime, datetime] | None = None
    """Start and end of the data interval; None: empty, at the logical date."""
    run: str = ""
    """Name of the run, if a Dag has several."""
    type: str = "Manual"


@dataclass(frozen=True, slots=True)
class SimulatedTry:
    """One try of a task instance (`load`, `load[3]`), or one poke of a sensor; `state` is Succeeded, Failed, Skipped,
    Lost, or UpForReschedule for an unsuccessful poke."""

    task: str
    number: int
    started_at: datetime
    finished_at: datetime
    state: str


class SimulatedRun:
    """A run, its tries, and the order in which they started."""

    def __init__(self, state: RunState, started_at: datetime) -> None:
        self.state = state
        self.order: list[str] = []
        """Names of task instances, once for each try, and once for an instance without Pods."""
        self.tries: list[SimulatedTry] = []
        self._started_at = self._last_event = started_at
        self._no_pods = [node for node in _topological(state) if not node.task.kind.makes_pods]
        self._noted: set[str] = set()
        self._times: dict[str, tuple[datetime, datetime]] = {}

    @property
    def makespan(self) -> timedelta:
        """From the start of the run to its finish, or to the last event if it does not finish."""
        return (self.state.finished_at or self._last_event) - (self.state.started_at or self._started_at)

    def started(self, name: str) -> None:
        """Record the start of a try of a task instance."""
        self.order.append(name)

    def record_finished(self, report: TryReport, now: datetime) -> None:
        """Record a finished try, after its report was applied to the run."""
        self._last_event = now
        instance = self.state.instance(report.task, report.index)
        if instance is None or not instance.task.kind.makes_pods:
            return
        state = instance.state.value
        if instance.next_poke_at is not None:
            state = TaskState.UP_FOR_RESCHEDULE.value
        elif instance.attempt != (report.number, report.poke):
            state = "Lost"
        elif instance.state is TaskState.UP_FOR_RETRY:
            state = "Failed"
        started, finished = report.started_at or now, report.finished_at or now
        self.tries.append(SimulatedTry(instance.name, report.number, started, finished, state))
        first = self._times[instance.name][0] if report.poke > 1 else started
        self._times[instance.name] = first, finished

    def note_without_pods(self) -> None:
        """Record the noops and waits that have just started: they start no try."""
        for node in list(self._no_pods):
            if node.started_at is None:
                continue
            for instance in node:
                if instance.state is not TaskState.NONE and instance.name not in self._noted:
                    self._noted.add(instance.name)
                    self.order.append(instance.name)
            if node.finished:
                self._no_pods.remove(node)

    def to_dict(self) -> dict[str, Any]:
        """The result of the run, JSON-ready, as `tradewind simulate -o json` prints it."""
        seconds = round(self.makespan.total_seconds(), 3)
        return {
            "phase": self.state.phase.value,
            "makespanSeconds": int(seconds) if seconds.is_integer() else seconds,
            "tasks": {
                instance.name: self._task(instance, waits_for)
                for node in self.state.nodes
                for waits_for in (self.state.queue.waits_for(node) or node.past,)
                for instance in node
            },
            "order": self.order,
        }

    def times(self, instance: TaskInstance) -> tuple[datetime | None, datetime | None]:
        """The start and finish times of an instance; the start time is None if it never started."""
        started, finished = self._times.get(instance.name, (None, None))
        return instance.started_at or started, instance.finished_at or finished

    def _task(self, instance: TaskInstance, waits_for: str | None) -> dict[str, Any]:
        started, finished = self.times(instance)
        return {
            "state": instance.state.value,
            "try": instance.number,
            "startedAt": format_time(started) if started else None,
            "finishedAt": format_time(finished) if finished else None,
            "reason": instance.reason or (None if instance.finished else instance.message or waits_for),
        }


def simulate(
    dags: Sequence[DagToRun],
    *,
    outcomes: Outcomes,
    pools: Mapping[str, int],
    variables: ConfigMaps | None = None,
) -> list[SimulatedRun]:
    """Simulate all these runs on the same cluster, each starting at its logical date.

    The simulation stops when every run has finished, or when no event can follow (a pool does not exist or has no
    slots).
    """
    scheduler, cluster = Scheduler(), VirtualCluster(outcomes)
    for pool, slots in pools.items():
        scheduler.set_pool(NAMESPACE, pool, slots)
    runs: dict[str, SimulatedRun] = {}
    for each in dags:
        info = _run_info(each)
        state = RunState(info, each.dag, scheduler.slots, variables=partial(Variables, variables))
        runs[info.uid] = SimulatedRun(state, each.logical_date)
    pending = sorted(runs.values(), key=lambda run: run.state.info.logical_date)
    now = pending[0].state.info.logical_date if pending else None
    while now is not None:
        while pending and pending[0].state.info.logical_date <= now:
            scheduler.add_run(pending.pop(0).state)
        later = _step(scheduler, cluster, runs, now)
        next_start = pending[0].state.info.logical_date if pending else None
        now = min((moment for moment in (later, next_start) if moment), default=None)
    return list(runs.values())


def _step(
    scheduler: Scheduler, cluster: VirtualCluster, runs: Mapping[str, SimulatedRun], now: datetime
) -> datetime | None:
    """Apply one plan. Return the time of the next event, or None if there is none."""
    for uid, report in list(cluster.take_finished(now)):
        scheduler.report(uid, report, now)
        runs[uid].record_finished(report, now)
    plan = scheduler.plan(now)
    for run in runs.values():
        run.note_without_pods()
    for stop in plan.stops:
        cluster.stop(stop, now)
    for start in plan.starts:
        runs[start.run.uid].started(start.key.instance)
        for report in cluster.start(start, now):
            scheduler.report(start.run.uid, report, now)
    for wait in plan.waits:
        cluster.wait(wait, now)
    if plan.starts or plan.stops:
        return now
    if all(run.state.finished for run in runs.values()):
        return None
    return min((moment for moment in (cluster.next_end, plan.wake_at) if moment), default=None)


def _run_info(each: DagToRun) -> RunInfo:
    start, end = each.interval or (each.logical_date, each.logical_date)
    return RunInfo(
        namespace=NAMESPACE,
        name=each.run or f"{each.name}-simulated",
        # The jitter of backoff depends on it: the same Dag always gives the same simulation.
        uid=f"simulation/{each.name}" + (f"/{each.run}" if each.run else ""),
        dag=each.name,
        type=each.type,
        logical_date=each.logical_date,
        interval_start=start,
        interval_end=end,
        params=each.params,
    )


def _topological(state: RunState) -> list[TaskNode]:
    edges = {position: set(before) for position, before in enumerate(state.graph.upstream)}
    return [state.nodes[position] for position in TopologicalSorter(edges).static_order()]
