"""A status that is too large for etcd is reduced, such that the run can continue with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.engine.asked import ask
from tests.unit.engine.engine_world import START, World, task
from tradewind.api.dagrun import DagRunStatus
from tradewind.api.run_request import RunRequest
from tradewind.engine.requests import Version, apply_request
from tradewind.engine.requests.audit import REQUESTS_BUDGET, with_record
from tradewind.engine.rules.outcome import OUTPUT_BUDGET, output_size
from tradewind.engine.run.json_size import stored_size
from tradewind.engine.run.tries import TryEvent, TryReport
from tradewind.engine.status.check import check_status
from tradewind.engine.status.size import SHORT_MESSAGE, shorter, smallest

pytestmark = pytest.mark.unit

KIB = 1024
ETCD = 1536 * KIB
MOST_TASKS = 2000
MOST_PARAMS = 256 * KIB


def as_go_writes(value: Any) -> int:
    """Bytes of JSON with what HTML could not take escaped, as encoding/json does."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for each in "<>&\u2028\u2029":
        text = text.replace(each, f"\\u{ord(each):04x}")
    return len(text.encode())


@pytest.mark.parametrize(
    "value",
    ["plain", "<b>&amp;</b>", "\u2028 and \u2029", "é😀", {"<": ["&", {"a": ">"}]}, [1, 2.5, None, True], '\n\t"\\'],
)
def test_bytes_are_counted_as_go_writes_them(value: Any) -> None:
    assert stored_size(value) == as_go_writes(value)
    assert output_size(value) == as_go_writes(value)


def test_outputs_of_html_have_no_larger_budget() -> None:
    text = json.dumps("<" * 4000)
    most = OUTPUT_BUDGET // as_go_writes("<" * 4000)
    world = World(*(task(f"t{index}") for index in range(most + 1)), maxActiveTasks=100)
    for index in range(most + 1):
        world.succeed(f"t{index}", text)
    assert world.entry(f"t{most}")["reason"] == "OutputTooLarge"
    assert sum(as_go_writes(entry["output"]) for entry in world.status()["tasks"] if "output" in entry) <= (
        OUTPUT_BUDGET
    )


def test_requests_of_html_have_no_larger_budget() -> None:
    records: list[dict[str, Any]] = []
    for number in range(100):
        records = with_record(records, _request(number), applied=False, message="<" * 1000, now=START)
    assert as_go_writes(records) <= REQUESTS_BUDGET


def _request(number: int) -> RunRequest:
    return RunRequest.model_validate({"id": f"r{number}", "type": "Stop", "message": "&" * 500})


# Shorter ------------------------------------------------------------------------------------------------------------


def half_done() -> World:
    """A branch and a task that have succeeded and are still read, one that is not, one that failed twice, one that
    waits to be tried again, a mapped one of which some have finished."""
    world = World(
        task("choose", branch=True),
        task("read"),
        task("unread"),
        task("last", "unread"),
        task("fails", retries={"limit": 1, "delay": "1s"}),
        task("again", retries={"limit": 1, "delay": "1h"}),
        task("each", forEach={"output": "list"}, dependsOn=["list"]),
        task("list"),
        task("x", "choose"),
        task("y", "choose", "read"),
        maxActiveTasks=100,
    )
    world.succeed("choose", '"x"')
    world.succeed("read", '{"rows": 3}')
    world.succeed("unread", '{"rows": 4}')
    world.succeed("list", "[1, 2, 3]")
    world.succeed("last")
    world.fail("fails", message="m" * 500)
    world.wait(seconds=1)
    world.fail("fails", message="m" * 500)
    world.fail("again", message="m" * 500)
    world.succeed("each[0]", "1")
    world.fail("each[1]", message="m" * 500)
    return world


def test_a_shorter_status_leaves_away_what_nothing_to_come_needs() -> None:
    world = half_done()
    full = world.status()
    short = shorter({**full, "params": {"a": 1}}, world.run.graph)
    DagRunStatus.model_validate(short)
    check_status(short)
    assert "params" not in short
    entries = {entry["name"]: entry for entry in short["tasks"]}
    assert entries["choose"]["output"] == "x", "a rerun of its downstream tasks needs its decision"
    assert "output" not in entries["unread"]
    assert entries["list"]["output"] == [1, 2, 3]
    assert entries["each"]["indexes"] == {"Failed": "1", "Scheduled": "2", "Succeeded": "0"}
    assert "tries" in next(entry for entry in full["tasks"] if entry["name"] == "fails")
    assert all("tries" not in entry for entry in short["tasks"])
    messages = [entry["message"] for entry in short["tasks"] if "message" in entry]
    messages += [each["message"] for each in entries["each"]["instances"] if "message" in each]
    assert len(messages) >= 3
    assert all(len(message.encode()) <= SHORT_MESSAGE for message in messages)


