"""forEach: the instances of a mapped task, their templates, and its downstream tasks."""

from typing import Any

import pytest

from tests.unit.engine.engine_world import World, run_info, task
from tradewind.api.templates import TemplateError
from tradewind.engine.rules.rendering import render_task
from tradewind.engine.run.states import TaskState

pytestmark = pytest.mark.unit

ABC = {"items": ["a", "b", "c"]}


# Items ----------------------------------------------------------------------------------------------------------------


def test_an_instance_for_each_item() -> None:
    world = World(task("each", forEach=ABC))
    assert world.started() == ["each[0]", "each[1]", "each[2]"]
    assert world.items() == ["a", "b", "c"]
    world.succeed_instances("each")
    assert world.phase() == "Succeeded"
    assert world.status()["done"] == "3/3"


def test_items_are_any_json_and_their_texts_are_templates() -> None:
    world = World(
        task("each", forEach={"items": [1, None, [True, "{{ ds }}"], {"at": "{{ params.n }}/{{ run.name }}"}]}),
        params={"n": {"default": 7}},
    )
    world.run = world.add(run_info("r2", params={"n": 7}))
    assert world.items() == [1, None, [True, "2026-03-01"], {"at": "7/r2"}]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([3, 4], [3, 4]),
        ({"b": 1, "a": [2]}, [{"key": "b", "value": 1}, {"key": "a", "value": [2]}]),
    ],
    ids=["list", "object"],
)
def test_a_param(value: Any, expected: list[Any]) -> None:
    world = World(task("each", forEach={"param": "what"}), params={"what": {"default": value}})
    world.run = world.add(run_info("r2", params={"what": value}))
    assert world.items() == expected


@pytest.mark.parametrize(
    ("source", "output", "expected"),
    [
        ("extract", '["x", "y"]', ["x", "y"]),
        ("extract.stores", '{"stores": [1, 2], "more": 3}', [1, 2]),
        ("extract.by.place.1", '{"by": {"place": [[], [5, 6]]}}', [5, 6]),
        ("extract.1.n", '[{"n": [1]}, {"n": [2, 3]}]', [2, 3]),
        ("extract.stores", '{"stores": {"k": "v"}}', [{"key": "k", "value": "v"}]),
    ],
)
def test_an_output(source: str, output: str, expected: list[Any]) -> None:
    world = World(task("extract"), task("each", forEach={"output": source}))
    assert world.started() == ["extract"]
    assert world.states() == {"extract": "Scheduled", "each": "None"}
    world.succeed("extract", output)
    assert world.items() == expected
    assert world.started() == ["extract", *(f"each[{index}]" for index in range(len(expected)))]


def test_several_sources_make_every_combination_the_last_changing_fastest() -> None:
    world = World(task("each", forEach=[{"items": [1, 2]}, {"items": ["a", "b", "c"]}]))
    assert world.items() == [[1, "a"], [1, "b"], [1, "c"], [2, "a"], [2, "b"], [2, "c"]]


def test_sources_with_names_make_objects() -> None:
    sources = [{"name": "day", "items": [1, 2]}, {"name": "region", "output": "extract"}]
    world = World(task("extract"), task("each", forEach=sources))
    world.succeed("extract", '["eu"]')
    assert world.items() == [{"day": 1, "region": "eu"}, {"day": 2, "region": "eu"}]


def test_a_single_source_with_a_name_makes_objects_too() -> None:
    assert World(task("each", forEach={"name": "n", "items": [1, 2]})).items() == [{"n": 1}, {"n": 2}]


def test_zip_goes_as_far_as_the_shortest() -> None:
    sources = [{"items": [1, 2, 3]}, {"items": ["a", "b"]}]
    assert World(task("each", forEach=sources, combine="Zip")).items() == [[1, "a"], [2, "b"]]
    named = [{"name": "n", "items": [1, 2]}, {"name": "s", "items": ["a", "b"]}]
    assert World(task("each", forEach=named, combine="Zip")).items() == [{"n": 1, "s": "a"}, {"n": 2, "s": "b"}]


def test_the_outputs_of_a_mapped_task_are_items_of_the_next() -> None:
    world = World(task("first", forEach=ABC), task("each", forEach={"output": "first"}))
    world.succeed("first[2]", '"z"')
    world.succeed("first[0]", '"x"')
    assert world.state("each") is TaskState.NONE
    world.succeed("first[1]")
    assert world.items() == ["x", "z"], "in the order of their indexes; what wrote nothing counts for nothing"


