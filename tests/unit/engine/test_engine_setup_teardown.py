"""setup and teardown, and how they count for the end of a run."""

import pytest

from tests.unit.engine.engine_world import World, task

pytestmark = pytest.mark.unit

TASKS = (
    task("up", setup=True),
    task("work", "up"),
    task("more", "work"),
    task("down", "more", teardown={"setups": ["up"]}),
)


def test_a_teardown_runs_when_all_went_well() -> None:
    world = World(*TASKS)
    for name in ("up", "work", "more", "down"):
        assert world.states()[name] == "Scheduled"
        world.running(name)
        world.succeed(name)
    assert world.phase() == "Succeeded"


def test_a_teardown_runs_after_a_failure_and_the_run_fails() -> None:
    world = World(*TASKS)
    world.succeed("up")
    world.fail("work")
    assert world.states() == {"up": "Succeeded", "work": "Failed", "more": "UpstreamFailed", "down": "Scheduled"}
    world.succeed("down")
    assert (world.phase(), world.run.message) == ("Failed", "failed: work")


def test_a_teardown_does_not_run_without_its_setup() -> None:
    world = World(*TASKS)
    world.fail("up")
    assert set(world.states().values()) == {"Failed", "UpstreamFailed"}
    world = World(*TASKS)
    world.skip("up")
    assert set(world.states().values()) == {"Skipped"}


def test_a_teardown_that_fails_does_not_fail_the_run_unless_it_says_so() -> None:
    for fails in (False, True):
        world = World(*TASKS[:3], task("down", "more", teardown={"setups": ["up"], "onFailureFailRun": fails}))
        for name in ("up", "work", "more"):
            world.succeed(name)
        world.fail("down")
        assert world.phase() == ("Failed" if fails else "Succeeded")


def test_a_teardown_waits_for_all_of_its_scope() -> None:
    """`early` ends long before `slow`, which lies between setup and teardown too."""
    world = World(
        task("up", setup=True),
        task("fast", "up"),
        task("slow", "up"),
        task("early", "fast", "slow", triggerRule="OneSuccess"),
        task("down", "early", teardown={"setups": ["up"]}),
    )
    for name in ("up", "fast", "early"):
        world.succeed(name)
    assert world.states()["down"] == "None"
    world.succeed("slow")
    assert world.states()["down"] == "Scheduled"


def test_fail_fast_stops_all_but_teardowns() -> None:
    world = World(*TASKS, task("bad"), task("later", "bad"), task("beside"), failFast=True)
    world.succeed("up")
    world.running("work")
    world.running("beside")
    world.fail("bad")
    assert {name for name, _, _ in world.stops} == {"work", "beside"}
    states = world.states()
    assert [states[name] for name in ("work", "more", "later", "beside")] == ["Skipped"] * 4
    assert states["down"] == "Scheduled"
    assert world.status()["reason"] == "FailFast"
    world.restart()
    world.succeed("down")
    assert (world.phase(), world.run.reason) == ("Failed", "FailFast")
    assert world.run.message == "bad failed: failFast stops the run"


def test_fail_fast_waits_for_the_last_try() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "1s"}), task("b"), failFast=True)
    world.fail("a")
    assert world.states()["b"] == "Scheduled"
    world.wait(seconds=1)
    world.fail("a")
    assert (world.phase(), world.states()["b"]) == ("Failed", "Skipped")


def test_a_teardown_that_fails_is_no_reason_to_stop() -> None:
    world = World(task("up", setup=True), task("down", "up", teardown={"setups": ["up"]}), task("other"), failFast=True)
    world.succeed("up")
    world.fail("down")
    assert world.states()["other"] == "Scheduled"
