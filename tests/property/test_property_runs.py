"""Whatever happens to Pods, reports and controllers, in whatever order: each run ends, and as it must."""

from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from tests.property.scenarios import Scenario, scenarios
from tests.property.small_cluster import World

pytestmark = pytest.mark.property

MOST_STEPS = 20_000
DISTURBANCES = ["write", "repeat", "die", "write and die"]


class Choices:
    """Numbers that decide what happens next; when they run out, the oldest thing does, undisturbed."""

    def __init__(self, numbers: list[int]) -> None:
        self._numbers = iter(numbers)

    def pick(self, count: int) -> int | None:
        number = next(self._numbers, None)
        return None if number is None else number % count


def play(scenario: Scenario, numbers: list[int], *, disturbances: list[str], fork_after: int | None = None) -> World:
    """Let things happen until nothing is left to happen."""
    world, choices = World(scenario), Choices(numbers)
    for step in range(MOST_STEPS):
        if step == fork_after:
            world.fork()
        possible = list(world.happenings())
        if not possible:
            return world
        picked = choices.pick(len(possible) + len(disturbances))
        if picked is None or picked < len(possible):
            world.happen(*possible[picked or 0])
        else:
            disturbance = disturbances[picked - len(possible)]
            if disturbance != "repeat":
                world.happen(disturbance)
            elif world.mail:
                world.happen("repeat", (picked * 7) % len(world.mail))
    raise AssertionError(f"no end after {MOST_STEPS} steps")


def check_end(world: World) -> None:
    """All runs have finished, each instance in a state that the reference evaluation allows, and no slot is held."""
    reference = world.reference
    for name, run in world.runs.items():
        assert run.finished, f"{name} has not ended: {[(i.name, i.state.value) for i in run if not i.finished]}"
        for instance in run:
            summary = (instance.name, instance.state, instance.number, instance.reason, instance.output)
            assert reference.may_have_finished(run, instance), summary
        bad = any(i.state in ("Failed", "UpstreamFailed") for leaf in reference.leaves for i in run.node(leaf))
        assert run.phase.value == ("Failed" if bad else "Succeeded")
        assert run.unfinished == 0
        assert run.total == sum(node.count or 1 for node in run.nodes)
        assert not run.early
    assert world.scheduler.slots.active == 0
    assert world.scheduler.slots.used == {}


def ends(world: World) -> dict[str, dict[str, Any]]:
    """Return how each task of each run finished: a state if all its instances have the same, else a list."""
    return {
        name: {
            node.task.name: states.pop() if len(states := {i.state for i in node}) == 1 else [i.state for i in node]
            for node in run.nodes
        }
        for name, run in world.runs.items()
    }


choices = st.lists(st.integers(0, 1000), max_size=150)


@given(scenario=scenarios(plain=True), numbers=choices)
def test_each_run_of_plain_tasks_ends_as_it_must_in_any_order_of_events(scenario: Scenario, numbers: list[int]) -> None:
    check_end(play(scenario, numbers, disturbances=["repeat"]))


@given(scenario=scenarios(most_tasks=15), numbers=choices)
def test_each_run_ends_as_it_must_in_any_order_of_events(scenario: Scenario, numbers: list[int]) -> None:
    check_end(play(scenario, numbers, disturbances=["repeat"]))


@given(scenario=scenarios(most_tasks=10), numbers=choices)
def test_controllers_may_die_at_any_moment(scenario: Scenario, numbers: list[int]) -> None:
    check_end(play(scenario, numbers, disturbances=DISTURBANCES))


@given(scenario=scenarios(most_tasks=5), numbers=choices)
def test_small_dags_with_many_disturbances(scenario: Scenario, numbers: list[int]) -> None:
    check_end(play(scenario, numbers, disturbances=DISTURBANCES * 5))


@given(scenario=scenarios(most_tasks=5), numbers=choices)
def test_status_need_not_tell_of_single_instances(scenario: Scenario, numbers: list[int]) -> None:
    """Of most of thousands it does not."""
    with patch("tradewind.engine.run.task_node.MAX_DETAILED", 1):
        check_end(play(scenario, numbers, disturbances=["write and die"] * 8))


@given(scenario=scenarios(most_tasks=8, postponed=False), numbers=choices, fork_after=st.integers(0, 80))
def test_a_controller_that_takes_over_does_what_the_one_before_would_do(
    scenario: Scenario, numbers: list[int], fork_after: int
) -> None:
    check_end(play(scenario, numbers, disturbances=["repeat"], fork_after=fork_after))


@given(scenario=scenarios(most_tasks=10), first=choices, second=choices)
def test_results_do_not_depend_on_the_order_of_events(scenario: Scenario, first: list[int], second: list[int]) -> None:
    worlds = [play(scenario, numbers, disturbances=["repeat"]) for numbers in (first, second)]
    if any(world.reference.raced(run) for world in worlds for run in world.runs.values()):
        event("a race upstream")
        return
    event("no race")
    assert ends(worlds[0]) == ends(worlds[1])