# No items -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [{"items": []}, [{"items": [1]}, {"items": []}], {"output": "extract"}, {"output": "extract.none"}],
    ids=["items", "product", "output", "object"],
)
def test_zero_items_are_a_skip(source: Any) -> None:
    world = World(task("extract"), task("each", "extract", forEach=source), task("after", "each"))
    world.succeed("extract", '{"none": {}}' if source == {"output": "extract.none"} else "[]")
    assert world.states() == {"extract": "Succeeded", "each": "Skipped", "after": "Skipped"}
    assert (world.entry("each")["reason"], world.entry("each")["message"]) == ("NoItems", "forEach has no items")
    assert world.phase() == "Succeeded"


def test_the_output_of_a_task_without_items_is_an_empty_list() -> None:
    world = World(task("each", forEach={"items": []}), task("after", "each", triggerRule="AllDone"))
    assert world.started() == ["after"]
    assert world.run.outputs["each"] == {"output": []}
    world.restart()
    assert world.run.outputs["each"] == {"output": []}


@pytest.mark.parametrize(
    ("end", "state", "message"),
    [
        ("skip", "Skipped", "forEach: 'extract' was skipped and gave no items"),
        ("fail", "UpstreamFailed", "forEach: 'extract' failed and gave no items"),
    ],
)
@pytest.mark.parametrize("rule", ["AllDone", "Always", "OneDone"])
def test_without_its_source_a_mapped_task_never_starts(end: str, state: str, message: str, rule: str) -> None:
    world = World(
        task("extract"), task("other"), task("each", "other", triggerRule=rule, forEach={"output": "extract"})
    )
    world.succeed("other")
    assert world.state("each") is TaskState.NONE, "it waits for its items, whatever its rule"
    getattr(world, end)("extract")
    assert world.state("each").value == state
    assert world.entry("each").get("message") == message
    assert world.entry("each")["reason"] == "NoItems"


def test_a_source_of_which_some_instances_failed_gives_what_there_is() -> None:
    world = World(task("first", forEach=ABC), task("each", triggerRule="AllDone", forEach={"output": "first"}))
    world.succeed("first[0]", "1")
    world.fail("first[1]")
    world.succeed("first[2]", "3")
    assert world.items() == [1, 3]


# Items that cannot be -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        ("extract", None, "forEach: 'extract' has no output to take items from"),
        (
            "extract",
            "7",
            "forEach: the output of 'extract' must be a list or an object, but is a number",
        ),
        ("extract", "null", "but is null"),
        ("extract.a", '{"a": "text"}', "forEach: the output of 'extract'.a must be a list or an object"),
        ("extract.a.b", '{"a": {"c": []}}', "forEach: the output of 'extract'.a has no 'b' (looked for a.b)"),
        ("extract.3", "[[]]", "forEach: the output of 'extract' has no '3' (looked for 3)"),
    ],
)
def test_what_cannot_be_mapped_over_is_a_failure_without_retry(source: str, output: str | None, message: str) -> None:
    world = World(
        task("extract"), task("each", forEach={"output": source}, retries={"limit": 3}), task("after", "each")
    )
    world.succeed("extract", output)
    assert world.states() == {"extract": "Succeeded", "each": "Failed", "after": "UpstreamFailed"}
    assert world.entry("each")["reason"] == "InvalidForEach"
    assert message in world.entry("each")["message"]
    assert world.said("TaskFailed") == [f"failed: InvalidForEach: {world.entry('each')['message']}"]
    assert world.phase() == "Failed"


@pytest.mark.parametrize("count", [5, 6])
def test_max_map_length(count: int) -> None:
    world = World(task("extract"), task("each", forEach={"output": "extract"}), maxMapLength=5)
    world.succeed("extract", str(list(range(count))))
    if count == 5:
        assert world.run.node("each").count == 5
    else:
        assert world.state("each") is TaskState.FAILED
        assert world.entry("each")["message"] == "forEach: has 6 items; maxMapLength is 5"


def test_max_map_length_counts_combinations_before_it_makes_them() -> None:
    source = {"output": "extract"}
    world = World(task("extract"), task("each", forEach=[source] * 8), maxMapLength=10_000)
    world.succeed("extract", str(list(range(500))))
    assert world.entry("each")["message"] == f"forEach: has {500**8} items; maxMapLength is 10000"


def test_an_item_that_cannot_be_rendered() -> None:
    world = World(task("extract"), task("each", "extract", forEach={"items": ["{{ tasks.extract.output.rows }}"]}))
    world.succeed("extract")
    assert world.entry("each")["reason"] == "InvalidForEach"
    assert world.entry("each")["message"].startswith("forEach: items: ")


# Templates ------------------------------------------------------------------------------------------------------------


