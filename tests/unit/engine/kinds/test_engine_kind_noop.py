"""Behavior of noop tasks."""

import pytest

from tests.unit.engine.engine_world import START, World, task
from tradewind.api.kinds import NOOP
from tradewind.engine.kinds import kind_of
from tradewind.engine.kinds.kind import Finish
from tradewind.engine.rules.outcome import Outcome
from tradewind.engine.run.states import TaskState

pytestmark = pytest.mark.unit


def test_it_succeeds_as_soon_as_it_starts() -> None:
    world = World(task("a"), task("n", "a", noop=True))
    instance = world.run["n"]
    kind = kind_of(instance.task)
    assert instance.task.kind is NOOP
    assert kind.start(world.run, instance, START) == kind.common_start == Finish(Outcome(TaskState.SUCCEEDED))


def test_there_is_nothing_to_script_in_a_simulation() -> None:
    world = World(task("n", noop=True))
    assert "noop" in (kind_of(world.run["n"].task).always_succeeds or "")


def test_it_has_no_tries() -> None:
    world = World(task("n", noop=True, forEach={"items": [1, 2]}))
    assert [instance.number for instance in world.run] == [0, 0]
