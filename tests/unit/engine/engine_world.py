"""One scheduler in virtual time, driven by hand: what happens to tries is said in one line each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tradewind.api.dag import DagSpec
from tradewind.api.resolve import ResolvedDag, resolve
from tradewind.api.validation import validate_dag_spec
from tradewind.engine.past_index import PastIndex
from tradewind.engine.rules.rendering import template_values
from tradewind.engine.run.run_info import Note, RunInfo
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import TryEvent, TryReport
from tradewind.engine.scheduler import Plan, Scheduler, Start
from tradewind.engine.status.restore import load
from tradewind.engine.status.run_status import run_status
from tradewind.engine.transitions import try_lifecycle

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def task(name: str, *after: str, **fields: Any) -> dict[str, Any]:
    """A task of a Dag; `after` is what it depends on."""
    runs = {} if fields.get("noop") or "script" in fields else {"image": "busybox", "command": ["true"]}
    return {"name": name, **runs, **({"dependsOn": list(after)} if after else {}), **fields}


def group(name: str, *after: str, **fields: Any) -> dict[str, Any]:
    """A group of a Dag; `after` is what it depends on."""
    return {"name": name, **({"dependsOn": list(after)} if after else {}), **fields}


def moment(text: str) -> datetime:
    """A time in ISO form, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def dag(*tasks: Mapping[str, Any], **spec: Any) -> ResolvedDag:
    """A Dag that validation accepts."""
    parsed = DagSpec.model_validate({"tasks": list(tasks), **spec})
    problems = validate_dag_spec(parsed)
    assert not problems, problems
    return resolve(parsed)


def run_info(name: str = "r1", *, logical_date: datetime = START, dag_name: str = "d", **facts: Any) -> RunInfo:
    """The facts of a run; its UID is its name."""
    facts = {"namespace": "ns", "type": "Manual", **facts}
    return RunInfo(
        name=name,
        uid=name,
        dag=dag_name,
        logical_date=logical_date,
        interval_start=logical_date,
        interval_end=logical_date,
        **facts,
    )


