"""Simulated runs: the scheduler's own decisions, at the times they would be taken."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tradewind.api.dag import DagSpec
from tradewind.api.resolve import ResolvedDag, resolve
from tradewind.engine.simulation import DagToRun, SimulatedRun, read_outcomes, simulate

pytestmark = pytest.mark.unit

START = datetime(2026, 1, 1, tzinfo=UTC)


def task(name: str, *depends_on: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "script": "true", "dependsOn": list(depends_on), **fields}


def dag(*tasks: dict[str, Any], **fields: Any) -> ResolvedDag:
    return resolve(DagSpec.model_validate({"tasks": list(tasks), **fields}))


def play(resolved: ResolvedDag, script: Any = None, **pools: int) -> SimulatedRun:
    outcomes, problems = read_outcomes(script, {"d": resolved})
    assert not problems
    (run,) = simulate([DagToRun("d", resolved, START)], outcomes=outcomes, pools=pools)
    return run


def seconds(run: SimulatedRun, name: str) -> tuple[float, float]:
    """When the last try of a task started and ended, from the start of the run."""
    instance = run.state[name]
    assert instance.started_at and instance.finished_at
    return (instance.started_at - START).total_seconds(), (instance.finished_at - START).total_seconds()


def test_all_succeed_after_a_second_by_default() -> None:
    run = play(dag(task("a"), task("b", "a"), task("c", "a"), task("d", "b", "c")))
    assert run.to_dict()["tasks"]["d"] == {
        "state": "Succeeded",
        "try": 1,
        "startedAt": "2026-01-01T00:00:02Z",
        "finishedAt": "2026-01-01T00:00:03Z",
        "reason": None,
    }
    assert (run.to_dict()["phase"], run.to_dict()["makespanSeconds"]) == ("Succeeded", 3)
    assert run.order == ["a", "b", "c", "d"]


def test_retries_wait_for_their_delay() -> None:
    run = play(dag(task("a", retries={"limit": 3, "delay": "1m"})), {"a": ["Failed", "Failed", {"duration": "5s"}]})
    assert run.order == ["a", "a", "a"], "each try is a start"
    assert [(each.number, each.state) for each in run.tries] == [(1, "Failed"), (2, "Failed"), (3, "Succeeded")]
    assert seconds(run, "a") == (122, 127)
    assert run.makespan == timedelta(seconds=127)


def test_more_failures_than_tries() -> None:
    run = play(dag(task("a", retries={"limit": 1, "delay": "1s"}), task("b", "a")), {"a": ["Failed"] * 9})
    result = run.to_dict()
    assert result["phase"] == "Failed"
    assert (result["tasks"]["a"]["try"], result["tasks"]["a"]["reason"]) == (2, "Error")
    assert (result["tasks"]["b"]["state"], result["tasks"]["b"]["startedAt"]) == ("UpstreamFailed", None)


def test_the_last_outcome_does_not_repeat() -> None:
    run = play(dag(task("a", retries={"limit": 5, "delay": "1s"})), {"a": ["Failed"]})
    assert (run.state.phase.value, run.state["a"].number) == ("Succeeded", 2)


def test_lost_tries_come_again_at_once_and_use_up_no_try() -> None:
    run = play(dag(task("a")), {"a": ["Lost", {"state": "Lost", "duration": "10s"}]})
    assert [each.state for each in run.tries] == ["Lost", "Lost", "Succeeded"]
    assert seconds(run, "a") == (11, 12)
    assert run.state["a"].number == 3


def test_too_many_lost_tries_fail() -> None:
    run = play(dag(task("a", retries={"limit": 0, "onLost": 1})), {"a": ["Lost", "Lost"]})
    assert (run.state.phase.value, run.state["a"].reason) == ("Failed", "Lost")


@pytest.mark.parametrize(
    ("fields", "outcome", "state", "reason"),
    [
        ({}, "Skipped", "Skipped", "SkipExitCode"),
        ({"skipExitCodes": [1, 2]}, "Skipped", "Skipped", "SkipExitCode"),
        ({"skipExitCodes": [1], "failExitCodes": [2]}, "Failed", "Failed", "Error"),
        ({}, {"exitCode": 99}, "Skipped", "SkipExitCode"),
        ({"failExitCodes": [7]}, {"exitCode": 7}, "Failed", "FailExitCode"),
        ({}, {"output": "x" * 5000}, "Failed", "InvalidOutput"),
    ],
)
def test_exit_codes_mean_what_the_task_says(fields: dict[str, Any], outcome: Any, state: str, reason: str) -> None:
    instance = play(dag(task("a", **fields)), {"a": [outcome]}).state["a"]
    assert (instance.state.value, instance.reason) == (state, reason)


def test_a_try_that_takes_longer_than_its_timeout() -> None:
    tasks = dag(task("a", timeout="1m", retries={"limit": 1, "delay": "10s"}))
    run = play(tasks, {"a": [{"duration": "1h"}, {"duration": "59s"}]})
    assert [(each.state, each.finished_at - each.started_at) for each in run.tries] == [
        ("Failed", timedelta(minutes=1)),
        ("Succeeded", timedelta(seconds=59)),
    ]
    assert run.state["a"].tries[0]["reason"] == "Timeout"
    assert play(tasks, {"a": [{"duration": "1m"}]}).state["a"].number == 1, "just in time"


def test_run_timeout() -> None:
    run = play(dag(task("a"), task("b", "a"), runTimeout="1h"), {"a": [{"duration": "2h"}]})
    assert (run.state.phase.value, run.state.reason, run.makespan) == ("Failed", "RunTimeout", timedelta(hours=1))
    assert [(each.task, each.state) for each in run.tries] == [("a", "Skipped")]


def test_slots_are_waited_for() -> None:
    narrow = dag(*[task(name, pool="p") for name in "abc"])
    assert play(narrow, p=1).makespan == timedelta(seconds=3)
    assert play(narrow, p=2).makespan == timedelta(seconds=2)
    assert play(narrow, p=-1).makespan == timedelta(seconds=1)
    assert play(dag(*[task(name) for name in "abcd"], maxActiveTasks=3)).makespan == timedelta(seconds=2)


@pytest.mark.parametrize(("pools", "says"), [({}, "which does not exist"), ({"p": 0}, "for a slot of pool 'p'")])
def test_what_would_wait_forever_is_reported(pools: dict[str, int], says: str) -> None:
    run = play(dag(task("a"), task("b", "a", pool="p"), task("c", "b")), **pools)
    result = run.to_dict()
    assert (result["phase"], result["makespanSeconds"]) == ("Running", 1)
    assert result["tasks"]["b"]["state"] == "Scheduled"
    assert says in result["tasks"]["b"]["reason"]
    assert result["tasks"]["c"] == {"state": "None", "try": 0, "startedAt": None, "finishedAt": None, "reason": None}


def test_noops_take_their_place_in_the_order() -> None:
    last, middle = {"name": "z", "noop": True, "dependsOn": ["b"]}, {"name": "m", "noop": True, "dependsOn": ["a"]}
    run = play(dag(last, {"name": "y", "noop": True, "dependsOn": ["z"]}, task("b", "m"), middle, task("a")))
    assert run.order == ["a", "m", "b", "z", "y"]
    assert run.to_dict()["tasks"]["m"]["try"] == 0


def test_tries_without_duration() -> None:
    run = play(dag(task("a"), task("b", "a")), {"a": [{"duration": "0s"}], "b": [{"duration": "250ms"}]})
    assert run.to_dict()["makespanSeconds"] == 0.25


def test_several_dags_share_the_pools() -> None:
    dags = {name: dag(task("t", pool="p")) for name in ("x", "y")}
    outcomes, problems = read_outcomes({"x/t": [{"duration": "7s"}]}, dags)
    assert not problems
    runs = simulate([DagToRun(name, each, START) for name, each in dags.items()], outcomes=outcomes, pools={"p": 1})
    assert [seconds(run, "t") for run in runs] == [(0, 7), (7, 8)]


def test_months_of_backoff_are_always_the_same() -> None:
    tasks = dag(*[task(f"t{i}", retries={"limit": 400, "delay": "1h", "backoff": 1.5}) for i in range(10)])
    script = {f"t{i}": ["Failed"] * 400 for i in range(10)}
    first, second = play(tasks, script), play(tasks, script)
    assert first.makespan > timedelta(days=300)
    assert first.to_dict() == second.to_dict()
    assert len(first.tries) == 4010


@pytest.mark.parametrize(
    ("script", "path", "says"),
    [
        ([], (), "must be an object"),
        ({"lod": []}, ("lod",), "no task named 'lod'; did you mean load?"),
        ({"e/load": []}, ("e/load",), "no Dag named 'e'"),
        ({"load[0]": []}, ("load[0]",), "not mapped"),
        ({"load": "Failed"}, ("load",), "must be a list"),
        ({"load": ["Broken"]}, ("load", 0), "'Broken' is not one of Succeeded, Failed, Skipped, Lost"),
        ({"load": ["Failed", 1]}, ("load", 1), "must be one of"),
        ({"load": [{"exit": 1}]}, ("load", 0, "exit"), "no such field"),
        ({"load": [{"exitCode": True}]}, ("load", 0, "exitCode"), "is not an exit code"),
        ({"load": [{"exitCode": 256}]}, ("load", 0, "exitCode"), "from 0 to 255"),
        ({"load": [{"duration": "long"}]}, ("load", 0, "duration"), "is not a duration"),
        ({"load": [{"duration": 3}]}, ("load", 0, "duration"), "is not a duration"),
        ({"load": [{"state": "Nix", "duration": "1s"}]}, ("load", 0, "state"), "is not one of"),
        ({"load": [{"state": "Failed", "exitCode": 1}]}, ("load", 0, "exitCode"), "either state or exitCode"),
        ({"never": ["Skipped"]}, ("never", 0), "no skipExitCodes"),
        ({"noop": ["Failed"]}, ("noop", 0), "is a noop"),
    ],
)
def test_bad_outcomes(script: Any, path: tuple[str | int, ...], says: str) -> None:
    tasks = dag(task("load"), task("never", skipExitCodes=[]), {"name": "noop", "noop": True})
    _, problems = read_outcomes(script, {"d": tasks})
    assert [problem.path for problem in problems] == [path]
    assert says in problems[0].message


def test_every_problem_is_reported_once() -> None:
    dags = {name: dag(task("t")) for name in ("x", "y")}
    _, problems = read_outcomes({"t": ["Bad", "Worse"], "u": []}, dags)
    assert [problem.path for problem in problems] == [("t", 0), ("t", 1), ("u",)]
