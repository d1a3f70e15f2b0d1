"""Whatever happens to Pods, reports and controllers, in whatever order: each run ends, and as it must."""

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from scenarios import Scenario, scenarios
from small_cluster import World

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


def play(scenario: Scenario, numbers: list[int], *, disturbances: list[str]) -> World:
    """Let things happen until nothing is left to happen."""
    world, choices = World(scenario), Choices(numbers)
    for _ in range(MOST_STEPS):
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
    """All runs have ended, each task in a way that the reference evaluation allows, and no slot is held."""
    possible = world.scenario.possible_ends()
    leaves = {case.name for case in world.cases.values()} - {
        name for case in world.cases.values() for name in case.after
    }
    for name, run in world.runs.items():
        assert run.finished, f"{name} has not ended: {[(i.task.name, i.state.value) for i in run if not i.finished]}"
        for instance in run:
            assert instance.state.value in possible[instance.task.name], instance.task.name
            if instance.state.value == "Succeeded" and not instance.task.noop:
                said = world.cases[instance.task.name].outcome(instance.number) == "output"
                assert instance.output == ({"try": instance.number} if said else None)
        bad = any(run[leaf].state.value in ("Failed", "UpstreamFailed") for leaf in leaves)
        assert run.phase.value == ("Failed" if bad else "Succeeded")
    assert world.scheduler.slots.active == 0
    assert world.scheduler.slots.used == {}
    if all(len(ends) == 1 for ends in possible.values()):
        event("the end does not depend on the order")


choices = st.lists(st.integers(0, 1000), max_size=150)


@given(scenario=scenarios(), numbers=choices)
def test_each_run_ends_as_it_must_in_any_order_of_events(scenario: Scenario, numbers: list[int]) -> None:
    check_end(play(scenario, numbers, disturbances=["repeat"]))


@given(scenario=scenarios(most_tasks=12), numbers=choices)
def test_controllers_may_die_at_any_moment(scenario: Scenario, numbers: list[int]) -> None:
    check_end(play(scenario, numbers, disturbances=DISTURBANCES))


@given(scenario=scenarios(most_tasks=6), numbers=choices)
def test_small_dags_with_many_disturbances(scenario: Scenario, numbers: list[int]) -> None:
    check_end(play(scenario, numbers, disturbances=DISTURBANCES * 5))
