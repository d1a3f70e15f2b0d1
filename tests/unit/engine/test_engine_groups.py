"""Groups: what is inside, before and behind them; and mapped groups, whose inner edges go from index to index."""

from typing import Any

import pytest

from tests.unit.engine.engine_world import World, group, task
from tests.unit.engine.mapped_groups import mapped, over_output
from tradewind.engine.rules.rendering import render_task
from tradewind.engine.run.states import TaskState

pytestmark = pytest.mark.unit


# Groups ---------------------------------------------------------------------------------------------------------------


def test_the_first_tasks_of_a_group_wait_for_what_it_depends_on_and_what_depends_on_it_for_its_last() -> None:
    world = World(
        task("before"),
        task("first", group="g"),
        task("second", "first", group="g"),
        task("alone", group="g"),
        task("behind", "g"),
        groups=[group("g", "before")],
    )
    assert world.started() == ["before"]
    world.succeed("before")
    assert world.started()[1:] == ["first", "alone"]
    world.succeed("alone")
    world.succeed("first")
    assert world.started()[3:] == ["second"]
    world.succeed("second")
    assert world.started()[4:] == ["behind"]


def test_groups_inside_groups_and_behind_each_other() -> None:
    world = World(
        task("a", group="inner"),
        task("b", "inner", group="outer"),
        task("c", group="later"),
        task("d", "later"),
        groups=[group("outer"), group("inner", group="outer"), group("later", "outer")],
    )
    for name in "abcd":
        assert world.started()[-1] == name
        world.succeed(name)
    assert world.phase() == "Succeeded"


def test_a_failure_in_a_group_reaches_what_is_behind_it() -> None:
    world = World(
        task("a", group="g"),
        task("b", group="g"),
        task("after", "g"),
        task("always", "g", triggerRule="AllDone"),
        groups=[group("g")],
    )
    world.fail("a")
    assert world.state("after") is TaskState.UPSTREAM_FAILED
    world.succeed("b")
    assert world.state("always") is TaskState.SCHEDULED


# Mapped groups --------------------------------------------------------------------------------------------------------


def chain(**spec: Any) -> World:
    """before → g (first → second → third, three times) → behind"""
    return World(
        task("before"),
        task("first", group="g"),
        task("second", "first", group="g"),
        task("third", "second", group="g"),
        task("behind", "g"),
        groups=[mapped("before")],
        **spec,
    )


def test_inner_edges_go_from_index_to_index() -> None:
    world = chain()
    world.succeed("before")
    assert world.started()[1:] == ["first[0]", "first[1]", "first[2]"]
    world.succeed("first[1]")
    assert world.started()[4:] == ["second[1]"]
    world.succeed("second[1]")
    assert world.started()[5:] == ["third[1]"]
    world.succeed_started()
    assert world.started()[-1] == "behind", "it waits for all of them"
    assert world.phase() == "Succeeded"
    assert world.status()["done"] == "11/11"


def test_an_instance_that_fails_stops_its_own_index_alone() -> None:
    world = chain()
    world.succeed("before")
    world.fail("first[1]")
    assert world.counted("second") == {"None": 2, "UpstreamFailed": 1}
    assert world.counted("third") == {"None": 2, "UpstreamFailed": 1}
    assert world.state("behind") is TaskState.UPSTREAM_FAILED
    world.succeed_started()
    assert world.counted("third") == {"Succeeded": 2, "UpstreamFailed": 1}
    assert world.phase() == "Failed"
    assert world.run.message == "failed: first (1 of 3)"


def test_what_is_behind_a_mapped_group_may_wait_for_the_rest() -> None:
    world = World(
        task("first", group="g"),
        task("second", "first", group="g"),
        task("behind", "g", triggerRule="AllDoneMinOneSuccess"),
        groups=[mapped()],
    )
    world.fail("first[0]")
    world.succeed_started()
    assert world.counted("second") == {"Succeeded": 2, "UpstreamFailed": 1}
    assert world.state("behind") is TaskState.SUCCEEDED
    assert world.phase() == "Succeeded", "its leaf did"


def test_edges_into_a_mapped_group_from_outside_count_for_every_index() -> None:
    world = World(
        task("outside"),
        task("first", group="g"),
        task("second", "first", "outside", group="g"),
        groups=[mapped()],
    )
    world.succeed("first[0]")
    assert world.started() == ["outside", "first[0]", "first[1]", "first[2]"]
    world.succeed("outside")
    assert world.started()[4:] == ["second[0]"]
    world.succeed("first[2]")
    assert world.started()[5:] == ["second[2]"]


