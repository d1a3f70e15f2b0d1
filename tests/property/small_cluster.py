"""A cluster in memory that runs the engine's Pods, and a controller on it that may die at any moment.

The cluster has the truth: the controller learns of it late, twice and in any order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tests.property.reference import Reference
from tests.property.scenarios import NOT_YET, START, Case, Scenario, logical_date
from tradewind.api.dagrun import DagRunStatus
from tradewind.engine.rules.rendering import template_values
from tradewind.engine.run.index_set import IndexSet
from tradewind.engine.run.known_tries import is_unrecorded
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import FINISHED_STATES, TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.tries import TryEvent, TryKey, TryReport
from tradewind.engine.scheduler import Plan, Scheduler, Start
from tradewind.engine.status.restore import load
from tradewind.engine.status.run_status import run_status
from tradewind.engine.transitions import run_lifecycle, try_lifecycle
from tradewind.engine.trigger_rules import Run

PodKey = tuple[str, TryKey]
"""(run, try)"""

_ANSWERS = (TryEvent.POSTPONED, TryEvent.REFUSED)
"""Events that only the answer to the creation of a Pod has, once."""
_PROGRESS = [
    TaskState.NONE,
    TaskState.SCHEDULED,
    TaskState.QUEUED,
    TaskState.RUNNING,
    TaskState.UP_FOR_RETRY,
    TaskState.UP_FOR_RESCHEDULE,
]


def require(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def report(key: TryKey, event: TryEvent, **facts: Any) -> TryReport:
    return TryReport(key.task, key.number, event, index=key.index, poke=key.poke, **facts)


@dataclass
class Pod:
    """One try, or one look of a sensor, as the cluster sees it."""

    case: Case
    key: TryKey
    event: TryEvent = TryEvent.CREATED

    @property
    def over(self) -> bool:
        return self.event in (TryEvent.ENDED, TryEvent.LOST)

    @property
    def result(self) -> tuple[str, Any]:
        return self.case.result(self.key.index, self.key.number, self.key.poke)

    def advance(self) -> None:
        if self.event is TryEvent.CREATED:
            self.event = TryEvent.RUNNING
        else:
            self.event = TryEvent.LOST if self.result[0] == "lose" else TryEvent.ENDED

    def report(self) -> TryReport:
        if self.event is TryEvent.LOST:
            return report(self.key, TryEvent.LOST, reason="Evicted")
        if self.event is not TryEvent.ENDED:
            return report(self.key, self.event)
        outcome, output = self.result
        exit_code = {"fail": 1, "skip": 99, "not yet": NOT_YET}.get(outcome, 0)
        text = json.dumps(output) if output is not None else None
        return report(self.key, TryEvent.ENDED, exit_code=exit_code, output=text)


class Controller:
    """The scheduler with all runs, from what is stored and what the Pods say."""

    def __init__(self, world: World) -> None:
        scenario = world.scenario
        self.scheduler = Scheduler(scenario.parallelism)
        self.scheduler.set_max_active_runs("ns", "d", scenario.max_active_runs)
        for pool, slots in scenario.pools.items():
            self.scheduler.set_pool("ns", pool, slots)
        self.runs: dict[str, RunState] = {}
        for index, name in enumerate(world.names):
            date = logical_date(index)
            info = RunInfo("ns", name, name, "d", "Manual", date, date, date)
            run = load(info, world.dag, self.scheduler.slots, status=world.stored[name])
            self.runs[name] = run
            if run.finished:
                continue
            reports = [pod.report() for key, pod in world.pods.items() if key[0] == name]
            if not run.started_at and any(is_unrecorded(run, each.key) for each in reports):
                run_lifecycle.begin(run, world.now)
            for each in reports:
                try_lifecycle.apply_report(run, each, world.now)
            require(not run.missing(each.key for each in reports), "a Pod of ours is missing")
            run_lifecycle.advance(run, world.now)
            self.scheduler.add_run(run)

    def snapshot(self) -> dict[str, Any]:
        """All that must not depend on whether there was a restart."""
        return {
            name: [
                (run.phase, run.total, run.unfinished, run.active, run.output_bytes, run.outputs),
                *(
                    (each.name, each.state, each.attempt, each.lost, each.has_output, each.output, each.holds_slots)
                    for each in run
                ),
            ]
            for name, run in self.runs.items()
        }


@dataclass
class World:
    """The cluster, the controller, and the messages in flight between them."""

    scenario: Scenario
    now: Any = START
    pods: dict[PodKey, Pod] = field(default_factory=dict)
    mail: list[tuple[str, TryReport]] = field(default_factory=list)
    postponed: dict[PodKey, int] = field(default_factory=dict)
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)
    """DagRun.status as last written."""
    log: list[str] = field(default_factory=list)
    twin: Controller | None = None
    """A controller that starts later and receives the same messages: it must do the same."""

    def __post_init__(self) -> None:
        self.reference = Reference(self.scenario)
        self.dag, self.cases = self.reference.dag, self.reference.cases
        self.names = [f"run{index}" for index in range(self.scenario.runs)]
        self.stored = {name: {} for name in self.names}
        self.take_over()

    # The controller -----------------------------------------------------------------------------------------------

    @property
    def runs(self) -> dict[str, RunState]:
        return self.controller.runs

    @property
    def scheduler(self) -> Scheduler:
        return self.controller.scheduler

    def take_over(self) -> None:
        """A controller that knows nothing but the stored status and the Pods."""
        # What Pods say may still come, though the new controller has read it; answers go to who asked.
        self.mail = [(run, sent) for run, sent in self.mail if sent.event not in _ANSWERS]
        self.seen: dict[tuple[str, str], tuple[tuple[int, int], TaskState]] = {}
        self.started: set[PodKey] = set()
        self.controller = Controller(self)
        self.plan()

    def plan(self) -> None:
        plan = self.scheduler.plan(self.now)
        require(not plan.faults, f"{plan.faults}")
        if self.twin is not None:
            self._compare(plan)
        for start in plan.starts:
            self.start(start)
        require(not plan.stops, f"nothing here takes too long, but {plan.stops} is to be stopped")
        self.wake_at = plan.wake_at
        self.check()

    def fork(self) -> None:
        """A second controller comes, when the first has heard and done all that there is."""
        while self.mail:
            self.happen("deliver", 0)
        self.write()
        self.twin = Controller(self)
        plan = self.twin.scheduler.plan(self.now)
        starts = [start.key for start in plan.starts]
        require(not starts, f"after a restart {starts} would start, which had no slots before")
        self._same_state()

    def _compare(self, plan: Plan) -> None:
        if self.twin is None:
            return
        other = self.twin.scheduler.plan(self.now)
        mine, theirs = ([(start.run.name, start.key) for start in each.starts] for each in (plan, other))
        require(mine == theirs, f"starts {mine}, after a restart {theirs}")
        self._same_state()

    def _same_state(self) -> None:
        if self.twin is not None:
            mine, theirs = self.controller.snapshot(), self.twin.snapshot()
            require(mine == theirs, f"state is {mine}, after a restart {theirs}")

    def start(self, start: Start) -> None:
        name, key, run = start.run.name, start.key, self.runs[start.run.name]
        require((name, key) not in self.started, f"{key} was started twice")
        self.started.add((name, key))
        self._check_may_start(run, key)
        case = self.cases[key.task]
        if (name, key) in self.pods:
            sent = self.pods[name, key].report()
        elif self.postponed.get((name, key), 0) < case.postponed:
            self.postponed[name, key] = self.postponed.get((name, key), 0) + 1
            self.started.discard((name, key))
            sent = report(key, TryEvent.POSTPONED, reason="QuotaExceeded")
        elif case.result(key.index, key.number, key.poke)[0] == "refuse":
            sent = report(key, TryEvent.REFUSED, reason="InvalidPod", retry=False)
        else:
            self.pods[name, key] = Pod(case, key)
            sent = self.pods[name, key].report()
        self.mail.append((name, sent))

    def _check_may_start(self, run: RunState, key: TryKey) -> None:
        """By its rule, by every single instance before it, and by their Pods."""
        first = key.number == 1 and key.poke <= 1
        if first:
            verdict = self.reference.verdict(run, key.task, key.index)
            # Tasks that finished after it was ready do not matter any more: it may only have waited for slots.
            waits = self.reference.tasks[key.task].trigger_rule in ("AllSuccess", "AllDone", "NoneFailed")
            require(not waits or isinstance(verdict, Run), f"{key} was started, but its rule says {verdict}")
        for name, index in self.reference.upstream(run, key.task, key.index):
            said = run.node(name).state_of(index)
            require(said is not TaskState.SUCCEEDED or self.truth(run.info.name, name, index), f"{name}[{index}]")
        if key.index is not None:
            items = self.reference.items(run, self.cases[key.task])
            require(items is not None and run.node(key.task).count == len(items), f"{key}: there are {items}")
            values = template_values(run, run.node(key.task).task, key.number, key.index)
            require(items is not None and values["item"] == items[key.index], f"{key}: {values['item']} of {items}")

    def truth(self, run: str, name: str, index: int | None) -> bool:
        """Whether an instance succeeded, by its Pods alone."""
        if self.cases[name].noop:
            return True
        pods = [pod for (of, key), pod in self.pods.items() if (of, key.task, key.index) == (run, name, index)]
        last = max(pods, key=lambda pod: (pod.key.number, pod.key.poke), default=None)
        return last is not None and last.event is TryEvent.ENDED and last.result[0] == "succeed"

    # What may happen ----------------------------------------------------------------------------------------------

    def happenings(self) -> Iterator[tuple[str, object]]:
        """Everything that could happen next."""
        for index in range(len(self.mail)):
            yield "deliver", index
        for key, pod in self.pods.items():
            if not pod.over:
                yield "advance", key
        if not self.mail and all(pod.over for pod in self.pods.values()) and self.wake_at is not None:
            yield "wait", None

    def happen(self, what: str, which: Any = None) -> None:
        self.log.append(f"{what} {which}" if which is not None else what)
        match what:
            case "deliver":
                run, sent = self.mail.pop(which)
                self.tell(run, sent)
            case "repeat":
                run, sent = self.mail[which]
                if sent.event not in _ANSWERS:
                    self.tell(run, sent)
            case "advance":
                pod = self.pods[which]
                pod.advance()
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

    def tell(self, run: str, sent: TryReport) -> None:
        self.scheduler.report(run, sent, self.now)
        if self.twin is not None:
            self.twin.scheduler.report(run, sent, self.now)
        self.plan()

    def write(self) -> None:
        """Store the status of every run; what was stored is never taken back."""
        for name, run in self.runs.items():
            before, after = self.stored[name], run_status(run)
            DagRunStatus.model_validate(after)
            require(done(before) <= done(after), f"{name}: done went from {before.get('done')} to {after['done']}")
            ended = {entry["name"]: ends(entry) for entry in after["tasks"]}
            for entry in before.get("tasks", ()):
                for state, indexes in ends(entry).items():
                    require(indexes <= ended[entry["name"]].get(state, set()), f"{entry['name']} was {state}")
            self.stored[name] = json.loads(json.dumps(after))

    # What must always hold ----------------------------------------------------------------------------------------

    def check(self) -> None:
        self._check_limits()
        for name, run in self.runs.items():
            for instance in run:
                self._check_transition(name, instance)

    def _check_limits(self) -> None:
        active = [key for key, pod in self.pods.items() if not pod.over]
        limit = self.scenario.parallelism
        require(not limit or len(active) <= limit, f"{len(active)} Pods, parallelism {limit}")
        for pool, slots in {"default": 128, **self.scenario.pools}.items():
            used = sum(self.cases[key.task].slots for _, key in active if self.cases[key.task].pool == pool)
            require(slots < 0 or used <= slots, f"{used} of {slots} slots of pool {pool} are used")
        for name in self.names:
            mine = [key.task for run, key in active if run == name]
            require(len(mine) <= self.scenario.max_active_tasks, f"{len(mine)} Pods of {name}")
            for task in set(mine):
                limit = self.cases[task].per_run
                require(not limit or mine.count(task) <= limit, f"{mine.count(task)} Pods of {name}/{task}")
        running = sum(run.phase.value == "Running" for run in self.runs.values())
        require(running <= self.scenario.max_active_runs, f"{running} runs are Running")

    def _check_transition(self, run: str, instance: TaskInstance) -> None:
        now = instance.attempt, instance.state
        before = self.seen.get((run, instance.name), ((0, 0), TaskState.NONE))
        self.seen[run, instance.name] = now
        change = f"{run}/{instance.name}: from {before[1]} (try {before[0]}) to {now[1]} (try {now[0]})"
        if before[1] in FINISHED_STATES:
            # For a finished instance the number of pokes is no longer known.
            require((before[0][0], before[1]) == (now[0][0], now[1]), change)
        elif now[1] not in FINISHED_STATES:
            later = (before[0], _PROGRESS.index(before[1])) <= (now[0], _PROGRESS.index(now[1]))
            require(later, change)


def done(status: dict[str, Any]) -> int:
    return int(str(status.get("done", "0/0")).split("/")[0])


def ends(entry: dict[str, Any]) -> dict[str, set[int]]:
    """Return the finished instances in an entry of status, by state; 0 stands for a task without any."""
    if "indexes" not in entry:
        return {entry["state"]: {0}} if entry["state"] in FINISHED_STATES else {}
    # Of a mapped task that is to run again, the instances are away until the list they are made of is known.
    final = FINISHED_STATES if entry["state"] in FINISHED_STATES or "count" in entry else FINISHED_STATES - {"Removed"}
    return {state: set(IndexSet.parse(text)) for state, text in entry["indexes"].items() if state in final}
