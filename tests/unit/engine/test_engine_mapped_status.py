"""Status of mapped tasks: short whatever happens to however many instances, and sufficient to resume."""

import json
import random
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.unit.engine.engine_world import World, run_info, task
from tradewind.api.dagrun import DagRunStatus
from tradewind.engine.run.index_set import IndexSet
from tradewind.engine.run.slots import Slots
from tradewind.engine.run.task_node import MAX_DETAILED
from tradewind.engine.status.node_status import MAX_DUE
from tradewind.engine.status.restore import load
from tradewind.engine.status.run_status import run_status

pytestmark = pytest.mark.unit

MOST = 10_000
LIMIT = 200_000
"""Bytes of status that 10,000 instances may take, their outputs apart."""
MESSAGE = "Traceback (most recent call last): nothing is as it should be. " * 40


def many(count: int = MOST, **fields: Any) -> World:
    retries = {"limit": 2, "delay": "1h", "onLost": 1}
    each = task("each", forEach={"items": list(range(count))}, **{"retries": retries, **fields})
    world = World(each, task("after", "each"), maxMapLength=MOST, maxActiveTasks=10_000)
    world.scheduler.set_pool("ns", "default", -1)
    world.plan()
    return world


def in_any_order(count: int = MOST) -> list[int]:
    return random.Random(3).sample(range(count), count)


def all_badly(world: World) -> None:
    for index in in_any_order():
        world.fail(f"each[{index}]", message=MESSAGE)


def every_second_badly(world: World) -> None:
    for index in range(MOST):
        if index % 2:
            world.fail(f"each[{index}]", message=MESSAGE)
        else:
            world.succeed(f"each[{index}]")
    for _ in range(2):
        world.wait(hours=1)
        for index in range(1, MOST, 2):
            world.fail(f"each[{index}]", message=MESSAGE)


def anyhow(world: World) -> None:
    what = random.Random(4)
    for index in in_any_order():
        name = f"each[{index}]"
        steps: list[Callable[[str], Any]] = [world.lose, world.fail, world.succeed, world.skip, world.running]
        for step in what.choices(steps, k=2):
            step(name)


def running(world: World) -> None:
    for index in in_any_order():
        world.running(f"each[{index}]", started_at=world.now)