def test_what_an_instance_sees() -> None:
    world = World(
        task("list"),
        task(
            "each",
            script="{{ item.id }} {{ item | tojson }} {{ index }} {{ task.index }} {{ task.name }} "
            "{{ tasks.list.output.0.id }}",
            args=["{{ item.id }}"],
            env=[{"name": "ID", "value": "{{ item.id }}"}],
            image="busybox",
            forEach={"output": "list"},
        ),
    )
    world.succeed("list", '[{"id": 5}, {"id": 6}]')
    each = world.run.node("each").task
    rendered = render_task(world.run, each, 1, 1)
    assert rendered.args[0] == '6 {"id": 6} 1 1 each 5'
    assert rendered.env == [{"name": "ID", "value": "6"}]
    assert rendered.args[-1] == "6"


def test_a_field_that_an_item_does_not_have() -> None:
    world = World(task("each", forEach={"items": [{"a": 1}]}, args=["{{ item.b }}"]))
    with pytest.raises(TemplateError, match=r"args\[0\]"):
        render_task(world.run, world.run.node("each").task, 1, 0)


def test_the_output_of_a_mapped_task_is_a_list_in_the_order_of_indexes() -> None:
    world = World(task("each", forEach=ABC), task("after", "each", args=["{{ tasks.each.output | tojson }}"]))
    for index in (2, 0, 1):
        world.succeed(f"each[{index}]", f'{{"n": {index}}}')
    after = world.run.node("after").task
    assert render_task(world.run, after, 1).args == ['[{"n": 0}, {"n": 1}, {"n": 2}]']
    world.restart()
    assert render_task(world.run, after, 1).args == ['[{"n": 0}, {"n": 1}, {"n": 2}]']


def test_items_after_a_restart_are_the_same() -> None:
    world = World(task("extract"), task("each", forEach={"output": "extract"}))
    world.succeed("extract", '["x", "y"]')
    world.restart()
    assert world.items() == ["x", "y"]
    assert "items" not in world.entry("each"), "they are computed again"


# Downstream tasks -----------------------------------------------------------------------------------------------------

ENDS = {"S": "succeed", "F": "fail", "K": "skip"}


@pytest.mark.parametrize(
    ("rule", "ends", "states"),
    [
        ("AllSuccess", "SSS", ["None", "None", "Scheduled"]),
        ("AllSuccess", "SFS", ["None", "UpstreamFailed", "UpstreamFailed"]),
        ("AllSuccess", "SKS", ["None", "Skipped", "Skipped"]),
        ("AllFailed", "FFF", ["None", "None", "Scheduled"]),
        ("AllFailed", "FSF", ["None", "Skipped", "Skipped"]),
        ("AllDone", "FKS", ["None", "None", "Scheduled"]),
        ("AllDoneMinOneSuccess", "FFS", ["None", "None", "Scheduled"]),
        ("AllDoneMinOneSuccess", "FFF", ["None", "None", "UpstreamFailed"]),
        ("OneSuccess", "FSS", ["None", "Scheduled", "Scheduled"]),
        ("OneSuccess", "FKF", ["None", "None", "UpstreamFailed"]),
        ("OneFailed", "SFS", ["None", "Scheduled", "Scheduled"]),
        ("OneFailed", "SSS", ["None", "None", "Skipped"]),
        ("OneDone", "KSS", ["None", "Scheduled", "Scheduled"]),
        ("NoneFailed", "SKS", ["None", "None", "Scheduled"]),
        ("NoneFailed", "SKF", ["None", "None", "UpstreamFailed"]),
        ("NoneFailedMinOneSuccess", "KKS", ["None", "None", "Scheduled"]),
        ("NoneFailedMinOneSuccess", "KKK", ["None", "None", "Skipped"]),
        ("NoneSkipped", "FSF", ["None", "None", "Scheduled"]),
        ("AllSkipped", "KKK", ["None", "None", "Scheduled"]),
        ("AllSkipped", "KKS", ["None", "None", "Skipped"]),
    ],
)
def test_each_instance_counts(rule: str, ends: str, states: list[str]) -> None:
    world = World(task("each", forEach=ABC), task("after", "each", triggerRule=rule))
    found = []
    for index, end in enumerate(ends):
        getattr(world, ENDS[end])(f"each[{index}]")
        found.append(world.state("after").value)
    assert found == states


def test_instances_after_instances_of_another_task_wait_for_all_of_them() -> None:
    world = World(task("one", forEach=ABC), task("two", "one", forEach={"items": [1, 2]}))
    world.succeed("one[0]")
    world.succeed("one[1]")
    assert world.state("two") is TaskState.NONE
    world.succeed("one[2]")
    assert world.started()[3:] == ["two[0]", "two[1]"]


def test_a_rule_that_fires_at_the_first_success_of_instances() -> None:
    world = World(task("each", forEach=ABC), task("after", "each", triggerRule="OneSuccess"), maxActiveTasks=1)
    world.fail("each[0]")
    assert world.started() == ["each[0]", "each[1]"]
    world.succeed("each[1]")
    assert world.state("after") is TaskState.SCHEDULED
