"""A status that was edited by hand is distinguished from one that a controller wrote."""

from typing import Any

import pytest

from tests.unit.engine.engine_world import START, World, run_info, task
from tradewind.engine.run.slots import Slots
from tradewind.engine.status.check import UnusableStatus, check_status
from tradewind.engine.status.restore import load
from tradewind.engine.transitions import run_lifecycle

pytestmark = pytest.mark.unit


def mapped(**facts: Any) -> dict[str, Any]:
    return {"phase": "Running", "tasks": [{"name": "a", "state": "Running", "count": 2, **facts}]}


GARBAGE: dict[str, tuple[dict[str, Any], str]] = {
    "phase": ({"phase": "Nonsense"}, "status.phase"),
    "type": ({"phase": "Running", "tasks": "x"}, "status.tasks"),
    "time": ({"phase": "Running", "startedAt": "yesterday"}, "status.startedAt"),
    "null": (mapped(outputs=None), "outputs: is null"),
    "twice": ({"phase": "Running", "tasks": [{"name": "a", "state": "Failed"}] * 2}, "is listed twice"),
    "count": (mapped(count=10**9), "is not from 0 to 10000"),
    "huge range": (mapped(indexes={"Running": "0-99999999999"}), "exceeds"),
    "beyond words": (mapped(indexes={"Running": "0-" + "9" * 400}), "exceeds"),
    "no range": (mapped(indexes={"Running": "1-0"}), "ascending ranges"),
    "two states": (mapped(indexes={"Running": "0-1", "Failed": "1"}), "also in another state"),
    "no state": (mapped(indexes={"Flying": "0"}), "'Flying' is not a state"),
    "tries": (mapped(numbers={"-1": "0"}), "'-1' is not a valid number of tries"),
    "due": (mapped(dueAt={"soon": "0"}), "is not a time"),
    "output": (mapped(outputs={"7": 1}), "'7' is not the index of an instance"),
    "instance": (mapped(instances=[{"index": -1, "state": "Failed"}]), "no such instance"),
    "try": ({"phase": "Running", "tasks": [{"name": "a", "state": "Failed", "try": -5}]}, "try: -5"),
}


@pytest.mark.parametrize(("status", "says"), GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage(status: dict[str, Any], says: str) -> None:
    with pytest.raises(UnusableStatus) as caught:
        check_status(status)
    assert says in str(caught.value)


def test_what_a_controller_wrote_and_what_a_newer_one_will() -> None:
    world = World(task("a", forEach={"items": [1, 2, 3]}), task("b", "a", retries={"limit": 1, "delay": "1m"}))
    world.succeed("a[0]", "{}")
    world.fail("a[1]")
    status = world.status()
    check_status(status)
    check_status({**status, "weather": "fine", "tasks": [{**status["tasks"][0], "colour": "red"}]})
    check_status({})


def test_what_a_run_holds_is_given_back_whatever_its_status_said() -> None:
    world = World(task("a", forEach={"items": [1, 2]}))
    slots = Slots()
    entry = {"name": "a", "state": "Running", "try": 1, "indexes": {"Running": "0-1"}}
    run = load(run_info(), world.dag, slots, status={"phase": "Running", "tasks": [entry]})
    run_lifecycle.advance(run, START)
    run.release()
    assert slots.active == 0
