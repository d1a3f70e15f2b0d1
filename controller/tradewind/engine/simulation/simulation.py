"""The loop of a simulation: what the scheduler plans is done at once, and time jumps to when something happens next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from graphlib import TopologicalSorter
from typing import Any

from tradewind.api.resolve import ResolvedDag
from tradewind.engine.run import RunState
from tradewind.engine.run_info import RunInfo
from tradewind.engine.scheduler import Scheduler
from tradewind.engine.simulation.outcomes import Outcomes
from tradewind.engine.simulation.virtual_cluster import TryKey, VirtualCluster
from tradewind.engine.states import TaskState
from tradewind.engine.task_instance import TaskInstance, format_time
from tradewind.engine.tries import TryReport

NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class DagToRun:
    """A Dag of which one run is simulated."""

    name: str
    dag: ResolvedDag
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SimulatedTry:
    """One try of a task; `state` is Succeeded, Failed, Skipped or Lost."""

    task: str
    number: int
    started_at: datetime
    finished_at: datetime
    state: str


class SimulatedRun:
    """A run, how its tries went, and the order in which they started."""

    def __init__(self, state: RunState, started_at: datetime) -> None:
        self.state = state
        self.order: list[str] = []
        """Names of tasks, each as often as it started: once for each try, and once for a noop."""
        self.tries: list[SimulatedTry] = []
        self._started_at = self._last_event = started_at
        self._noops = [instance for instance in _topological(state) if instance.task.noop]

    @property
    def makespan(self) -> timedelta:
        """From the start of the run to its end, or as far as it came."""
        return (self.state.finished_at or self._last_event) - (self.state.started_at or self._started_at)

    def started(self, task: str) -> None:
        """A try of the task starts."""
        self.order.append(task)

    def ended(self, report: TryReport, now: datetime) -> None:
        """A try has ended, and the run was told."""
        instance = self.state[report.task]
        state = instance.state.value
        if instance.number != report.number:
            state = "Lost"
        elif instance.state is TaskState.UP_FOR_RETRY:
            state = "Failed"
        started = report.started_at or now
        self.tries.append(SimulatedTry(report.task, report.number, started, report.finished_at or now, state))
        self._last_event = now

    def note_noops(self) -> None:
        """Noops start no try: take down those that were passed just now."""
        passed = [instance for instance in self._noops if instance.started_at is not None]
        if passed:
            self.order += [instance.task.name for instance in passed]
            self._noops = [instance for instance in self._noops if instance.started_at is None]

    def to_dict(self) -> dict[str, Any]:
        """What came of the run, JSON-ready, as `tradewind simulate -o json` prints it."""
        waiting = {entry["name"]: entry.get("message") for entry in self.state.status()["tasks"]}
        seconds = round(self.makespan.total_seconds(), 3)
        return {
            "phase": self.state.phase.value,
            "makespanSeconds": int(seconds) if seconds.is_integer() else seconds,
            "tasks": {
                instance.task.name: {
                    "state": instance.state.value,
                    "try": instance.number,
                    "startedAt": format_time(instance.started_at) if instance.started_at else None,
                    "finishedAt": format_time(instance.finished_at) if instance.finished_at else None,
                    "reason": instance.reason or (None if instance.finished else waiting.get(instance.task.name)),
                }
                for instance in self.state
            },
            "order": self.order,
        }


def simulate(
    dags: Sequence[DagToRun], *, outcomes: Outcomes, pools: Mapping[str, int], logical_date: datetime
) -> list[SimulatedRun]:
    """One run of each Dag, all on the same cluster and beginning at `logical_date`.

    It ends when every run has, or when nothing would ever happen again (a pool that does not exist, or has no slots).
    """
    scheduler, cluster = Scheduler(), VirtualCluster(outcomes)
    for pool, slots in pools.items():
        scheduler.set_pool(NAMESPACE, pool, slots)
    runs: dict[str, SimulatedRun] = {}
    for each in dags:
        info = _run_info(each, logical_date)
        state = RunState(info, each.dag, scheduler.slots)
        scheduler.add_run(state)
        runs[info.uid] = SimulatedRun(state, logical_date)
    now: datetime | None = logical_date
    while now is not None:
        now = _step(scheduler, cluster, runs, now)
    return list(runs.values())


def _step(
    scheduler: Scheduler, cluster: VirtualCluster, runs: Mapping[str, SimulatedRun], now: datetime
) -> datetime | None:
    """Do what is to be done now; when there will be more, or None when there never will."""
    ended: list[tuple[TryKey, TryReport]] = list(cluster.ended(now))
    for (uid, _, _), report in ended:
        scheduler.report(uid, report, now)
        runs[uid].ended(report, now)
    plan = scheduler.plan(now)
    for run in runs.values():
        run.note_noops()
    for stop in plan.stops:
        cluster.stop(stop, now)
    for start in plan.starts:
        runs[start.run.uid].started(start.task.name)
        for report in cluster.start(start, now):
            scheduler.report(start.run.uid, report, now)
    if plan.starts or plan.stops:
        return now
    if all(run.state.finished for run in runs.values()):
        return None
    return min((moment for moment in (cluster.next_end, plan.wake_at) if moment), default=None)


def _run_info(each: DagToRun, logical_date: datetime) -> RunInfo:
    return RunInfo(
        namespace=NAMESPACE,
        name=f"{each.name}-simulated",
        # Random backoff is drawn from it: the same Dag always gives the same simulation.
        uid=f"simulation/{each.name}",
        dag=each.name,
        type="Manual",
        logical_date=logical_date,
        interval_start=logical_date,
        interval_end=logical_date,
        params=each.params,
    )


def _topological(state: RunState) -> list[TaskInstance]:
    instances = list(state)
    edges = {position: set(state.graph.upstream[position]) for position in range(len(instances))}
    return [instances[position] for position in TopologicalSorter(edges).static_order()]
