"""Random Dags and what will happen to their tries, with a reference evaluation of how each task must end."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from tradewind.api.dag import DagSpec
from tradewind.api.resolve import ResolvedDag, resolve

START = datetime(2026, 3, 1, tzinfo=UTC)
POOLS = ("default", "p", "q")
OUTCOMES = ("succeed", "output", "fail", "skip", "lose", "refuse")


@dataclass(frozen=True)
class Case:
    """One task. `outcomes` are those of its tries in order; tries beyond them succeed."""

    name: str
    after: tuple[str, ...] = ()
    noop: bool = False
    outcomes: tuple[str, ...] = ()
    limit: int = 0
    on_lost: int = 0
    pool: str = "default"
    slots: int = 1
    postponed: int = 0

    def __repr__(self) -> str:
        default = Case(self.name)
        told = [
            f"{f.name}={getattr(self, f.name)!r}"
            for f in fields(self)
            if getattr(self, f.name) != getattr(default, f.name)
        ]
        return f"Case({', '.join([repr(self.name), *told])})"

    def outcome(self, number: int) -> str:
        return self.outcomes[number - 1] if number <= len(self.outcomes) else "succeed"

    def to_task(self) -> dict[str, Any]:
        runs = {"noop": True} if self.noop else {"image": "busybox"}
        retries = {"limit": self.limit, "delay": "5s", "onLost": self.on_lost}
        own = {"retries": retries, "pool": self.pool, "poolSlots": self.slots, "queuedTimeout": "30d"}
        return {"name": self.name, **runs, "dependsOn": list(self.after), **own}

    def end(self) -> str:
        """How it ends once it may start: its tries, one after the other."""
        if self.noop:
            return "Succeeded"
        failures = lost = number = 0
        while True:
            number += 1
            match self.outcome(number):
                case "succeed" | "output":
                    return "Succeeded"
                case "skip":
                    return "Skipped"
                case "refuse":
                    return "Failed"
                case "lose" if lost < self.on_lost:
                    lost += 1
                    continue
            failures += 1
            if failures > self.limit:
                return "Failed"


@dataclass(frozen=True)
class Scenario:
    """Runs of one Dag, and the limits they share."""

    cases: tuple[Case, ...]
    runs: int
    max_active_tasks: int
    max_active_runs: int
    parallelism: int
    pools: dict[str, int]

    def __repr__(self) -> str:
        lines = [f"    {case!r}," for case in self.cases]
        limits = f"runs={self.runs}, max_active_tasks={self.max_active_tasks}, max_active_runs={self.max_active_runs}"
        shared = f"parallelism={self.parallelism}, pools={self.pools}"
        return "\n".join(["Scenario((", *lines, f"), {limits}, {shared})"])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def dag(self) -> ResolvedDag:
        spec = {
            "maxActiveTasks": self.max_active_tasks,
            "maxActiveRuns": self.max_active_runs,
            "tasks": [case.to_task() for case in self.cases],
        }
        return resolve(DagSpec.model_validate(spec))

    def possible_ends(self) -> dict[str, set[str]]:
        """How each task may end. More than one way only where a failure and a skip race upstream: the first one counts.

        Upstream comes before downstream in `upstream_first`, so a single pass will do.
        """
        ends: dict[str, set[str]] = {}
        for case in self.upstream_first():
            upstream = [ends[name] for name in case.after]
            some = set().union(*upstream) if upstream else set()
            own = set()
            if all("Succeeded" in states for states in upstream):
                own.add(case.end())
            if some & {"Failed", "UpstreamFailed"}:
                own.add("UpstreamFailed")
            if "Skipped" in some:
                own.add("Skipped")
            certain_end = any("Succeeded" not in states for states in upstream)
            ends[case.name] = own - {case.end()} | (own & {"UpstreamFailed", "Skipped"}) if certain_end else own
        return ends

    def upstream_first(self) -> list[Case]:
        by_name = {case.name: case for case in self.cases}
        order: dict[str, Case] = {}

        def visit(case: Case) -> None:
            for name in case.after:
                visit(by_name[name])
            order[case.name] = case

        for case in self.cases:
            visit(case)
        return list(order.values())


def logical_date(index: int) -> datetime:
    return START + timedelta(days=index)


@st.composite
def scenarios(draw: st.DrawFn, *, most_tasks: int = 30) -> Scenario:
    """Dags of up to `most_tasks` tasks with limits under which everything can run in the end."""
    count = draw(st.integers(1, most_tasks))
    cases: list[Case] = []
    for index in range(count):
        earlier = [case.name for case in cases]
        after = draw(st.lists(st.sampled_from(earlier), max_size=3, unique=True)) if earlier else []
        outcomes = draw(st.lists(st.sampled_from(OUTCOMES), max_size=3))
        # Most Dags end well: a failure or a skip near the roots would hide everything below.
        if not draw(st.integers(0, 2)):
            outcomes = [outcome for outcome in outcomes if outcome not in ("skip", "refuse")]
        cases.append(
            Case(
                f"t{index}",
                tuple(after),
                noop=draw(st.integers(0, 5)) == 5,
                outcomes=tuple(outcomes),
                limit=draw(st.integers(0, 2)),
                on_lost=draw(st.integers(0, 2)),
                pool=draw(st.sampled_from(POOLS)),
                slots=draw(st.integers(1, 2)),
                postponed=draw(st.sampled_from([0, 0, 0, 1, 3])),
            )
        )
    order = draw(st.permutations(cases)) if draw(st.booleans()) else cases
    return Scenario(
        tuple(order),
        runs=draw(st.integers(1, 3)),
        max_active_tasks=draw(st.sampled_from([1, 2, 5, 100])),
        max_active_runs=draw(st.integers(1, 3)),
        parallelism=draw(st.sampled_from([0, 1, 3])),
        pools={"p": draw(st.sampled_from([2, 3, -1])), "q": draw(st.sampled_from([2, 5]))},
    )
