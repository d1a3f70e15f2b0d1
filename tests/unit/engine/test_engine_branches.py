"""branch and shortCircuit."""

from typing import Any

import pytest

from tests.unit.engine.engine_world import World, task
from tradewind.engine.status.run_status import run_status

pytestmark = pytest.mark.unit


def world(*tasks: dict[str, Any], output: str | None, **spec: Any) -> World:
    """A world in which the task `b` has written its output."""
    found = World(*tasks, **spec)
    found.running("b")
    found.succeed("b", output=output)
    return found


FORK = (task("b", branch=True), task("left", "b"), task("right", "b"), task("join", "left", "right"))


def test_what_is_not_chosen_is_skipped() -> None:
    found = world(*FORK, output='"left"')
    assert found.states() == {"b": "Succeeded", "left": "Scheduled", "right": "Skipped", "join": "Skipped"}
    assert found.entry("right")["reason"] == "NotFollowed"
    assert found.entry("right")["message"] == "not chosen by branch 'b'"


def test_several_can_be_chosen_and_none() -> None:
    assert world(*FORK, output='["left", "right"]').states()["right"] == "Scheduled"
    assert world(*FORK, output="[]").states() == {
        "b": "Succeeded",
        "left": "Skipped",
        "right": "Skipped",
        "join": "Skipped",
    }
    assert world(*FORK, output="null").states()["left"] == "Skipped"


def test_a_task_after_a_chosen_one_is_not_skipped_by_the_branch() -> None:
    tasks = (task("b", branch=True), task("left", "b"), task("join", "b", "left"))
    found = world(*tasks, output='"left"')
    assert found.states()["join"] == "None"
    found.running("left")
    found.succeed("left")
    assert found.states()["join"] == "Scheduled"


@pytest.mark.parametrize("rule", ["AllDone", "OneFailed", "NoneFailed", "AllSkipped"])
def test_what_is_not_chosen_is_skipped_whatever_its_rule(rule: str) -> None:
    tasks = (task("b", branch=True), task("left", "b"), task("right", "b", triggerRule=rule))
    assert world(*tasks, output='"left"').states()["right"] == "Skipped"


def test_a_join_runs_with_a_rule_that_allows_skips() -> None:
    found = world(*FORK[:3], task("join", "left", "right", triggerRule="NoneFailedMinOneSuccess"), output='"left"')
    found.running("left")
    found.succeed("left")
    assert found.states()["join"] == "Scheduled"


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ('"nowhere"', "'nowhere', which is not a direct downstream task or group; choose one of left, right"),
        ('["left", "join"]', "'join', which is not a direct"),
        ("3", "but wrote 3"),
        ('{"a": 1}', "but wrote {'a': 1}"),
        (None, "but wrote nothing; choose one of left, right"),
    ],
)
def test_an_output_that_is_no_decision_fails_the_branch(output: str | None, message: str) -> None:
    found = world(*FORK, output=output)
    assert found.states() == {
        "b": "Failed",
        "left": "UpstreamFailed",
        "right": "UpstreamFailed",
        "join": "UpstreamFailed",
    }
    assert message in found.entry("b")["message"]


def test_a_decision_holds_after_a_restart() -> None:
    found = world(*FORK, output='"left"')
    status = run_status(found.run)
    status["tasks"] = [entry for entry in status["tasks"] if entry["name"] == "b"]
    found.restart(status=status)
    assert found.states() == {"b": "Succeeded", "left": "Scheduled", "right": "Skipped", "join": "Skipped"}


CHAIN = (task("b", shortCircuit=True), task("next", "b"), task("last", "next", triggerRule="AllDone"))


def test_a_short_circuit_that_says_stop_skips_all_downstream_tasks() -> None:
    found = world(*CHAIN, output="false")
    assert found.states() == {"b": "Succeeded", "next": "Skipped", "last": "Skipped"}
    assert (found.phase(), found.entry("last")["reason"]) == ("Succeeded", "ShortCircuit")
    assert found.entry("last")["message"] == "skipped by short circuit 'b' (output: false)"


@pytest.mark.parametrize("output", ["true", None])
def test_a_short_circuit_that_does_not_say_stop_continues(output: str | None) -> None:
    assert world(*CHAIN, output=output).states()["next"] == "Scheduled"


def test_a_short_circuit_may_respect_trigger_rules() -> None:
    tasks = (task("b", shortCircuit={"respectTriggerRules": True}), *CHAIN[1:])
    found = world(*tasks, output="false")
    assert found.states() == {"b": "Succeeded", "next": "Skipped", "last": "Scheduled"}


def test_a_short_circuit_says_true_or_false() -> None:
    found = world(*CHAIN, output='"no"')
    assert found.states()["b"] == "Failed"
    assert "true (continue) or false (skip), but wrote 'no'" in found.entry("b")["message"]


def test_teardowns_run_though_a_short_circuit_says_stop() -> None:
    tasks = (
        task("up", setup=True),
        task("b", "up", shortCircuit=True),
        task("work", "b"),
        task("down", "work", teardown={"setups": ["up"]}),
    )
    found = World(*tasks)
    for name, output in (("up", None), ("b", "false")):
        found.running(name)
        found.succeed(name, output=output)
    assert found.states() == {"up": "Succeeded", "b": "Succeeded", "work": "Skipped", "down": "Scheduled"}