def test_a_run_continues_from_a_shorter_status_as_from_the_whole() -> None:
    ends = []
    for is_short in (False, True):
        world = half_done()
        status = world.status()
        world.restart(status=shorter(status, world.run.graph) if is_short else status)
        world.wait(hours=1)
        world.succeed("again")
        world.succeed("each[2]")
        world.succeed("x")
        ends.append((world.states(), world.status()["done"], world.phase(), world.run["again"].number))
        ask(world, "Rerun", "fails")
        ends[-1] += (world.run["fails"].number, world.started())  # type: ignore[assignment]
    assert ends[0] == ends[1]


def test_the_largest_run_that_there_may_be_fits_when_it_is_shorter() -> None:
    tasks = [
        task(f"{'x' * 50}{index:05}", retries={"limit": 1, "delay": "0s"}, timeout="1h") for index in range(MOST_TASKS)
    ]
    world = World(*tasks, maxActiveTasks=MOST_TASKS)
    world.scheduler.set_pool("ns", "default", -1)
    world.plan()
    for _ in range(2):
        for each in tasks:
            world.scheduler.report("r1", _failed(each["name"], world), world.now)
        world.plan()
    assert world.phase() == "Failed"
    rest = MOST_PARAMS + OUTPUT_BUDGET + REQUESTS_BUDGET
    assert stored_size(world.status()["tasks"]) + MOST_PARAMS + rest > ETCD
    assert stored_size(shorter(world.status(), world.run.graph)["tasks"]) + rest < ETCD


def _failed(name: str, world: World) -> TryReport:
    number, now = world.run[name].number, world.now
    facts: dict[str, Any] = {"exit_code": 1, "started_at": now, "finished_at": now, "message": "m" * 4000}
    return TryReport(name, number, TryEvent.ENDED, **facts)


def test_the_smallest_status_tells_how_the_run_ended() -> None:
    world = World(task("a"))
    ask(world, "Stop")
    status = world.status()
    least = smallest(status)
    DagRunStatus.model_validate(least)
    assert (least["phase"], least["reason"], least["tasks"], least["done"]) == ("Failed", "Stopped", [], "1/1")
    assert least["requests"] == status["requests"]
    assert least["message"].endswith("the state of the tasks is omitted: the DagRun has no room for it")
    assert stored_size(smallest({**status, "message": "m" * 5000})) < 4 * KIB


@pytest.mark.parametrize("kind", ["Rerun", "Mark"])
def test_what_is_not_reported_any_more_cannot_be_run_again_under_the_same_names(kind: str) -> None:
    """The number of the next try is not known, and a number is given out once."""
    world = World(task("a"), task("b", "a"))
    world.fail("a")
    status = smallest(world.status())
    fields = {"state": "Succeeded"} if kind == "Mark" else {}
    asked = RunRequest.model_validate({"id": "r1", "type": kind, **fields})
    version = Version(world.run.info, world.dag, world.run.graph)
    decision = apply_request(asked, status, version, now=world.now)
    assert (decision.applied, "create another run" in decision.message) == (False, True)
    assert decision.status["tasks"] == []


def test_a_run_that_does_not_fit_ends() -> None:
    world = World(task("a"), task("b", "a"))
    world.running("a")
    world.scheduler.fail("r1", "StatusTooLarge", "it does not fit", world.now)
    world.plan()
    assert world.stops == [("a", 1, "StatusTooLarge")]
    assert (world.phase(), world.run.reason, world.states()) == (
        "Failed",
        "StatusTooLarge",
        {"a": "Skipped", "b": "Skipped"},
    )
    world.scheduler.fail("r1", "Other", "too late", world.now)
    world.scheduler.fail("gone", "Other", "not there", world.now)
    world.plan()
    assert world.run.reason == "StatusTooLarge"