def test_edges_into_a_mapped_group_from_another() -> None:
    groups = [mapped(count=2), group("h", "g", forEach={"items": ["x", "y", "z"]})]
    world = World(task("a", group="g"), task("b", group="h"), task("c", "b", group="h"), groups=groups)
    world.succeed("a[0]")
    assert world.state("b") is TaskState.NONE
    world.succeed("a[1]")
    assert world.started()[2:] == ["b[0]", "b[1]", "b[2]"]
    world.fail("b[1]")
    assert world.state("c[1]") is TaskState.UPSTREAM_FAILED
    assert world.state("c[0]") is TaskState.NONE


def test_a_task_behind_one_task_of_a_mapped_group() -> None:
    world = World(
        task("first", group="g"), task("second", "first", group="g"), task("behind", "first"), groups=[mapped(count=2)]
    )
    world.succeed("first[0]")
    world.succeed("first[1]")
    assert world.started()[-1] == "behind"
    assert world.state("second") is TaskState.SCHEDULED


def test_a_diamond_in_a_mapped_group() -> None:
    world = World(
        task("top", group="g"),
        task("left", "top", group="g"),
        task("right", "top", group="g"),
        task("join", "left", "right", group="g"),
        groups=[mapped(count=2)],
    )
    world.succeed("top[0]")
    world.succeed("top[1]")
    world.succeed("left[0]")
    world.succeed("right[1]")
    assert world.state("join") is TaskState.NONE
    world.succeed("left[1]")
    assert world.started()[-1] == "join[1]"


@pytest.mark.parametrize(
    ("rule", "ends", "states"),
    [
        ("AllDone", "SF", ["None", "Scheduled"]),
        ("OneSuccess", "FS", ["None", "Scheduled"]),
        ("OneFailed", "F", ["Scheduled"]),
        ("AllFailed", "FF", ["None", "Scheduled"]),
        ("NoneFailed", "KS", ["None", "Scheduled"]),
        ("NoneFailed", "KF", ["None", "UpstreamFailed"]),
        ("NoneSkipped", "SK", ["None", "Skipped"]),
    ],
)
def test_rules_in_a_mapped_group_are_by_index(rule: str, ends: str, states: list[str]) -> None:
    world = World(
        task("a", group="g"),
        task("b", group="g"),
        task("join", "a", "b", group="g", triggerRule=rule),
        groups=[mapped()],
    )
    found = []
    for name, end in zip("ab", ends, strict=False):
        getattr(world, {"S": "succeed", "F": "fail", "K": "skip"}[end])(f"{name}[1]")
        found.append(world.state("join[1]").value)
    assert found == states
    assert world.state("join[0]") is world.state("join[2]") is TaskState.NONE


def test_groups_inside_a_mapped_group_share_its_indexes() -> None:
    world = World(
        task("a", group="inner"),
        task("b", "inner", group="g"),
        groups=[mapped(count=2), group("inner", group="g")],
    )
    assert world.started() == ["a[0]", "a[1]"]
    world.succeed("a[1]")
    assert world.started()[2:] == ["b[1]"]


def test_a_mapped_group_inside_a_group() -> None:
    world = World(
        task("before"),
        task("a", group="g"),
        task("b", "g", group="outer"),
        task("c", "outer"),
        groups=[group("outer", "before"), mapped(count=2, group="outer")],
    )
    world.succeed("before")
    assert world.started()[1:] == ["a[0]", "a[1]"]
    world.succeed("a[0]")
    world.succeed("a[1]")
    world.succeed("b")
    assert world.started()[3:] == ["b", "c"]


# Items of groups ------------------------------------------------------------------------------------------------------


def test_a_group_over_an_output() -> None:
    world = over_output()
    world.succeed("extract", '["x", "y"]')
    assert world.started()[1:] == ["first[0]", "first[1]"]
    assert [world.run.node(name).count for name in ("first", "second", "cleanup")] == [2, 2, 2]


def test_a_group_without_items_is_skipped_task_by_task() -> None:
    world = over_output()
    world.succeed("extract", "[]")
    assert world.states() == {
        "extract": "Succeeded",
        **dict.fromkeys(["first", "second", "cleanup", "behind"], "Skipped"),
    }
    assert world.entry("first")["reason"] == "NoItems"
    assert world.entry("second")["reason"] == "TriggerRule"
    assert world.entry("cleanup")["reason"] == "NoItems"
    assert world.phase() == "Succeeded"


def test_a_group_without_items_does_not_hide_a_failure_before_it() -> None:
    world = World(task("before"), task("first", group="g"), groups=[mapped("before", count=0)])
    assert world.state("first") is TaskState.NONE, "it waits for its turn"
    world.fail("before")
    assert world.state("first") is TaskState.UPSTREAM_FAILED
    assert world.phase() == "Failed"


