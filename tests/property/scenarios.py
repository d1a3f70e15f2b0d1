"""Random Dags and what will happen to their tries."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from tradewind.api.dag import DagSpec
from tradewind.api.resolve import ResolvedDag, resolve
from tradewind.api.validation import validate_dag_spec

START = datetime(2026, 3, 1, tzinfo=UTC)
POOLS = ("default", "p", "q")
OUTCOMES = ("succeed", "output", "fail", "skip", "lose", "refuse")
RULES = (
    *("AllFailed", "AllDone", "AllDoneMinOneSuccess", "OneSuccess", "OneFailed", "OneDone"),
    *("NoneFailed", "NoneFailedMinOneSuccess", "NoneSkipped", "AllSkipped", "Always"),
)
NOT_YET = 7
"""Exit code with which a sensor says so."""


class _Described:
    """Shows only what is not as usual."""

    def __repr__(self) -> str:
        default = type(self)(self.name)  # type: ignore[attr-defined,call-arg]
        shown = [
            f"{f.name}={getattr(self, f.name)!r}"
            for f in fields(self)  # type: ignore[arg-type]
            if getattr(self, f.name) != getattr(default, f.name)
        ]
        return f"{type(self).__name__}({', '.join([repr(self.name), *shown])})"  # type: ignore[attr-defined]


@dataclass(frozen=True, repr=False)
class Case(_Described):
    """One task. `outcomes` are those of the tries of its instances, by index (again from the first where there are
    more instances); tries beyond them succeed. It is mapped over `items` numbers, or `over` an output."""

    name: str
    after: tuple[str, ...] = ()
    rule: str = "AllSuccess"
    noop: bool = False
    outcomes: tuple[tuple[str, ...], ...] = ((),)
    limit: int = 0
    on_lost: int = 0
    pool: str = "default"
    slots: int = 1
    per_run: int = 0
    postponed: int = 0
    group: str = ""
    items: int | None = None
    over: str = ""
    gives: int = 0
    """Length of the list in its output."""
    sensor: str = ""
    looks: int = 0
    """Number of pokes that find nothing."""
    stops: bool = False
    """Whether it is a short circuit: `output` says stop."""

    def outcome(self, index: int | None, number: int) -> str:
        outcomes = self.outcomes[(index or 0) % len(self.outcomes)]
        return outcomes[number - 1] if number <= len(outcomes) else "succeed"

    def result(self, index: int | None, number: int, poke: int) -> tuple[str, Any]:
        """The result of a Pod, and its output."""
        outcome = self.outcome(index, number)
        if self.sensor and poke <= self.looks:
            return "not yet", None
        if self.sensor and outcome == "lose" and poke > self.looks + 1:
            outcome = "succeed"
        if self.stops:
            return ("succeed", outcome != "output") if outcome in ("succeed", "output") else (outcome, None)
        if outcome == "output":
            return "succeed", {"try": number, "list": list(range(self.gives))}
        return outcome, None

    def to_task(self) -> dict[str, Any]:
        task: dict[str, Any] = {"name": self.name, "dependsOn": list(self.after), "triggerRule": self.rule}
        task |= {"noop": True} if self.noop else {"image": "busybox", "command": ["true"]}
        if not self.noop:
            task |= {"pool": self.pool, "poolSlots": self.slots, "queuedTimeout": "30d"}
            task["retries"] = {"limit": self.limit, "delay": "5s", "onLost": self.on_lost}
        if self.per_run:
            task["maxActivePerRun"] = self.per_run
        if self.group:
            task["group"] = self.group
        if self.sensor:
            task["sensor"] = {"mode": self.sensor, "interval": "10s", "retryExitCode": NOT_YET}
        if self.stops:
            task["shortCircuit"] = True
        return task | for_each(self.items, self.over)

    def end(self, index: int | None) -> tuple[str, int, Any]:
        """Return how an instance finishes once it may start: (state, tries, output)."""
        if self.noop:
            return "Succeeded", 0, None
        failures = lost = number = 0
        while True:
            number += 1
            result, output = self.result(index, number, self.looks + 1)
            if result == "lose" and self.sensor:
                result, output = self.result(index, number, self.looks + 2)
            match result:
                case "succeed":
                    return "Succeeded", number, output
                case "skip":
                    return "Skipped", number, None
                case "refuse":
                    return "Failed", number, None
                case "lose" if lost < self.on_lost:
                    lost += 1
                    continue
            failures += 1
            if failures > self.limit:
                return "Failed", number, None


@dataclass(frozen=True, repr=False)
class Group(_Described):
    """A group of tasks, mapped or not."""

    name: str
    after: tuple[str, ...] = ()
    inside: str = ""
    items: int | None = None
    over: str = ""

    @property
    def mapped(self) -> bool:
        return self.items is not None or bool(self.over)

    def to_group(self) -> dict[str, Any]:
        inside = {"group": self.inside} if self.inside else {}
        return {"name": self.name, "dependsOn": list(self.after)} | inside | for_each(self.items, self.over)


def for_each(items: int | None, over: str) -> dict[str, Any]:
    if items is not None:
        return {"forEach": {"items": list(range(items))}}
    return {"forEach": {"output": over}} if over else {}


@dataclass(frozen=True)
class Scenario:
    """Runs of one Dag, and the limits they share."""

    cases: tuple[Case, ...]
    groups: tuple[Group, ...]
    runs: int
    max_active_tasks: int
    max_active_runs: int
    parallelism: int
    pools: dict[str, int]

    def __repr__(self) -> str:
        lines = [f"    {case!r}," for case in self.cases]
        groups = [f"    {group!r}," for group in self.groups]
        limits = f"runs={self.runs}, max_active_tasks={self.max_active_tasks}, max_active_runs={self.max_active_runs}"
        shared = f"parallelism={self.parallelism}, pools={self.pools}"
        return "\n".join(["Scenario((", *lines, "), (", *groups, f"), {limits}, {shared})"])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def dag(self) -> ResolvedDag:
        spec = {
            "maxActiveTasks": self.max_active_tasks,
            "maxActiveRuns": self.max_active_runs,
            "tasks": [case.to_task() for case in self.cases],
            **({"groups": [group.to_group() for group in self.groups]} if self.groups else {}),
        }
        parsed = DagSpec.model_validate(spec)
        problems = validate_dag_spec(parsed)
        assert not problems, problems
        return resolve(parsed)


def logical_date(index: int) -> datetime:
    return START + timedelta(days=index)


@st.composite
def scenarios(draw: st.DrawFn, *, most_tasks: int = 30, plain: bool = False, postponed: bool = True) -> Scenario:
    """Dags of up to `most_tasks` tasks with limits under which everything can run in the end. `plain`: none is mapped,
    grouped or a sensor, and all have the default rule."""
    count = draw(st.integers(1, most_tasks))
    groups = [] if plain else _groups(draw, count)
    cases: list[Case] = []
    spans = {group.name: span for group, span in groups}
    named = {group.name: group for group, _ in groups}
    done: list[Group] = []
    for index in range(count):
        name = f"t{index}"
        for group, span in list(groups):
            if span.start == index:
                before = [
                    *(case.name for case in cases),
                    *(g.name for g in named.values() if spans[g.name].stop <= index),
                ]
                done.append(_opened(draw, group, before, cases, named))
                named[group.name] = done[-1]
        around = [group.name for group, span in groups if index in span]
        closed = [group for group in named if spans[group].stop <= index]
        after = (
            draw(st.lists(st.sampled_from([*(case.name for case in cases), *closed]), max_size=3, unique=True))
            if cases
            else []
        )
        inside_mapped = any(named[group].mapped for group in around)
        cases.append(
            _case(
                draw,
                name,
                tuple(after),
                around[-1] if around else "",
                cases,
                named,
                plain=plain,
                mappable=not inside_mapped,
                postponed=postponed,
            )
        )
    order = draw(st.permutations(cases)) if draw(st.booleans()) else cases
    return Scenario(
        tuple(order),
        tuple(done),
        runs=draw(st.integers(1, 3)),
        max_active_tasks=draw(st.sampled_from([1, 2, 5, 100])),
        max_active_runs=draw(st.integers(1, 3)),
        parallelism=draw(st.sampled_from([0, 1, 3])),
        pools={"p": draw(st.sampled_from([2, 3, -1])), "q": draw(st.sampled_from([2, 5]))},
    )


def _groups(draw: st.DrawFn, count: int) -> list[tuple[Group, range]]:
    """Groups of tasks that follow each other, one perhaps inside another."""
    found: list[tuple[Group, range]] = []
    start = 0
    for number in range(draw(st.integers(0, 2))):
        if count - start < 1:
            break
        first = draw(st.integers(start, count - 1))
        last = draw(st.integers(first, min(count - 1, first + 5)))
        found.append((Group(f"g{number}"), range(first, last + 1)))
        if last > first and draw(st.booleans()):
            found.append((Group(f"g{number}-in", inside=f"g{number}"), range(draw(st.integers(first, last)), last + 1)))
        start = last + 1
    return found


def _opened(draw: st.DrawFn, group: Group, before: list[str], cases: list[Case], named: dict[str, Group]) -> Group:
    """The group with what it depends on and is mapped over."""
    after = draw(st.lists(st.sampled_from(before), max_size=2, unique=True)) if before and not group.inside else []
    outer = named.get(group.inside)
    items, over = (None, "") if outer is not None and outer.mapped else _mapping(draw, cases, named)
    return Group(group.name, tuple(after), group.inside, items, over)


def _mapping(draw: st.DrawFn, cases: list[Case], named: dict[str, Group]) -> tuple[int | None, str]:
    """Over how many items, or over which output; neither where it is not mapped."""
    kind = draw(st.sampled_from(["no", "no", "items", "over"]))
    sources = [case for case in cases if not (case.noop or case.stops)]
    if kind == "over" and sources:
        source = draw(st.sampled_from(sources))
        mapped = source.items is not None or source.over or in_mapped(source.group, named)
        return None, source.name if mapped else f"{source.name}.list"
    return (draw(st.sampled_from([0, 1, 2, 3, 4])), "") if kind != "no" else (None, "")


def in_mapped(group: str, named: dict[str, Group]) -> bool:
    while group:
        if named[group].mapped:
            return True
        group = named[group].inside
    return False


def _case(
    draw: st.DrawFn,
    name: str,
    after: tuple[str, ...],
    group: str,
    cases: list[Case],
    named: dict[str, Group],
    *,
    plain: bool,
    mappable: bool,
    postponed: bool,
) -> Case:
    items, over = _mapping(draw, cases, named) if mappable and not plain else (None, "")
    several = draw(st.lists(st.lists(st.sampled_from(OUTCOMES), max_size=3), min_size=1, max_size=1 if plain else 3))
    # Most Dags end well: a failure or a skip near the roots would hide everything below.
    if not draw(st.integers(0, 2)):
        several = [[outcome for outcome in outcomes if outcome not in ("skip", "refuse")] for outcomes in several]
    noop = draw(st.integers(0, 5)) == 5
    kind = "" if plain or noop else draw(st.sampled_from(["", "", "", "Poke", "Reschedule", "stops"]))
    mapped = items is not None or bool(over)
    return Case(
        name,
        after,
        rule="AllSuccess" if plain or draw(st.integers(0, 2)) else draw(st.sampled_from(RULES)),
        noop=noop,
        outcomes=tuple(map(tuple, several)),
        limit=draw(st.integers(0, 2)),
        on_lost=draw(st.integers(0, 2)),
        pool=draw(st.sampled_from(POOLS)),
        slots=draw(st.integers(1, 2)),
        per_run=0 if plain else draw(st.sampled_from([0, 0, 1, 2])),
        postponed=draw(st.sampled_from([0, 0, 0, 1, 3])) if postponed else 0,
        group=group,
        items=items,
        over=over,
        gives=draw(st.integers(0, 3)),
        sensor=kind if kind in ("Poke", "Reschedule") else "",
        looks=draw(st.integers(0, 2)) if kind in ("Poke", "Reschedule") else 0,
        stops=kind == "stops" and not mapped,
    )
