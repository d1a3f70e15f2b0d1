"""Rerun: tasks that are cleared, tasks that stay, and the run afterwards."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.engine.asked import ask, decide, play, refused
from tests.unit.engine.engine_world import World, dag, task
from tradewind.engine.run.known_tries import has_result
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import TryEvent, TryReport

pytestmark = pytest.mark.unit


def chain(**first: object) -> World:
    return World(task("a", **first), task("b", "a"), task("c", "b"), task("aside"))


# What is chosen -----------------------------------------------------------------------------------------------------


def grouped() -> World:
    return World(
        task("first"),
        task("one", group="load"),
        task("two", "one", group="load"),
        task("last", "load"),
        task("many", "first", forEach={"items": [1, 2, 3]}),
        groups=[{"name": "load", "dependsOn": ["first"]}],
    )


@pytest.mark.parametrize(
    ("tasks", "fields", "expected"),
    [
        ([], {}, ["first", "one", "two", "last", "many[0]", "many[1]", "many[2]"]),
        (["two"], {}, ["two"]),
        (["load"], {}, ["one", "two"]),
        (["load"], {"downstream": True}, ["one", "two", "last"]),
        (["two"], {"upstream": True}, ["first", "one", "two"]),
        (["one"], {"upstream": True, "downstream": True}, ["first", "one", "two", "last"]),
        (["many[1]"], {}, ["many[1]"]),
        (["many[1]", "many[2]", "first"], {}, ["first", "many[1]", "many[2]"]),
        (["many[1]"], {"upstream": True}, ["first", "many[1]"]),
        (["first"], {"downstream": True}, ["first", "one", "two", "last", "many[0]", "many[1]", "many[2]"]),
    ],
)
def test_what_is_run_again(tasks: list[str], fields: dict[str, Any], expected: list[str]) -> None:
    world = play(grouped())
    assert world.phase() == "Succeeded"
    decision = decide(world, "Rerun", *tasks, **fields)
    names = [each.task if each.index is None else f"{each.task}[{each.index}]" for each in decision.changes]
    assert names == expected
    assert all((each.state, each.number) == (TaskState.SUCCEEDED, 1) for each in decision.changes)
    world.starts.clear()
    ask(world, "Rerun", *tasks, **fields)
    play_again = set(expected)
    while world.starts:
        key = world.starts.pop(0).key
        assert key.instance in play_again
        play_again.discard(key.instance)
        assert key.number == 2
        world.succeed(key.instance)
    assert not play_again
    assert world.phase() == "Succeeded"


def test_only_what_failed_or_did_not_run_for_it() -> None:
    world = play(chain(), "a")
    assert world.phase() == "Failed"
    decision = ask(world, "Rerun", onlyFailed=True)
    assert decision.message == "tasks to rerun: a, b, c"
    play(world)
    assert world.phase() == "Succeeded"
    assert [world.entry(name).get("try") for name in ("a", "b", "c", "aside")] == [2, 1, 1, 1]


def test_only_failed_includes_downstream_tasks() -> None:
    world = play(World(task("a"), task("b", "a"), task("c", "b"), task("d")), "b", "d")
    assert ask(world, "Rerun", "a", onlyFailed=True, downstream=True).message == "tasks to rerun: b, c"


@pytest.mark.parametrize("why", ["FailFast", "RunTimeout", "Stopped"])
def test_what_was_skipped_since_the_run_ended_counts_as_failed(why: str) -> None:
    world = World(
        task("a"), task("b", "a"), task("many", "a", forEach={"items": [1, 2]}), runTimeout="1h", failFast=True
    )
    if why == "FailFast":
        world.fail("a")
    elif why == "RunTimeout":
        world.wait(hours=1)
    else:
        ask(world, "Stop")
    assert world.run.reason == why
    ask(world, "Rerun", onlyFailed=True)
    play(world)
    assert world.states() == dict.fromkeys(["a", "b", "many[0]", "many[1]"], "Succeeded")
    assert (world.phase(), world.run.reason) == ("Succeeded", "Succeeded")


def test_instances_that_were_skipped_since_the_run_ended_count_as_failed() -> None:
    world = World(task("many", forEach={"items": [1, 2, 3, 4]}, maxActivePerRun=2), runTimeout="1h")
    world.succeed("many[0]")
    world.skip("many[1]")
    world.wait(hours=1)
    world.restart()
    assert ask(world, "Rerun", onlyFailed=True).message == "tasks to rerun: many[2-3]"


def test_a_task_that_skipped_itself_has_not_failed() -> None:
    world = World(task("a"), task("b", "a"), task("c"))
    world.skip("a")
    world.fail("c")
    assert ask(world, "Rerun", onlyFailed=True).message == "tasks to rerun: c"


# What stays of the tries --------------------------------------------------------------------------------------------


def test_tries_continue_and_retries_count_from_scratch() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "1s"}))
    world.fail("a", message="once")
    world.wait(seconds=1)
    world.fail("a", 3, message="twice")
    assert world.phase() == "Failed"
    ask(world, "Rerun")
    assert world.started() == ["a#3"]
    world.fail("a")
    assert world.state("a") is TaskState.UP_FOR_RETRY, "a retry of its own"
    world.wait(seconds=1)
    world.fail("a")
    assert (world.state("a"), world.run["a"].number) == (TaskState.FAILED, 4)
    entry = world.entry("a")
    assert entry["triesBefore"] == 2
    assert [(past["number"], past["state"], past.get("message")) for past in entry["tries"]] == [
        (1, "Failed", "once"),
        (2, "Failed", "twice"),
        (3, "Failed", "exit code 1"),
    ]
    assert entry["tries"][1]["exitCode"] == 3


def test_lost_tries_are_among_those_before() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "1s", "onLost": 1}))
    world.lose("a")
    world.succeed("a", '{"rows": 1}')
    ask(world, "Rerun")
    assert "output" not in world.entry("a")
    world.lose("a")
    world.fail("a")
    assert world.state("a") is TaskState.UP_FOR_RETRY
    assert [past["state"] for past in world.entry("a")["tries"]] == ["Lost", "Succeeded", "Lost"]


def test_a_cleared_task_that_waits_is_in_status_with_its_tries() -> None:
    world = play(chain())
    ask(world, "Rerun", "b", "c")
    assert world.entry("c") == {
        "name": "c",
        "state": "None",
        "try": 1,
        "triesBefore": 1,
        "tries": [{"number": 1, "state": "Succeeded", "exitCode": 0, "finishedAt": "2026-03-01T12:00:00Z"}],
    }
    world.restart()
    assert world.entry("c")["tries"]
    play(world)
    assert world.states() == dict.fromkeys(["a", "b", "c", "aside"], "Succeeded")


def test_what_pods_of_earlier_tries_say_changes_nothing() -> None:
    world = World(task("a", sensor={"interval": "1s"}))
    world.fail("a")
    world.wait(seconds=1)
    world.succeed("a")
    ask(world, "Rerun")
    old = [TryReport("a", 1, TryEvent.ENDED, exit_code=0, poke=poke) for poke in (1, 2)]
    world.restart(old)
    assert world.state("a") is TaskState.SCHEDULED
    assert (world.run["a"].number, world.run["a"].pokes) == (2, 1)
    assert all(has_result(world.run, report.key) for report in old)


def test_a_second_rerun_keeps_everything() -> None:
    world = play(World(task("a")))
    for number in (2, 3):
        ask(world, "Rerun")
        assert world.started() == [f"a#{number}"]
        play(world)
    assert [past["number"] for past in world.entry("a")["tries"]] == [1, 2]
    assert [record["state"] for record in world.status()["requests"]] == ["Applied", "Applied"]


# The run ------------------------------------------------------------------------------------------------------------


def test_the_run_waits_for_its_turn() -> None:
    world = play(World(task("a"), maxActiveRuns=1))
    before = world.status()
    decision = decide(world, "Rerun", message="the source was late")
    status = decision.status
    assert status["phase"] == "Queued"
    assert status["done"] == "0/1"
    assert status["message"] == "rerun requested by alice: the source was late"
    assert not {"reason", "startedAt", "finishedAt", "duration"} & status.keys()
    assert {"phase", "startedAt", "finishedAt", "duration"} <= before.keys()
    assert status["conditions"][0]["status"] == "False"


def test_the_time_of_a_run_counts_from_its_new_start() -> None:
    world = World(task("a"), runTimeout="10m")
    world.fail("a")
    world.wait(hours=1)
    ask(world, "Rerun")
    assert world.phase() == "Running"
    world.wait(minutes=9)
    assert world.phase() == "Running"
    world.wait(minutes=2)
    assert (world.phase(), world.run.reason) == ("Failed", "RunTimeout")


def test_the_record() -> None:
    world = play(World(task("a")))
    decision = ask(world, "Rerun", "a", downstream=True, message="why not")
    [record] = decision.status["requests"]
    assert record.pop("id").startswith("r")
    assert record == {
        "type": "Rerun",
        "requestedBy": "alice",
        "tasks": ["a"],
        "downstream": True,
        "requestMessage": "why not",
        "state": "Applied",
        "message": "tasks to rerun: a",
        "time": "2026-03-01T12:00:00Z",
    }
    assert world.status()["requests"] == decision.status["requests"]


def test_the_record_stays_small() -> None:
    world = play(World(*(task(f"t{number}") for number in range(300)), maxActiveTasks=300))
    for _ in range(40):
        decision = decide(world, "Rerun", *(f"t{number}" for number in range(300)), message="x" * 1000)
        assert decision.applied
        world.run.requests = decision.status["requests"]
    records = decision.status["requests"]
    assert len(str(records)) < 80_000
    assert len(records) < 40
    assert records[-1]["tasks"][-1] == "and 200 more"
    assert "and 290 more" in records[-1]["message"]


# Running tries ------------------------------------------------------------------------------------------------------


def test_named_tasks_of_a_running_run() -> None:
    world = chain()
    world.succeed("a")
    world.running("b")
    world.running("aside")
    decision = ask(world, "Rerun", "b")
    assert [(key.task, key.number) for key in decision.stops] == [("b", 1)]
    assert world.phase() == "Running"
    assert world.started() == ["b#2"]
    [past] = world.entry("b")["tries"]
    assert (past["state"], past["reason"]) == ("Failed", "Cleared")
    world.tell("b", TryEvent.LOST, number=1, reason="PodDeleted")
    assert world.state("b") is TaskState.SCHEDULED
    assert world.state("aside") is TaskState.RUNNING
    play(world)
    world.succeed("aside")
    assert world.phase() == "Succeeded"


def test_the_start_of_a_running_run_stays() -> None:
    world = chain()
    world.succeed("a")
    world.wait(minutes=1)
    before = world.run.started_at
    ask(world, "Rerun", "a")
    assert world.run.started_at == before


def test_failed_tasks_of_a_running_run() -> None:
    world = chain()
    world.fail("a")
    ask(world, "Rerun", onlyFailed=True)
    assert world.started() == ["a#2", "aside"]
    play(world)
    world.succeed("aside")
    assert world.phase() == "Succeeded"


def test_a_retry_is_not_waited_for() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "1h"}))
    world.fail("a", message="first")
    ask(world, "Rerun", "a")
    assert world.started() == ["a#2"]
    assert world.entry("a")["tries"][0]["message"] == "first"


def test_a_run_that_fails_fast_continues() -> None:
    world = World(
        task("a"),
        task("b"),
        task("setup", setup=True),
        task("work", "setup"),
        task("down", "work", teardown={"setups": ["setup"]}),
        failFast=True,
    )
    world.succeed("setup")
    world.fail("a")
    assert world.run.reason == "FailFast"
    ask(world, "Rerun", onlyFailed=True)
    assert world.run.reason is None
    play(world)
    assert world.phase() == "Succeeded"


# Setup and teardown, branches ---------------------------------------------------------------------------------------


def test_setup_and_teardown_run_again_with_what_is_in_their_scope() -> None:
    world = World(
        task("before"),
        task("make", "before", setup=True),
        task("use", "make"),
        task("drop", "use", teardown={"setups": ["make"]}),
        task("after", "use"),
        task("lone", setup=True),
        task("with-lone", "lone"),
    )
    play(world, "use")
    assert ask(world, "Rerun", onlyFailed=True).message == "tasks to rerun: make, use, drop, after"
    play(world)
    assert world.phase() == "Succeeded"
    assert decide(world, "Rerun", "make").message == "tasks to rerun: make, drop"
    assert decide(world, "Rerun", "drop").message == "tasks to rerun: drop"
    assert decide(world, "Rerun", "before").message == "tasks to rerun: before"
    assert decide(world, "Rerun", "after").message == "tasks to rerun: after"
    assert decide(world, "Rerun", "with-lone").message == "tasks to rerun: lone, with-lone"


def branching() -> World:
    return World(task("pick", branch=True), task("left", "pick"), task("right", "pick"), task("deep", "right"))


def test_a_decision_holds_when_the_rest_runs_again() -> None:
    world = play(branching(), pick='"left"')
    assert world.states() == {"pick": "Succeeded", "left": "Succeeded", "right": "Skipped", "deep": "Skipped"}
    ask(world, "Rerun", "left", "right", "deep")
    play(world)
    assert world.states() == {"pick": "Succeeded", "left": "Succeeded", "right": "Skipped", "deep": "Skipped"}


def test_a_branch_that_runs_again_decides_again() -> None:
    world = play(branching(), pick='"left"')
    ask(world, "Rerun", "pick", downstream=True)
    play(world, pick='"right"')
    assert world.states() == {"pick": "Succeeded", "left": "Skipped", "right": "Succeeded", "deep": "Succeeded"}


# The Dag as it is now -----------------------------------------------------------------------------------------------


def test_with_the_latest_dag() -> None:
    world = play(World(task("a"), task("gone", "a"), task("c", "a")), "a")
    newer = dag(task("a"), task("new", "a"), task("c", "new"))
    decision = ask(world, "Rerun", onlyFailed=True, revision="Latest", latest=newer)
    assert decision.status["revision"] == "d-2"
    play(world)
    assert world.states() == dict.fromkeys(["a", "new", "c"], "Succeeded")
    status = world.status()
    [removed] = [entry for entry in status["tasks"] if entry["name"] == "gone"]
    assert (removed["state"], removed["reason"]) == ("Removed", "Removed")
    assert (status["phase"], status["done"]) == ("Succeeded", "3/3")


def test_a_task_that_comes_back_continues_with_its_numbers() -> None:
    old = [task("a"), task("x", "a"), task("each", "a", forEach={"items": [1, 2]})]
    world = play(World(*old))
    ask(world, "Rerun", revision="Latest", latest=dag(task("a")))
    play(world)
    entries = {entry["name"]: entry for entry in world.status()["tasks"]}
    assert {name: entry["state"] for name, entry in entries.items()} == {
        "a": "Succeeded",
        "x": "Removed",
        "each": "Removed",
    }
    assert entries["x"]["tries"][0]["state"] == "Succeeded"
    world.run.info = replace(world.run.info, revision="d-1")
    ask(world, "Rerun", revision="Latest", latest=dag(*old))
    assert set(world.started()) == {"a#3"}
    world.succeed("a")
    assert set(world.started()) == {"a#3", "x#2", "each[0]#2", "each[1]#2"}


def test_a_task_that_is_mapped_now() -> None:
    world = play(World(task("a"), task("b", "a"), task("c", "b")), "c")
    newer = dag(task("a"), task("b", "a", forEach={"items": [1, 2]}), task("c", "b"))
    ask(world, "Rerun", onlyFailed=True, revision="Latest", latest=newer)
    play(world)
    assert world.states() == dict.fromkeys(["a", "b[0]", "b[1]", "c"], "Succeeded")


def test_a_task_that_is_mapped_no_more() -> None:
    world = play(World(task("b", forEach={"items": [1, 2]}), task("c", "b")), "c")
    ask(world, "Rerun", onlyFailed=True, revision="Latest", latest=dag(task("b"), task("c", "b")))
    play(world)
    assert world.states() == {"b": "Succeeded", "c": "Succeeded"}


def test_only_what_is_new() -> None:
    world = play(World(task("a")))
    newer = dag(task("a"), task("new", "a"))
    ask(world, "Rerun", "new", revision="Latest", latest=newer)
    assert world.started() == ["new"]


# What cannot be done ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tasks", "fields", "message"),
    [
        (["nope"], {}, "no task or group named 'nope'"),
        (["a[0]"], {}, "'a' is not mapped"),
        (["many[9]"], {}, "many[9]: 'many' has 2 instances, 0 to 1"),
        (["a"], {"onlyFailed": True}, "none of the selected tasks has failed"),
    ],
)
def test_what_is_not_there(tasks: list[str], fields: dict[str, object], message: str) -> None:
    world = play(World(task("a"), task("many", forEach={"items": [1, 2]})))
    assert message in refused(world, "Rerun", *tasks, **fields)


def test_nothing_has_begun() -> None:
    world = World(task("a", noop=False), task("b", "a"))
    assert "none of the selected tasks has started" in refused(world, "Rerun", "b")


def test_a_running_run_as_a_whole() -> None:
    world = chain()
    assert "name the tasks to rerun" in refused(world, "Rerun")
    assert "keeps the Dag revision it started with" in refused(
        world, "Rerun", "a", revision="Latest", latest=dag(task("a"))
    )
    ask(world, "Rerun", "a")


def test_a_run_that_is_not_run_again_as_a_whole_says_what_still_lacks() -> None:
    world = play(chain(retries={"limit": 0}), "a")
    ask(world, "Rerun", "a")
    play(world)
    assert (world.phase(), world.run.message) == ("Failed", "upstream failed: b, c")
