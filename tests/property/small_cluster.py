"""A cluster in memory that runs the engine's Pods, and a controller on it that may die at any moment.

What the cluster knows is the truth: the controller hears of it late, twice and in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from scenarios import START, Case, Scenario, logical_date

from tradewind.api.dagrun import DagRunStatus
from tradewind.engine.run import RunState
from tradewind.engine.run_info import RunInfo
from tradewind.engine.scheduler import Scheduler, Start
from tradewind.engine.states import FINISHED_STATES, TaskState
from tradewind.engine.tries import TryEvent, TryReport

PodKey = tuple[str, str, int]
"""(run, task, try)"""

_ANSWERS = (TryEvent.POSTPONED, TryEvent.REFUSED)
"""What only the answer to a request to make a Pod says, and says once."""
_PROGRESS = [TaskState.NONE, TaskState.SCHEDULED, TaskState.QUEUED, TaskState.RUNNING, TaskState.UP_FOR_RETRY]


def require(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)


@dataclass
class Pod:
    """One try, as the cluster sees it."""

    case: Case
    number: int
    event: TryEvent = TryEvent.CREATED

    @property
    def over(self) -> bool:
        return self.event in (TryEvent.ENDED, TryEvent.LOST)

    def go_on(self) -> None:
        if self.event is TryEvent.CREATED:
            self.event = TryEvent.RUNNING
        else:
            self.event = TryEvent.LOST if self.case.outcome(self.number) == "lose" else TryEvent.ENDED

    def report(self) -> TryReport:
        name, number = self.case.name, self.number
        if self.event is TryEvent.LOST:
            return TryReport(name, number, TryEvent.LOST, reason="Evicted")
        if self.event is not TryEvent.ENDED:
            return TryReport(name, number, self.event)
        outcome = self.case.outcome(number)
        exit_code = {"fail": 1, "skip": 99}.get(outcome, 0)
        output = f'{{"try": {number}}}' if outcome == "output" else None
        return TryReport(name, number, TryEvent.ENDED, exit_code=exit_code, output=output)


@dataclass
class World:
    """The cluster, the controller, and the messages under way between them."""

    scenario: Scenario
    now: Any = START
    pods: dict[PodKey, Pod] = field(default_factory=dict)
    mail: list[tuple[str, TryReport]] = field(default_factory=list)
    postponed: dict[PodKey, int] = field(default_factory=dict)
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)
    """DagRun.status as last written."""
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dag = self.scenario.dag()
        self.cases = {case.name: case for case in self.scenario.cases}
        self.names = [f"run{index}" for index in range(self.scenario.runs)]
        self.stored = {name: {} for name in self.names}
        self.take_over()

    # The controller -----------------------------------------------------------------------------------------------

    def take_over(self) -> None:
        """A controller that knows nothing but the stored status and the Pods."""
        # What Pods say may still come, though the new controller has read it; answers go to who asked.
        self.mail = [(run, report) for run, report in self.mail if report.event not in _ANSWERS]
        self.scheduler = Scheduler(self.scenario.parallelism)
        self.scheduler.set_max_active_runs("ns", "d", self.scenario.max_active_runs)
        for pool, slots in self.scenario.pools.items():
            self.scheduler.set_pool("ns", pool, slots)
        self.seen: dict[tuple[str, str], tuple[int, TaskState]] = {}
        self.started: set[PodKey] = set()
        self.runs: dict[str, RunState] = {}
        for index, name in enumerate(self.names):
            date = logical_date(index)
            info = RunInfo("ns", name, name, "d", "Manual", date, date, date)
            run = RunState(info, self.dag, self.scheduler.slots, status=self.stored[name])
            self.runs[name] = run
            if run.finished:
                continue
            reports = [pod.report() for key, pod in self.pods.items() if key[0] == name]
            if reports and not run.started_at:
                run.begin(self.now)
            for report in reports:
                run.report(report, self.now)
            require(not run.missing(report.key for report in reports), "a Pod of ours is missing")
            run.advance(self.now)
            self.scheduler.add_run(run)
        self.plan()

    def plan(self) -> None:
        plan = self.scheduler.plan(self.now)
        for start in plan.starts:
            self.start(start)
        require(not plan.stops, f"nothing here takes too long, but {plan.stops} is to be stopped")
        self.wake_at = plan.wake_at
        self.check()

    def start(self, start: Start) -> None:
        key = (start.run.name, start.task.name, start.key.number)
        require(key not in self.started, f"{key} was started twice")
        self.started.add(key)
        for name in start.task.depends_on:
            require(self.runs[key[0]][name].state is TaskState.SUCCEEDED, f"{key} was started before {name} succeeded")
            require(self.truth(key[0], name) == "Succeeded", f"{key} was started, but {name} did not succeed")
        case, report = self.cases[start.task.name], None
        if key in self.pods:
            report = self.pods[key].report()
        elif self.postponed.get(key, 0) < case.postponed:
            self.postponed[key] = self.postponed.get(key, 0) + 1
            self.started.discard(key)
            report = TryReport(case.name, start.key.number, TryEvent.POSTPONED, reason="QuotaExceeded")
        elif case.outcome(start.key.number) == "refuse":
            report = TryReport(case.name, start.key.number, TryEvent.REFUSED, reason="InvalidPod", retry=False)
        else:
            self.pods[key] = Pod(case, start.key.number)
            report = self.pods[key].report()
        self.mail.append((key[0], report))

    def truth(self, run: str, name: str) -> str | None:
        """How a task ended, by its Pods alone."""
        case = self.cases[name]
        if case.noop:
            return "Succeeded"
        pods = [pod for key, pod in self.pods.items() if key[:2] == (run, name)]
        ended = pods and pods[-1].event is TryEvent.ENDED and case.outcome(pods[-1].number) in ("succeed", "output")
        return "Succeeded" if ended else None

    # What may happen ----------------------------------------------------------------------------------------------

    def happenings(self) -> Iterator[tuple[str, object]]:
        """Everything that could happen next."""
        for index in range(len(self.mail)):
            yield "deliver", index
        for key, pod in self.pods.items():
            if not pod.over:
                yield "go on", key
        if not self.mail and all(pod.over for pod in self.pods.values()) and self.wake_at is not None:
            yield "wait", None

    def happen(self, what: str, which: Any = None) -> None:
        self.log.append(f"{what} {which}" if which is not None else what)
        match what:
            case "deliver":
                run, report = self.mail.pop(which)
                self.tell(run, report)
            case "repeat":
                run, report = self.mail[which]
                if report.event not in _ANSWERS:
                    self.tell(run, report)
            case "go on":
                pod = self.pods[which]
                pod.go_on()
                self.mail.append((which[0], pod.report()))
            case "wait":
                self.now = max(self.wake_at or self.now, self.now) + timedelta(milliseconds=1)
                self.plan()
            case "write":
                self.write()
            case "write and die":
                self.write()
                self.take_over()
            case "die":
                self.take_over()

    def tell(self, run: str, report: TryReport) -> None:
        self.scheduler.report(run, report, self.now)
        self.plan()

    def write(self) -> None:
        for name, run in self.runs.items():
            before, after = self.stored[name], run.status()
            DagRunStatus.model_validate(after)
            require(done(before) <= done(after), f"{name}: done went from {before.get('done')} to {after['done']}")
            ended = {entry["name"]: entry["state"] for entry in after["tasks"]}
            for entry in before.get("tasks", ()):
                if entry["state"] in FINISHED_STATES:
                    require(ended[entry["name"]] == entry["state"], f"{entry['name']} had ended {entry['state']}")
            self.stored[name] = after

    # What must always hold ----------------------------------------------------------------------------------------

    def check(self) -> None:
        self._check_limits()
        for name, run in self.runs.items():
            for instance in run:
                self._check_transition(name, instance.task.name, instance.number, instance.state)

    def _check_limits(self) -> None:
        active = [key for key, pod in self.pods.items() if not pod.over]
        limit = self.scenario.parallelism
        require(not limit or len(active) <= limit, f"{len(active)} Pods, parallelism {limit}")
        for pool, slots in {"default": 128, **self.scenario.pools}.items():
            used = sum(self.cases[task].slots for _, task, _ in active if self.cases[task].pool == pool)
            require(slots < 0 or used <= slots, f"{used} of {slots} slots of pool {pool} are used")
        for name in self.names:
            mine = sum(key[0] == name for key in active)
            require(mine <= self.scenario.max_active_tasks, f"{mine} Pods of {name}")
        running = sum(run.phase.value == "Running" for run in self.runs.values())
        require(running <= self.scenario.max_active_runs, f"{running} runs are Running")

    def _check_transition(self, run: str, task: str, number: int, state: TaskState) -> None:
        before_number, before = self.seen.get((run, task), (0, TaskState.NONE))
        self.seen[run, task] = number, state
        change = f"{run}/{task}: from {before} (try {before_number}) to {state} (try {number})"
        if before in FINISHED_STATES:
            require((before_number, before) == (number, state), change)
        elif state not in FINISHED_STATES:
            later = (before_number, _PROGRESS.index(before)) <= (number, _PROGRESS.index(state))
            require(later, change)


def done(status: dict[str, Any]) -> int:
    return int(str(status.get("done", "0/0")).split("/")[0])
