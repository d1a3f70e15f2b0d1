"""A task's output is JSON, small, and always such that it can be kept in status."""

import json

import orjson
import pytest

from tests.unit.engine.engine_world import World, task
from tradewind.engine.rules.outcome import MAX_OUTPUT_BYTES, OUTPUT_BUDGET
from tradewind.engine.run.states import TaskState

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ('{"rows": 3}', {"rows": 3}),
        ("[1, 2.5, true, null]", [1, 2.5, True, None]),
        ("null", None),
        ("false", False),
        ('  "padded"\n', "padded"),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ('"\\ud83d\\ude00"', "😀"),
        ("1e308", 1e308),
    ],
)
def test_json_is_kept(text: str, output: object) -> None:
    world = World(task("a"))
    world.succeed("a", text)
    assert world.state("a") is TaskState.SUCCEEDED
    assert world.entry("a")["output"] == output
    assert "reason" not in world.entry("a")


@pytest.mark.parametrize("text", [None, "", "  \n"])
def test_no_output_is_no_output(text: str | None) -> None:
    world = World(task("a"))
    world.succeed("a", text)
    assert world.state("a") is TaskState.SUCCEEDED
    assert "output" not in world.entry("a")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("rows: 3", "is not JSON"),
        ("{'rows': 3}", "is not JSON"),
        ("[1, 2", "is not JSON"),
        ("NaN", "NaN is not JSON"),
        ("-Infinity", "-Infinity is not JSON"),
        ("1e999", "1e999 is too large a number"),
        ("[9223372036854775808]", "9223372036854775808 does not fit into 64 bits"),
        ("9" * 4000, "does not fit into 64 bits"),
        ('"\\ud800"', "cannot be stored in status"),
        ('{"\\udfff": 1}', "cannot be stored in status"),
        ("[" * 300 + "]" * 300, "cannot be stored in status"),
        ("[" * 2000 + "]" * 2000, "nested too deeply"),
    ],
    ids=lambda text: text[:20],
)
def test_what_cannot_be_kept_fails_the_task(text: str, why: str) -> None:
    world = World(task("a"))
    world.succeed("a", text)
    entry = world.entry("a")
    assert (entry["state"], entry["reason"]) == ("Failed", "InvalidOutput")
    assert why in entry["message"]
    orjson.dumps(world.status())


def test_a_bad_output_is_a_failure_like_any_other() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "10s"}))
    world.succeed("a", "oops")
    assert world.state("a") is TaskState.UP_FOR_RETRY
    world.wait(seconds=10)
    world.succeed("a", "1")
    assert world.entry("a")["output"] == 1


def test_the_longest_output_is_what_kubernetes_keeps() -> None:
    fits = json.dumps("x" * (MAX_OUTPUT_BYTES - 2))
    world = World(task("a"), task("b"))
    world.succeed("a", fits)
    world.succeed("b", fits + " ")
    assert world.states() == {"a": "Succeeded", "b": "Failed"}
    assert world.entry("b")["message"].startswith("output is 4097 bytes; the limit is 4096")


def test_an_output_that_kubernetes_cut_off_says_so() -> None:
    world = World(task("a"))
    world.succeed("a", json.dumps("x" * 5000)[:MAX_OUTPUT_BYTES])
    assert "cut off at 4096 bytes" in world.entry("a")["message"]


def filled(world: World, count: int) -> None:
    """Let the first `count` tasks leave 4,096 bytes each."""
    for index in range(count):
        world.succeed(f"t{index}", json.dumps("x" * (MAX_OUTPUT_BYTES - 2)))


@pytest.mark.parametrize("restart", [False, True], ids=["no restart", "after a restart"])
def test_all_outputs_of_a_run_have_a_budget(restart: bool) -> None:
    fitting = OUTPUT_BUDGET // MAX_OUTPUT_BYTES
    world = World(*(task(f"t{index}", retries={"limit": 3}) for index in range(fitting + 1)), maxActiveTasks=100)
    filled(world, fitting)
    if restart:
        world.restart()
    world.succeed(f"t{fitting}", "1")
    entry = world.entry(f"t{fitting}")
    assert (entry["state"], entry["reason"]) == ("Failed", "OutputTooLarge")
    assert "exceed 262144 bytes" in entry["message"]


def test_white_space_does_not_count_against_the_budget() -> None:
    count = 2 * OUTPUT_BUDGET // MAX_OUTPUT_BYTES
    world = World(*(task(f"t{index}") for index in range(count)), maxActiveTasks=count)
    for index in range(count):
        world.succeed(f"t{index}", "1" + " " * 4000)
    assert world.phase() == "Succeeded"


def test_the_output_of_a_failed_try_is_not_taken() -> None:
    world = World(task("a"))
    world.fail("a", output='{"rows": 3}')
    assert "output" not in world.entry("a")


def test_outputs_survive_a_restart() -> None:
    world = World(task("a"), task("b"), task("c"))
    world.succeed("a", "null")
    world.succeed("b", '{"x": [1]}')
    world.restart()
    assert (world.run["a"].has_output, world.run["a"].output) == (True, None)
    assert world.run["b"].output == {"x": [1]}
    assert world.run["c"].has_output is False
