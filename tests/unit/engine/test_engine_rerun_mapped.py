"""Rerun of mapped tasks and of single instances of them."""

import pytest

from tests.unit.engine.asked import ask, decide, play, refused
from tests.unit.engine.engine_world import World, task
from tradewind.engine.run.states import TaskState

pytestmark = pytest.mark.unit


def mapped(**fields: object) -> World:
    return World(task("list"), task("each", "list", forEach={"output": "list"}, **fields), task("all", "each"))


def test_some_instances_run_again() -> None:
    world = play(mapped(), list="[1, 2, 3, 4]")
    decision = ask(world, "Rerun", "each[1]", "each[3]")
    assert decision.message == "tasks to rerun: each[1,3]"
    assert world.started() == ["each[1]#2", "each[3]#2"]
    assert world.entry("each")["rerunFrom"] == {"1": "1,3"}
    play(world)
    assert world.phase() == "Succeeded"
    entry = world.entry("each")
    assert (entry["indexes"], entry["numbers"]) == ({"Succeeded": "0-3"}, {"2": "1,3"})


def test_failed_instances_run_again_and_keep_their_tries() -> None:
    world = World(task("each", forEach={"items": [1, 2, 3]}), task("all", "each"))
    world.succeed("each[0]", "10")
    world.fail("each[1]", message="no luck")
    world.succeed("each[2]", "30")
    assert world.phase() == "Failed"
    ask(world, "Rerun", onlyFailed=True)
    world.restart()
    assert world.entry("each")["indexes"] == {"Succeeded": "0,2", "Scheduled": "1"}
    world.starts.clear()
    world.restart()
    world.succeed("each[1]", "20")
    [entry] = world.entry("each")["instances"]
    assert (entry["index"], entry["state"], entry["triesBefore"]) == (1, "Succeeded", 1)
    assert entry["tries"][0]["message"] == "no luck"
    assert world.run.node("each").output == (True, [10, 20, 30])
    play(world)
    assert world.state("all") is TaskState.SUCCEEDED


def test_a_mapped_task_keeps_its_instances_unless_its_items_change() -> None:
    world = play(mapped(), list="[1, 2, 3]")
    ask(world, "Rerun", "each")
    assert world.started() == ["each[0]#2", "each[1]#2", "each[2]#2"]
    play(world)
    decision = ask(world, "Rerun", "list", downstream=True)
    assert decision.message == "tasks to rerun: list, each, all"
    assert world.entry("each") == {
        "name": "each",
        "state": "None",
        "indexes": {"Removed": "0-2"},
        "numbers": {"2": "0-2"},
        "rerunFrom": {"2": "0-2"},
    }
    world.succeed("list", "[1, 2]")
    world.restart()
    entry = world.entry("each")
    assert (entry["count"], entry["indexes"]) == (2, {"Removed": "2", "Scheduled": "0-1"})
    play(world)
    assert world.started() == []
    assert world.phase() == "Succeeded"
    assert world.status()["done"] == "4/4"
    assert world.entry("each")["indexes"] == {"Removed": "2", "Succeeded": "0-1"}


def test_an_index_that_comes_back_continues_with_its_numbers() -> None:
    world = play(mapped(), list="[1, 2, 3]")
    for items, started in [
        ("[1]", ["list#2", "each[0]#2", "all#2"]),
        ("[]", ["list#3"]),
        ("[1, 2, 3, 4]", ["list#4", "each[0]#3", "each[1]#2", "each[2]#2", "each[3]", "all#3"]),
    ]:
        world.starts.clear()
        ask(world, "Rerun")
        names = []
        while world.starts:
            key = world.starts.pop(0).key
            names.append(key.instance if key.number == 1 else f"{key.instance}#{key.number}")
            world.restart()
            world.starts.clear()
            world.succeed(key.instance, items if key.task == "list" else None)
            world.starts.sort(key=lambda start: (start.task.name == "all", start.key.index or 0))
            seen = {name.partition("#")[0] for name in names}
            world.starts = [each for each in world.starts if each.key.instance not in seen]
            if not world.starts and not world.run.finished:
                world.restart()
                world.starts = [each for each in world.starts if each.key.instance not in seen]
        assert sorted(names) == sorted(started)
        assert world.phase() == "Succeeded"


def test_items_that_change_though_only_the_source_and_one_instance_were_named() -> None:
    world = play(mapped(), list="[1, 2, 3]")
    assert decide(world, "Rerun", "list", "each[0]").message == "tasks to rerun: list, each"
    assert decide(world, "Rerun", "list").message == "tasks to rerun: list", "the instances there are keep their ends"


def mapped_group() -> World:
    return World(
        task("list"),
        task("fetch", group="stores"),
        task("clean", "fetch", group="stores"),
        task("all", "stores"),
        groups=[{"name": "stores", "forEach": {"output": "list"}}],
    )


def test_in_a_mapped_group_downstream_tasks_have_the_same_index() -> None:
    world = play(mapped_group(), list="[1, 2, 3]")
    assert decide(world, "Rerun", "fetch[1]", downstream=True).message == "tasks to rerun: fetch[1], clean[1], all"
    assert decide(world, "Rerun", "clean[2]", upstream=True).message == "tasks to rerun: list, fetch, clean"


def test_a_mapped_group_is_mapped_again_as_a_whole() -> None:
    world = play(mapped_group(), list="[1, 2, 3]")
    assert decide(world, "Rerun", "list", "clean").message == "tasks to rerun: list, fetch, clean"
    ask(world, "Rerun", "list", "clean")
    play(world, list="[1, 2]")
    assert [world.entry(name)["indexes"] for name in ("fetch", "clean")] == [{"Removed": "2", "Succeeded": "0-1"}] * 2
    assert world.phase() == "Succeeded"


def test_a_mapped_task_that_never_had_instances() -> None:
    world = play(mapped(), "list")
    assert world.states() == {"list": "Failed", "each": "UpstreamFailed", "all": "UpstreamFailed"}
    ask(world, "Rerun", onlyFailed=True)
    play(world, list="[1, 2]")
    assert world.states() == dict.fromkeys(["list", "each[0]", "each[1]", "all"], "Succeeded")


def test_thousands_of_instances_run_again() -> None:
    world = World(task("each", forEach={"items": list(range(10_000))}), maxMapLength=10_000, maxActiveTasks=2)
    world.succeed("each[0]")
    ask(world, "Stop")
    decision = ask(world, "Rerun", onlyFailed=True)
    assert decision.message == "tasks to rerun: each[1-9999]"
    assert len(str(decision.status)) < 30_000


def test_instances_that_are_not_known_yet() -> None:
    world = mapped()
    assert "the instances of 'each' are not known yet" in refused(world, "Rerun", "each[0]")
