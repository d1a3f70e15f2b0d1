"""explain: whatever keeps a task is said, with the rule that does."""

from dataclasses import replace

import pytest

from tests.unit.engine.engine_world import World, task
from tradewind.engine.status.explain import explain

pytestmark = pytest.mark.unit


def reasons(
    world: World, name: str, index: int | None = None, message: str | None = None
) -> list[tuple[str, bool, str]]:
    found = explain(world.run, world.run.node(name), index, message)
    return [(reason.rule, reason.waits, reason.message) for reason in found]


def test_tasks_upstream_are_named_with_their_states() -> None:
    world = World(task("a"), task("b"), task("c", "a", "b"))
    world.running("a")
    world.succeed("b")
    assert reasons(world, "c") == [
        ("triggerRule", True, "AllSuccess: waiting for upstream tasks: 1 of 2 finished"),
        ("dependsOn", True, "a is Running"),
    ]


def test_a_task_without_slots() -> None:
    world = World(task("a"), task("b"), maxActiveTasks=1)
    message = world.entry("b")["message"]
    assert reasons(world, "b", message=message) == [
        ("slots", True, "ready since 2026-03-01T12:00:00Z: waiting for maxActiveTasks of the Dag (1)")
    ]


def test_a_task_that_failed_and_is_tried_again() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "30s"}))
    world.fail("a", message="no such host")
    assert reasons(world, "a") == [
        ("retries", True, "try 2 is due at 2026-03-01T12:00:30Z; try 1 failed: Error: no such host")
    ]


def test_a_sensor_between_two_looks() -> None:
    world = World(task("a", sensor={"mode": "Reschedule", "interval": "1m"}))
    world.running("a", started_at=world.now)
    world.fail("a")
    assert reasons(world, "a") == [("sensor", True, "1 poke without success; the next one is at 2026-03-01T12:01:00Z")]


def test_a_run_that_waits_and_one_that_is_suspended() -> None:
    world = World(task("a"), maxActiveRuns=1)
    second = world.add(replace(world.run.info, name="r2", uid="r2"))
    found = explain(second, second.node("a"), None)
    assert found[0].message == "the run is Queued: waiting for maxActiveRuns of the Dag (1)"
    second.suspended = True
    assert [reason.rule for reason in explain(second, second.node("a"), None)][:2] == ["maxActiveRuns", "suspend"]


def test_what_has_finished() -> None:
    world = World(task("a"), task("b", "a"))
    world.fail("a", message="no space left")
    assert reasons(world, "a")[-1] == ("state", False, "it is Failed: Error: no space left")
    assert reasons(world, "b")[-1] == ("state", False, "it is UpstreamFailed: TriggerRule: an upstream task failed")
    assert reasons(world, "b")[0] == ("run", False, "the run is Failed: failed: a")


def test_a_mapped_task_as_a_whole_and_by_index() -> None:
    world = World(task("a", forEach={"items": [1, 2, 3]}), maxActiveTasks=1)
    assert reasons(world, "a", message="waiting for maxActiveTasks of the Dag (1)") == [
        ("forEach", True, "mapped over 3 items: 3 Scheduled; name one as task[index]"),
        ("slots", True, "waiting for maxActiveTasks of the Dag (1)"),
    ]
    world.running("a[0]")
    assert reasons(world, "a", 0) == [("state", False, "try 1 is Running")]


def test_a_pod_that_cannot_be_made_is_no_matter_of_slots() -> None:
    world = World(task("a"))
    world.postpone("a", reason="Forbidden", message="serviceaccount not found")
    world.restart()
    world.postpone("a", reason="Forbidden", message="serviceaccount not found")
    assert reasons(world, "a", message=world.entry("a")["message"]) == [
        (
            "pod",
            True,
            "ready since 2026-03-01T12:00:00Z, but its Pod cannot be created: Forbidden: serviceaccount not found",
        )
    ]