class World:
    """A scheduler with one run (more can be added), its clock, and all that it asked for."""

    def __init__(
        self, *tasks: Mapping[str, Any], parallelism: int = 0, past: PastIndex | None = None, **spec: Any
    ) -> None:
        self.now = START
        self.dag = dag(*tasks, **spec)
        self.scheduler = Scheduler(parallelism, past=past)
        self.scheduler.set_max_active_runs("ns", "d", self.dag.max_active_runs)
        self.starts: list[Start] = []
        self.stops: list[tuple[str, int, str]] = []
        self.notes: list[Note] = []
        self.last = Plan()
        self.run = self.add(run_info())

    def add(self, info: RunInfo, dag: ResolvedDag | None = None, status: Mapping[str, Any] | None = None) -> RunState:
        """One more run, planned at once."""
        run = load(info, dag or self.dag, self.scheduler.slots, status=status)
        self.scheduler.add_run(run)
        self.plan()
        return run

    def plan(self) -> Plan:
        """Ask the scheduler, and keep what it answers."""
        self.last = self.scheduler.plan(self.now)
        assert not self.last.faults
        self.starts += self.last.starts
        self.stops += [(stop.key.instance, stop.key.number, stop.why.reason) for stop in self.last.stops]
        self.notes += self.last.notes
        return self.last

    def wait(self, **time: float) -> Plan:
        """Let time pass, in one step."""
        self.now += timedelta(**time)
        return self.plan()

    def tell(self, name: str, event: TryEvent, number: int | None = None, **facts: Any) -> Plan:
        """Report on the current try of a task or an instance (`load[3]`), or on try `number`."""
        task, _, index = name.rstrip("]").partition("[")
        instance = self.run.instance(task, int(index) if index else None)
        assert instance is not None, f"there is no {name}"
        facts = {"poke": instance.pokes, **facts}
        report = TryReport(task, instance.number if number is None else number, event, index=instance.index, **facts)
        self.scheduler.report(self.run.info.uid, report, self.now)
        return self.plan()

    def created(self, name: str, **facts: Any) -> Plan:
        return self.tell(name, TryEvent.CREATED, **facts)

    def running(self, name: str, **facts: Any) -> Plan:
        return self.tell(name, TryEvent.RUNNING, **facts)

    def succeed(self, name: str, output: str | None = None, **facts: Any) -> Plan:
        return self.tell(name, TryEvent.ENDED, exit_code=0, output=output, **facts)

    def succeed_instances(self, name: str, outputs: Mapping[int, str] | None = None) -> None:
        """Each instance of a mapped task succeeds; `outputs` by index."""
        for index in range(self.run.node(name).count or 0):
            self.succeed(f"{name}[{index}]", (outputs or {}).get(index))

    def succeed_started(self) -> None:
        """Let all running tries succeed, and those that they start."""
        for start in self.starts:  # which grows
            if self.state(start.key.instance) is TaskState.SCHEDULED:
                self.succeed(start.key.instance)

    def fail(self, name: str, exit_code: int = 1, **facts: Any) -> Plan:
        return self.tell(name, TryEvent.ENDED, exit_code=exit_code, **facts)

    def skip(self, name: str) -> Plan:
        return self.tell(name, TryEvent.ENDED, exit_code=99)

    def lose(self, name: str, reason: str = "Evicted", **facts: Any) -> Plan:
        return self.tell(name, TryEvent.LOST, reason=reason, **facts)

    def postpone(self, name: str, **facts: Any) -> Plan:
        facts = {"reason": "QuotaExceeded", "message": "exceeded quota", **facts}
        return self.tell(name, TryEvent.POSTPONED, **facts)

    def refuse(self, name: str, reason: str = "InvalidPod", **facts: Any) -> Plan:
        return self.tell(name, TryEvent.REFUSED, reason=reason, **{"retry": False, **facts})

    def restart(self, reports: Iterable[TryReport] = (), status: Mapping[str, Any] | None = None) -> None:
        """A new controller: nothing is left but status and what the Pods say."""
        status = run_status(self.run) if status is None else status
        before, self.scheduler = self.scheduler, Scheduler(self.scheduler.slots.parallelism)
        self.scheduler.slots.limits = dict(before.slots.limits)
        self.run = load(replace(self.run.info), self.dag, self.scheduler.slots, status=status)
        for report in reports:
            try_lifecycle.apply_report(self.run, report, self.now)
        self.scheduler.add_run(self.run)
        self.plan()

    # What is the case ---------------------------------------------------------------------------------------------

    def state(self, name: str) -> TaskState:
        """State of a task, or of one instance of a mapped one (`load[3]`)."""
        task, _, index = name.rstrip("]").partition("[")
        return self.run.node(task).state_of(int(index)) or TaskState.NONE if index else self.run.node(task).state

    def phase(self) -> str:
        return self.run.phase.value

    def states(self) -> dict[str, str]:
        """The state of every task, by name."""
        return {instance.name: instance.state.value for instance in self.run}

    def counted(self, name: str) -> dict[str, int]:
        """Return the number of instances of a mapped task in each state."""
        return {state.value: count for state, count in self.run.node(name).tally().items()}

    def items(self, name: str = "each") -> list[Any]:
        """`item` of each instance of a mapped task, as templates see it."""
        node = self.run.node(name)
        return [template_values(self.run, node.task, 1, index)["item"] for index in range(node.count or 0)]

    def status(self) -> dict[str, Any]:
        """DagRun.status of the run."""
        return run_status(self.run)

    def entry(self, name: str) -> dict[str, Any]:
        """The task's entry in status."""
        return next(entry for entry in self.status()["tasks"] if entry["name"] == name)

    def started(self) -> list[str]:
        """Return the started tries in order: a first try as the name of its instance, later ones as `name#2`."""
        keys = [start.key for start in self.starts]
        return [key.instance if key.number == 1 else f"{key.instance}#{key.number}" for key in keys]

    def said(self, reason: str) -> list[str]:
        """Messages of the notes with this reason."""
        return [note.message for note in self.notes if note.reason == reason]
