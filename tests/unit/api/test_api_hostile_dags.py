"""Dags made to cost time: validation holds up admission and every other Dag, so its work is bounded."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from tradewind.api.dag import DagSpec
from tradewind.api.validation import (
    Problem,
    summary,
    validate_backfill,
    validate_dag,
    validate_dag_run,
    validate_pool,
)
from tradewind.api.validation.params import check_param_schemas, check_params
from tradewind.api.validation.work import MAX_BLOCKING_WORK, TooMuchWork, Work
from tradewind.engine.schedule.due import first_moment

pytestmark = pytest.mark.unit

MOST_SECONDS = 15
"""Of processor time; each takes about a second."""


@contextmanager
def bounded() -> Iterator[None]:
    started = time.process_time()
    yield
    assert time.process_time() - started < MOST_SECONDS


def problems(**spec: Any) -> list[Problem]:
    manifest = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "Dag", "metadata": {"name": "d"}, "spec": spec}
    return validate_dag(manifest)[1]


def noop(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "noop": True, **fields}


def test_many_unknown_dependencies() -> None:
    with bounded():
        found = problems(tasks=[noop(f"t{i}", dependsOn=[f"u{i + j}" for j in range(40)]) for i in range(2000)])
    assert len(found) == 80_000


def test_many_unknown_names_in_templates() -> None:
    script = "".join(f"{{{{ tasks.u{i} }}}}{{{{ w{i} }}}}" for i in range(3000))
    with bounded():
        found = problems(
            taskDefaults={"image": "busybox"}, tasks=[{"name": f"t{i}", "script": script} for i in range(8)]
        )
    assert len(found) == 8 * 6000


def nested(depth: int) -> list[dict[str, Any]]:
    return [{"name": f"g{i}", **({"group": f"g{i - 1}"} if i else {})} for i in range(depth)]


def test_nested_groups_with_many_tasks() -> None:
    tasks = [noop(f"t{i}", group="g19", dependsOn=[f"t{j}" for j in range(max(0, i - 40), i)]) for i in range(1500)]
    with bounded():
        assert problems(groups=nested(20), tasks=tasks) == []


@pytest.mark.parametrize("depth", [21, 500])
def test_groups_nested_too_deep(depth: int) -> None:
    with bounded():
        [problem] = problems(groups=nested(depth), tasks=[noop("t", group=f"g{depth - 1}")])
    assert (problem.reason, problem.field) == ("TooLarge", "spec.groups[g20].group")
    assert "more than 19 groups" in problem.message


def test_groups_in_a_long_circle() -> None:
    groups = [{"name": f"g{i}", "group": f"g{(i + 1) % 500}"} for i in range(500)]
    with bounded():
        [problem] = problems(groups=groups, tasks=[noop("t", group="g0")])
    assert problem.reason == "Cycle"
    assert len(problem.message) < 300


def test_outputs_of_many_tasks_far_up() -> None:
    tasks = [
        noop("t0"),
        *(noop(f"t{i}", dependsOn=[f"t{j}" for j in range(max(0, i - 20), i)]) for i in range(1, 1990)),
    ]
    script = "".join(f"{{{{ tasks.t{i}.output }}}}" for i in range(1990))
    users = [{"name": f"u{i}", "image": "x", "script": script, "dependsOn": ["t1989"]} for i in range(10)]
    with bounded():
        assert problems(tasks=[*tasks, *users]) == []


@pytest.mark.parametrize("place", ["params", "podTemplate", "tasks"])
def test_nested_without_end(place: str) -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    spec = {"tasks": [noop("t")], place: {"x": deep}}
    [problem] = problems(**spec)
    assert (problem.reason, problem.field) == ("TooLarge", "spec")


def test_params_of_a_run_nested_without_end() -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    [problem] = check_params({"x": {}}, {"x": deep})
    assert (problem.reason, problem.field) == ("InvalidParams", "spec.params")


HOSTILE_SCHEMAS = {
    "refers to itself": ({"allOf": [{"$ref": "#"}]}, "must not refer to other schemas"),
    "a file": ({"properties": {"x": {"$ref": "file:///etc/passwd"}}}, "must not refer to other schemas"),
    "an address": ({"items": {"$dynamicRef": "http://10.0.0.1/x"}}, "must not refer to other schemas"),
    "another dialect": ({"$schema": "http://json-schema.org/draft-07/schema#"}, "$schema: only"),
    "a schema of its own": (
        {"items": {"$schema": "https://json-schema.org/draft/2020-12/schema", "pattern": "(a+)+$"}},
        "$schema is allowed only at the top level",
    ),
    "looks again and again": ({"anyOf": [{"unevaluatedProperties": False}]}, "must not use unevaluatedProperties"),
    "looks around": ({"pattern": "(?=a)b"}, "look-around"),
    "refers back": ({"patternProperties": {r"(a)\1": {}}}, "backreferences"),
    "a huge pattern": ({"pattern": "(a{100}){100}b"}, "10001 characters with repetitions expanded"),
    "a long pattern": ({"pattern": "a?" * 600}, "1200 characters with repetitions expanded"),
    "classes without end": ({"pattern": r"\w{240}"}, "size limit"),
    "more classes": ({"pattern": r"\w{900}"}, "too expensive"),
    "classes of any case": ({"pattern": "(?i)" + "[\x01-\U0010ffff]" * 40}, "too expensive"),
    "patterns for Python": ({"format": "regex", "pattern": "(?i)" + "[\x01-\uffff]" * 900}, "too large"),
    "a large schema": ({"allOf": [{"minimum": i} for i in range(1000)]}, "the limit is 16384"),
    "many schemas": ({"allOf": [{} for _ in range(4000)]}, "too expensive"),
    "types of no type": ({"type": [[], {}] * 2000}, "is not one of"),
    "a default that costs": (
        {"allOf": [{"items": {"minimum": -i}} for i in range(200)], "default": [1] * 2000},
        "too expensive",
    ),
    "many patterns": ({"patternProperties": {f"x{i}": {} for i in range(21)}}, "more than 20 patterns"),
    "large defaults": ({"default": "x" * 300_000}, "the limit is 262144"),
}


@pytest.mark.parametrize(("schema", "says"), HOSTILE_SCHEMAS.values(), ids=HOSTILE_SCHEMAS.keys())
def test_schemas_of_params(schema: dict[str, Any], says: str) -> None:
    with bounded():
        [problem] = problems(params={"p": schema}, tasks=[noop("t")])
    assert problem.reason == "InvalidParams"
    assert says in problem.message


def test_a_schema_nested_too_deeply() -> None:
    schema: dict[str, Any] = {}
    for _ in range(3000):
        schema = {"not": schema}
    [problem] = check_param_schemas({"p": schema})
    assert problem.message == "is nested deeper than 100 levels"


def test_patterns_take_no_time_however_they_are_written() -> None:
    schema = {"pattern": "(a+)+$", "type": "string"}
    assert problems(params={"p": schema}, tasks=[noop("t")]) == []
    with bounded():
        [problem] = check_params({"p": schema}, {"p": "a" * 50_000 + "b"})
    assert "does not match" in problem.message


def of_many(count: int, schema: dict[str, Any]) -> dict[str, Any]:
    return {"allOf": [schema] * count}


HOSTILE_VALUES = {
    "objects that differ": ({"uniqueItems": True}, [{"id": i} for i in range(9000)], None),
    "what cannot be sorted": ({"uniqueItems": True}, [None, *range(30_000)], None),
    "objects that do not": ({"uniqueItems": True}, [{"id": i % 4000} for i in range(5000)], "at 0 and 4000 are equal"),
    "wide alternatives": ({"anyOf": [{"items": {"type": "string"}}] * 50}, list(range(100)), "under any of"),
    "wide alternatives of long": ({"anyOf": [{"items": {"type": "string"}}] * 99}, list(range(9000)), "too expensive"),
    "long messages": (of_many(500, {"type": "string"}), list(range(30_000)), "is not of type"),
    "long enums": ({"items": {"enum": [[0] * 100 + [i] for i in range(39)]}}, [[0] * 101] * 800, "too expensive"),
    "no enum": ({"items": {"enum": [[0] * 100 + [i] for i in range(39)]}}, [[0] * 100 + [-1]] * 800, "is not one of"),
    "contains nothing": (of_many(300, {"contains": False}), [0] * 10_000, "does not contain"),
    "a slow pattern": ({"pattern": r"(\w?){90}!"}, "a" * 200_000, "too expensive"),
    "long names": ({"patternProperties": {r"(\w?){150}!": {}}}, {"a" * 54 + str(i): 1 for i in range(4000)}, "too exp"),
    "many kinds of names": ({"patternProperties": {f"x{i}": {} for i in range(20)}}, dict.fromkeys("abc", 1), None),
    "tiny steps": ({"items": {"multipleOf": 1e-300}}, [1e308] * 20_000, "is not a multiple"),
}


@pytest.mark.parametrize(("schema", "value", "says"), HOSTILE_VALUES.values(), ids=HOSTILE_VALUES.keys())
def test_values_of_params(schema: dict[str, Any], value: Any, says: str | None) -> None:
    started = time.process_time()
    found = check_params({"p": schema}, {"p": value})
    assert time.process_time() - started < 3
    assert (says in found[0].message) if says else not found
    assert len(found) <= 20


def test_a_little_work_is_a_tenth_of_a_second_at_most() -> None:
    for schema, value, _ in HOSTILE_VALUES.values():
        started = time.process_time()
        with suppress(TooMuchWork):
            check_params({"p": schema}, {"p": value}, Work(MAX_BLOCKING_WORK))
        assert time.process_time() - started < 0.5


def test_each_item_counts() -> None:
    schema = {"type": "array", "items": {}}
    assert check_params({"p": schema}, {"p": [1] * 100}, Work(2000)) == []
    with pytest.raises(TooMuchWork):
        check_params({"p": schema}, {"p": [1] * 3000}, Work(2000))


def test_what_people_check_is_not_too_much() -> None:
    fields = {"a": {"type": "string"}, "b": {"type": "integer"}, "c": {"type": "string", "maxLength": 9}}
    item = {"type": "object", "properties": fields, "required": ["a", "b"], "additionalProperties": False}
    rows = [{"a": f"{i}", "b": i, "c": "x"} for i in range(6000)]
    assert check_params({"p": {"type": "array", "items": item, "uniqueItems": True}}, {"p": rows}) == []
    stores = [f"store-{number:04}" for number in range(600)]
    several = {"type": "array", "items": {"type": "string", "enum": stores}}
    assert check_params({"p": several}, {"p": stores * 20}) == []
    [problem] = check_params({"p": several}, {"p": [*stores, "store-9999", 600]})[:1]
    assert problem.message.startswith("'store-9999' is not one of ['store-0000', ")


@pytest.mark.parametrize(
    ("one", "two", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (1, "1", False),
        (None, "None", False),
        ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1.0}, True),
        ({"a": 1}, {"a": "1"}, False),
        ([1, 2], [12], False),
        ([], {}, False),
        ("a", "a", True),
        ({"a:1,'b'": 2}, {"a": 1, "b": 2}, False),
        (2**53 + 1, float(2**53), False),
        (1e300, 10**300, False),
        (-0.0, 0, True),
    ],
)
def test_which_items_are_equal(one: Any, two: Any, equal: bool) -> None:
    assert bool(check_params({"p": {"uniqueItems": True}}, {"p": [one, "between", two]})) is equal


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[a-z]{1,63}(\.[a-z]{1,63}){0,3}$",
        r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}$",
        r"^s3://[^/]+(/.*)?$",
        r"^[{9999}]\{9999\}$",
    ],
)
def test_patterns_that_people_use(pattern: str) -> None:
    assert problems(params={"p": {"pattern": pattern}}, tasks=[noop("t")]) == []


@pytest.mark.parametrize("value", [10**400, {"x": {}}])
def test_values_that_cannot_be_computed_with(value: Any) -> None:
    """The schema is that of a Dag from before these were refused."""
    [problem] = check_params({"p": {"multipleOf": 0.1, "properties": {"x": {"$ref": "#"}}}}, {"p": value})
    assert problem.field == "spec.params.p"


def test_params_of_a_run_that_are_too_large() -> None:
    [problem] = check_params({"p": {}}, {"p": "x" * 300_000})
    assert "the limit is 262144" in problem.message


def test_a_param_may_be_called_like_a_keyword() -> None:
    schema = {"type": "object", "properties": {"pattern": {"type": "string"}}, "default": {"pattern": "(?=", "$ref": 1}}
    assert problems(params={"p": schema}, tasks=[noop("t")]) == []


def test_many_unknown_fields() -> None:
    with bounded():
        found = problems(tasks=[noop("t", **{f"imag{i}": 1 for i in range(5000)})])
    assert len(found) == 5000


def test_a_field_with_brackets_in_its_name() -> None:
    [problem] = problems(**{"tasks": [noop("t")], "[x]": 1})
    assert (problem.reason, problem.field) == ("UnknownField", "spec.[x]")


@pytest.mark.parametrize("validate", [validate_dag_run, validate_backfill, validate_pool])
def test_other_kinds_nested_without_end(validate: Any) -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    _, [problem] = validate({"spec": {"dag": deep}, "metadata": {"name": "d"}})
    assert problem.reason == "TooLarge"


def test_half_a_character() -> None:
    [problem] = problems(tasks=[noop("t", description="\ud800")])
    assert "lone surrogate" in problem.message


def test_a_start_before_all_time() -> None:
    spec = DagSpec.model_validate({"startDate": "0001-01-01T00:00:00Z", "schedule": "@daily", "tasks": [noop("t")]})
    assert first_moment(spec, datetime(2026, 1, 1, tzinfo=UTC)).year == 1


def test_the_last_year_of_a_start() -> None:
    assert problems(tasks=[noop("t")], startDate="9000-12-31T23:59:59Z") == []
    [problem] = problems(tasks=[noop("t")], startDate="9001-01-01T00:00:00Z")
    assert problem.field == "spec.startDate"


def test_a_depth_that_people_use() -> None:
    deep: Any = 1
    for _ in range(80):
        deep = {"properties": {"x": deep}} if isinstance(deep, int) else [deep]
    assert problems(tasks=[noop("t", forEach={"items": [deep]})]) == []


def test_long_texts_are_cut_in_a_summary() -> None:
    found = problems(tasks=[{"name": f"t{i}", "waitFor": {"time": "x" * 4096}} for i in range(20)])
    assert len(found) == 20
    assert len(summary(found)) < 32_768
    assert "and 10 more" in summary(found)