@pytest.mark.parametrize("order", ["first", "last"])
def test_a_group_with_invalid_items_fails_at_its_first_tasks(order: str) -> None:
    """Wherever they are in the spec."""
    tasks = [task("first", group="g"), task("also-first", group="g"), task("second", "first", group="g")]
    tasks = tasks if order == "first" else tasks[::-1]
    world = World(task("extract"), *tasks, groups=[group("g", forEach={"output": "extract"})])
    world.succeed("extract", "7")
    assert world.states() == {
        "extract": "Succeeded",
        "first": "Failed",
        "also-first": "Failed",
        "second": "UpstreamFailed",
    }
    assert world.entry("first")["reason"] == "InvalidForEach"
    assert world.entry("first")["message"] == world.entry("also-first")["message"]


@pytest.mark.parametrize(("end", "state"), [("fail", "UpstreamFailed"), ("skip", "Skipped")])
def test_a_group_whose_source_did_not_succeed(end: str, state: str) -> None:
    world = over_output(triggerRule="AllDone")
    getattr(world, end)("extract")
    assert {name: found for name, found in world.states().items() if name != "extract"} == dict.fromkeys(
        ["first", "second", "cleanup", "behind"], state
    )


def test_a_first_task_that_ends_before_the_items_are_known() -> None:
    """Its group gets instances anyway; a downstream task in it counts it as one."""
    world = World(
        task("before"),
        task("extract"),
        task("first", "before", group="g"),
        task("second", group="g"),
        task("join", "first", "second", group="g", triggerRule="OneSuccess"),
        groups=[group("g", forEach={"output": "extract"})],
    )
    world.fail("before")
    assert world.state("first") is TaskState.UPSTREAM_FAILED
    world.succeed("extract", "[1, 2]")
    assert world.started()[2:] == ["second[0]", "second[1]"]
    world.succeed("second[1]")
    assert world.started()[4:] == ["join[1]"]
    world.fail("second[0]")
    assert world.state("join[0]") is TaskState.UPSTREAM_FAILED
    world.restart()
    assert world.counted("join") == {"Scheduled": 1, "UpstreamFailed": 1}
    assert world.status()["done"] == "6/7"


def test_a_task_after_a_first_one_that_finished_early_is_notified_when_the_items_are_known() -> None:
    """The first task is skipped with the first instance of its source, before the last one has finished."""
    world = World(
        task("look", forEach={"items": [1, 2]}),
        task("first", group="g"),
        task("cleanup", "first", group="g", triggerRule="AllDone"),
        groups=[group("g", forEach={"output": "look"})],
    )
    world.skip("look[0]")
    assert (world.state("first"), world.state("cleanup")) == (TaskState.SKIPPED, TaskState.NONE)
    world.skip("look[1]")
    assert world.state("cleanup") is TaskState.SKIPPED
    assert world.phase() == "Succeeded"


# Templates ------------------------------------------------------------------------------------------------------------


def test_outputs_in_a_mapped_group_are_those_of_the_same_index() -> None:
    world = World(
        task("first", group="g"),
        task("second", "first", group="g", args=["{{ tasks.first.output.n }} {{ item }} {{ index }}"]),
        task("behind", "g", args=["{{ tasks.first.output | tojson }} {{ tasks.second.output | tojson }}"]),
        groups=[group("g", forEach={"items": ["x", "y"]})],
    )
    world.succeed("first[0]", '{"n": 10}')
    world.succeed("first[1]", '{"n": 11}')
    for restarted in (False, True):
        if restarted:
            world.restart()
        rendered = [render_task(world.run, world.run.node("second").task, 1, index).args for index in (0, 1)]
        assert rendered == [["10 x 0"], ["11 y 1"]]
    world.succeed("second[0]", "0")
    world.succeed("second[1]", "1")
    args = render_task(world.run, world.run.node("behind").task, 1).args
    assert args == ['[{"n": 10}, {"n": 11}] [0, 1]']


def test_the_output_of_an_index_that_wrote_none_is_not_that_of_another() -> None:
    world = World(
        task("first", group="g"),
        task("second", "first", group="g", args=["{{ tasks.first.output | default('nothing') }}"]),
        groups=[mapped(count=2)],
    )
    world.succeed("first[0]", '"zero"')
    world.succeed("first[1]")
    rendered = [render_task(world.run, world.run.node("second").task, 1, index).args for index in (0, 1)]
    assert rendered == [["zero"], ["nothing"]]
