"""Whatever is asked of runs, whenever, however often, and whoever dies then: each request takes effect once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from tests.property.asked_world import AskedWorld, request
from tests.property.scenarios import Case, Scenario, scenarios
from tests.property.test_property_runs import DISTURBANCES, MOST_STEPS, Choices, choices, ends
from tradewind.engine.status.run_status import run_status

pytestmark = pytest.mark.property

ENOUGH_RERUNS = 12
BAD = ("Failed", "UpstreamFailed")
GOOD = ("succeed", "output", "skip")
Asked = tuple[str, Any]
"""(run, request)"""


def play(world: AskedWorld, choices: Choices, asked: list[Asked]) -> None:
    """Let things happen until nothing is left to happen; requests come in between."""
    pending = list(asked)
    disturbances = [*DISTURBANCES, *(["ask"] * len(pending))]
    for _ in range(MOST_STEPS):
        possible = list(world.happenings())
        if not possible:
            if not pending:
                return
            ask_twice(world, pending.pop(0))
            continue
        picked = choices.pick(len(possible) + len(disturbances))
        if picked is None or picked < len(possible):
            world.happen(*possible[picked or 0])
            continue
        disturbance = disturbances[picked - len(possible)]
        if disturbance == "ask":
            if pending:
                ask_twice(world, pending.pop(0))
        elif disturbance != "repeat":
            world.happen(disturbance)
        elif world.mail:
            world.happen("repeat", (picked * 7) % len(world.mail))
    raise AssertionError(f"no end after {MOST_STEPS} steps")


def ask_twice(world: AskedWorld, asked: Asked) -> None:
    """The same request again, as after a crash between the write of status and the end of the request."""
    run, what = asked
    assert world.ask(run, what) is not None
    assert world.ask(run, what) is None
    world.take_over()
    assert [record["id"] for record in run_status(world.runs[run])["requests"]].count(what.id) == 1
    assert world.ask(run, what) is None


def usual(case: Case) -> Case:
    """The same task with the usual trigger rule: downstream tasks of a failure then depend on nothing else."""
    return replace(case, rule="AllSuccess", stops=False)


def clean(case: Case) -> Case:
    """The same task if no try failed."""
    # A sensor whose poke is lost pokes again, and then its condition is met.
    ends = GOOD if not case.sensor else (*GOOD, "lose")
    last = [next((outcome for outcome in outcomes if outcome in ends), "lose") for outcomes in case.outcomes]
    return replace(case, outcomes=tuple((outcome,) if outcome != "lose" else () for outcome in last))


@given(scenario=scenarios(most_tasks=10), numbers=choices)
def test_rerunning_what_failed_ends_as_a_run_in_which_nothing_did(scenario: Scenario, numbers: list[int]) -> None:
    scenario = replace(scenario, cases=tuple(map(usual, scenario.cases)))
    world, rng = AskedWorld(scenario), Choices(numbers)
    play(world, rng, [])
    for number in range(ENOUGH_RERUNS):
        failed = [name for name, run in world.runs.items() if any(i.state in BAD for i in run)]
        if not failed:
            break
        done = {(name, i.name): i.number for name in failed for i in world.runs[name] if i.state == "Succeeded"}
        for name in failed:
            decision = world.ask(name, request(number, "Rerun", onlyFailed=True))
            assert decision is not None
            assert decision.applied, decision.message
        play(world, rng, [])
        for name in failed:
            for instance in world.runs[name]:
                if world.runs[name].node(instance.task.name).mapped:
                    continue  # its items may have changed
                tries = done.get((name, instance.name), instance.number)
                assert instance.number == tries, f"{name}/{instance.name} had succeeded, and was run again"
    other = AskedWorld(replace(scenario, cases=tuple(map(clean, scenario.cases))))
    play(other, Choices([]), [])
    if any(world.reference.raced(run) for each in (world, other) for run in each.runs.values()):
        event("a race upstream")
        return
    assert ends(world) == ends(other)
    assert {name: run.phase for name, run in world.runs.items()} == {
        name: run.phase for name, run in other.runs.items()
    }
    assert world.scheduler.slots.active == 0


@st.composite
def requests(draw: st.DrawFn, scenario: Scenario) -> list[Asked]:
    """Some requests on the runs of a scenario."""
    names = [*(case.name for case in scenario.cases), *(group.name for group in scenario.groups)]
    names += [f"{case.name}[{draw(st.integers(0, 2))}]" for case in scenario.cases]
    found = []
    for number in range(draw(st.integers(1, 5))):
        run = f"run{draw(st.integers(0, scenario.runs - 1))}"
        kind = draw(st.sampled_from(["Rerun", "Rerun", "Rerun", "Mark", "Mark", "Stop"]))
        fields: dict[str, Any] = {}
        if kind != "Stop":
            fields["tasks"] = draw(st.lists(st.sampled_from(names), max_size=3, unique=True)) or None
            fields |= {name: draw(st.booleans()) for name in ("onlyFailed", "upstream", "downstream")}
        if kind == "Mark":
            fields["state"] = draw(st.sampled_from(["Succeeded", "Failed", "Skipped"]))
        found.append((run, request(number, kind, **fields)))
    return found


@given(data=st.data(), scenario=scenarios(most_tasks=8), numbers=choices)
def test_anything_may_be_asked_at_any_moment(data: st.DataObject, scenario: Scenario, numbers: list[int]) -> None:
    world = AskedWorld(scenario)
    play(world, Choices(numbers), data.draw(requests(scenario)))
    for name, run in world.runs.items():
        assert run.finished, f"{name} has not ended: {[(i.name, i.state.value) for i in run if not i.finished]}"
        assert run.unfinished == 0
        status = run_status(run)
        assert status["done"] == f"{run.total}/{run.total}"
        assert all(entry["state"] != "None" for entry in status["tasks"])
        for record in status.get("requests", ()):
            event(f"{record['type']} {record['state']}")
    assert world.scheduler.slots.active == 0
    assert world.scheduler.slots.used == {}