PHASES: dict[str, tuple[dict[str, Any], Callable[[World], object]]] = {
    "ready": ({}, lambda world: None),
    "running": ({}, running),
    "some have finished": (
        {},
        lambda world: [world.succeed(f"each[{index}]") for index in in_any_order()[: MOST // 2]],
    ),
    "UpForRetry": ({}, all_badly),
    "UpForRetry at all times": ({"retries": {"limit": 2, "delay": "6h", "backoff": 2}}, all_badly),
    "every second failed": ({}, every_second_badly),
    "anyhow": ({}, anyhow),
    "skipped": ({}, lambda world: [world.skip(f"each[{index}]") for index in in_any_order()]),
    "failed": ({"retries": {"limit": 0}}, all_badly),
    "looking": ({"sensor": {"interval": "1h"}}, all_badly),
    "looking now and then": ({"sensor": {"mode": "Reschedule", "interval": "1h"}}, all_badly),
}


@pytest.mark.parametrize("phase", PHASES)
def test_ten_thousand_instances_fit_and_are_restored(phase: str) -> None:
    fields, happens = PHASES[phase]
    world = many(**fields)
    happens(world)
    status = world.status()
    DagRunStatus.model_validate(status)
    assert len(orjson.dumps(status)) <= LIMIT
    restored = load(run_info(), world.dag, Slots(), status=json.loads(json.dumps(status)))
    mine, theirs = world.run.node("each"), restored.node("each")
    assert theirs.tally() == mine.tally()
    assert [(i.state, i.number, i.lost) for i in theirs] == [(i.state, i.number, i.lost) for i in mine]
    again = run_status(restored)["tasks"][0]
    for key in ("state", "count", "indexes", "numbers", "lostTries", "pokeNumbers", "dueAt"):
        assert again.get(key) == status["tasks"][0].get(key), key


def test_the_same_in_few_words() -> None:
    world = many(5)
    world.succeed("each[0]")
    world.succeed("each[2]")
    world.fail("each[1]", 3, message="no luck")
    world.running("each[3]", started_at=world.now)
    assert world.entry("each") == {
        "name": "each",
        "state": "Running",
        "count": 5,
        "scheduledAt": "2026-03-01T12:00:00Z",
        "startedAt": "2026-03-01T12:00:00Z",
        "indexes": {"Running": "3", "Scheduled": "4", "Succeeded": "0,2", "UpForRetry": "1"},
        "dueAt": {"2026-03-01T13:00:00Z": "1"},
        "instances": [
            {
                "index": 1,
                "state": "UpForRetry",
                "try": 1,
                "reason": "Error",
                "message": "no luck",
                "exitCode": 3,
                "scheduledAt": "2026-03-01T12:00:00Z",
                "finishedAt": "2026-03-01T12:00:00Z",
                "retryAt": "2026-03-01T13:00:00Z",
            },
            {
                "index": 3,
                "state": "Running",
                "try": 1,
                "scheduledAt": "2026-03-01T12:00:00Z",
                "queuedAt": "2026-03-01T12:00:00Z",
                "startedAt": "2026-03-01T12:00:00Z",
            },
            {"index": 4, "state": "Scheduled", "try": 1, "scheduledAt": "2026-03-01T12:00:00Z"},
        ],
    }


def test_failures_are_reported_before_retries_and_those_before_skips() -> None:
    world = many(4 * MAX_DETAILED, retries={"limit": 1, "delay": "1h"}, failExitCodes=[7])
    counts: dict[str, int] = {}
    ends = [(world.skip, {}), (world.fail, {}), (world.fail, {"exit_code": 7})]
    for number, (end, facts) in enumerate(ends):
        for index in range(number * MAX_DETAILED, (number + 1) * MAX_DETAILED):
            end(f"each[{index}]", **facts)  # type: ignore[operator]
        details = world.entry("each")["instances"]
        counts = {
            state: sum(each["state"] == state for each in details) for state in ("Skipped", "UpForRetry", "Failed")
        }
        assert counts[("Skipped", "UpForRetry", "Failed")[number]] == MAX_DETAILED
    assert counts == {"Skipped": 0, "UpForRetry": 0, "Failed": MAX_DETAILED}


def test_those_that_run_are_reported_before_those_that_are_about_to() -> None:
    world = many(3 * MAX_DETAILED)
    for index in range(2 * MAX_DETAILED, 3 * MAX_DETAILED):
        world.running(f"each[{index}]")
    details = world.entry("each")["instances"]
    assert [each["index"] for each in details] == list(range(2 * MAX_DETAILED, 3 * MAX_DETAILED))


def test_many_mapped_tasks_share_what_is_reported() -> None:
    tasks = [task(f"t{n}", forEach={"items": list(range(100))}) for n in range(25)]
    world = World(*tasks, maxActiveTasks=10_000)
    world.scheduler.set_pool("ns", "default", -1)
    world.plan()
    for start in list(world.starts):
        world.fail(start.key.instance, message=MESSAGE)
    assert sum(len(entry["instances"]) for entry in world.status()["tasks"]) == 250
    assert len(orjson.dumps(world.status())) < LIMIT


def test_times_are_rounded_up_where_there_are_too_many() -> None:
    world = many(2000, retries={"limit": 1, "delay": "6h", "backoff": 2})
    for index in range(2000):
        world.fail(f"each[{index}]")
    due = world.entry("each")["dueAt"]
    assert len(due) <= MAX_DUE
    node = world.run.node("each")
    exact = {index: moment for moment, indexes in node.due.moments.items() for index in indexes}
    world.restart()
    later = {index: moment for moment, indexes in world.run.node("each").due.moments.items() for index in indexes}
    assert later.keys() == exact.keys()
    slack = [(later[index] - exact[index]).total_seconds() for index in exact]
    assert min(slack) > -0.001, "status has milliseconds"
    assert max(slack) <= 6 * 3600 / (MAX_DUE - 1) + 2


def test_indexes_of_outputs_count_against_what_outputs_may_take() -> None:
    world = many(3)
    world.succeed("each[0]", "1")
    assert world.run.output_bytes == len('"0":1,')
    world.restart()
    assert world.run.output_bytes == len('"0":1,')


def test_why_instances_never_began_is_known_after_a_restart() -> None:
    world = World(task("first"), task("each", "first", group="g"), groups=[{"name": "g", "forEach": {"items": [1, 2]}}])
    world.add(run_info("r2"))
    world.fail("first")
    for _ in range(2):
        entry = world.entry("each")
        assert (entry["reason"], entry["message"]) == ("TriggerRule", "an upstream task failed")
        instance = world.run.instance("each", 1)
        assert instance is not None
        assert (instance.reason, instance.message) == ("TriggerRule", "an upstream task failed")
        world.run = load(run_info(), world.dag, Slots(), status=world.status())


def test_a_status_that_does_not_say_when_retries_are_due() -> None:
    world = many(3)
    world.fail("each[1]")
    status = world.status()
    entry = status["tasks"][0]
    del entry["dueAt"], entry["instances"]
    world.starts.clear()
    world.restart(status=status)
    assert "each[1]#2" in world.started()
    assert IndexSet.parse(world.entry("each")["indexes"]["Scheduled"]) == IndexSet.range(3)
