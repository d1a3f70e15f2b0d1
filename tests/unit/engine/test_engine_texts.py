"""Texts that are too long: a message of ours is cut at its end, a log at its beginning."""

import pytest

from tests.unit.engine.engine_world import World, task
from tradewind.engine.rules.outcome import WHY_LIMIT
from tradewind.engine.run.texts import head, tail

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("limit", "first", "last"), [(5, "abcde", "abcde"), (4, "abc…", "…cde"), (2, "a…", "…e")])
def test_cut(limit: int, first: str, last: str) -> None:
    assert (head("abcde", limit), tail("abcde", limit)) == (first, last)
    assert (head("ab   cd", 5), tail("ab   cd", 5)) == ("ab…", "…cd")


def test_an_event_has_the_beginning_of_what_we_say() -> None:
    world = World(task("a"))
    message = "script: `vars.settings.bucket` is undefined: " + "x" * WHY_LIMIT
    world.refuse("a", "InvalidTemplate", message=message)
    [said] = world.said("TaskFailed")
    assert said == f"failed after try 1: InvalidTemplate: {message[: WHY_LIMIT - 1]}…"


def test_and_the_end_of_a_log() -> None:
    log = "Traceback\n" + "x" * WHY_LIMIT + "\nKeyError: 'rows'"
    world = World(task("a"), task("b", failExitCodes=[2]), task("c"))
    world.fail("a", message=log)
    world.fail("b", 2, message=log)
    world.fail("c", reason="OOMKilled", message=log)
    assert len(world.said("TaskFailed")) == 3
    for said in world.said("TaskFailed"):
        assert said.endswith("x\nKeyError: 'rows'")
        assert "Traceback" not in said


def test_a_container_that_never_began_has_no_log() -> None:
    world = World(task("a"))
    world.fail("a", 128, reason="StartError", message='exec: "pyton3": not found' + "x" * WHY_LIMIT)
    assert 'StartError: exec: "pyton3": not found' in world.said("TaskFailed")[0]
