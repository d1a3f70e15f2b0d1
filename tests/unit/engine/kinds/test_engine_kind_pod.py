"""Behavior of tasks with a command or a script."""

from datetime import timedelta

import pytest

from tests.unit.engine.engine_world import START, World, task
from tradewind.api.kinds import POD
from tradewind.engine.kinds import kind_of
from tradewind.engine.kinds.kind import NEEDS_SLOTS, POKE_NOW
from tradewind.engine.run.tries import TryEvent, TryReport

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("what", [{"command": ["true"]}, {"script": "true", "image": "busybox"}, {"noop": False}])
def test_a_command_or_a_script_needs_slots(what: dict[str, object]) -> None:
    world = World(task("a", **what))
    kind = kind_of(world.run["a"].task)
    assert world.run["a"].task.kind is POD
    assert kind.start(world.run, world.run["a"], START) is kind.common_start is NEEDS_SLOTS


@pytest.mark.parametrize("code", [0, 1, 99])
def test_the_end_of_its_pod_is_the_end_of_the_try(code: int) -> None:
    world = World(task("a"))
    report = TryReport("a", 1, TryEvent.ENDED, exit_code=code)
    assert kind_of(world.run["a"].task).on_pod_finished(world.run["a"], report) is None


def test_one_that_was_a_sensor_and_waits_between_two_pokes_looks_again() -> None:
    world = World(task("a"))
    instance = world.run["a"]
    instance.next_poke_at = START + timedelta(minutes=1)
    kind = kind_of(instance.task)
    assert kind.on_timer(instance, START) is None
    assert kind.on_timer(instance, START + timedelta(minutes=1)) is POKE_NOW
    assert kind.resume_at(world.run, instance) == instance.next_poke_at
