"""Dependencies on groups become dependencies between tasks, implied ones included."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.api.dag import DagSpec
from tradewind.api.groups import Groups
from tradewind.api.resolve import ResolvedDag, resolve
from tradewind.api.validation import validate_dag_spec
from tradewind.api.validation.dependencies import MAX_EDGES, find_cycle
from tradewind.api.validation.order import Upstream, dependency_graph, end_of, readable_cycle, start_of

pytestmark = pytest.mark.unit


def task(name: str, *depends_on: str, group: str | None = None, **fields: Any) -> dict[str, Any]:
    runs = {} if "noop" in fields else {"image": "busybox", "command": ["true"]}
    return {
        "name": name,
        **runs,
        **({"dependsOn": list(depends_on)} if depends_on else {}),
        **({"group": group} if group else {}),
        **fields,
    }


def group(name: str, *depends_on: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, **({"dependsOn": list(depends_on)} if depends_on else {}), **fields}


def spec(groups: list[dict[str, Any]], tasks: list[dict[str, Any]]) -> DagSpec:
    return DagSpec.model_validate({"groups": groups, "tasks": tasks})


def resolved(groups: list[dict[str, Any]], tasks: list[dict[str, Any]]) -> ResolvedDag:
    found = spec(groups, tasks)
    assert validate_dag_spec(found) == []
    return resolve(found)


def edges(dag: ResolvedDag) -> dict[str, tuple[str, ...]]:
    return {task.name: task.depends_on for task in dag.tasks}


def test_a_dependency_on_a_group_is_one_on_its_leaves() -> None:
    dag = resolved(
        [group("g")],
        [task("a", group="g"), task("b", "a", group="g"), task("c", "a", group="g"), task("d", "g")],
    )
    assert edges(dag)["d"] == ("b", "c")
    assert (dag.groups["g"].roots, dag.groups["g"].leaves) == (("a",), ("b", "c"))


def test_the_dependencies_of_a_group_are_those_of_its_roots() -> None:
    dag = resolved(
        [group("g", "start")],
        [task("start"), task("a", group="g"), task("b", "a", group="g"), task("c", "start", group="g")],
    )
    assert edges(dag) == {"start": (), "a": ("start",), "b": ("a",), "c": ("start",)}


def test_a_group_after_a_group() -> None:
    dag = resolved(
        [group("first"), group("second", "first")],
        [task("a", group="first"), task("b", group="first"), task("c", group="second"), task("d", group="second")],
    )
    assert edges(dag) == {"a": (), "b": (), "c": ("a", "b"), "d": ("a", "b")}


def test_groups_in_groups() -> None:
    dag = resolved(
        [group("inner", "x", group="outer"), group("outer", "start")],
        [
            task("start"),
            task("x", group="outer"),
            task("a", group="inner"),
            task("b", "a", group="inner"),
            task("y", "inner", group="outer"),
            task("end", "outer"),
        ],
    )
    assert edges(dag) == {"start": (), "x": ("start",), "a": ("x",), "b": ("a",), "y": ("b",), "end": ("y",)}
    assert dag.groups["outer"].tasks == ("x", "a", "b", "y")
    assert (dag.groups["inner"].parent, dag.groups["outer"].parent) == ("outer", None)
    assert [task.group for task in dag.tasks] == [None, "outer", "inner", "inner", "outer", None]


def test_own_dependencies_come_first_and_then_those_of_groups_from_the_inside() -> None:
    dag = resolved(
        [group("outer", "o", "p"), group("inner", "i", "o", group="outer")],
        [task("o"), task("p"), task("i"), task("own"), task("a", "own", "p", group="inner")],
    )
    assert edges(dag)["a"] == ("own", "p", "i", "o")


def test_teardowns_do_not_hold_up_tasks_after_their_group() -> None:
    dag = resolved(
        [group("g")],
        [
            task("make", group="g", setup=True),
            task("work", "make", group="g"),
            task("drop", "work", group="g", teardown={"setups": ["make"]}),
            task("next", "g"),
        ],
    )
    assert edges(dag)["next"] == ("work",)
    assert edges(dag)["drop"] == ("work", "make")


def test_a_group_of_teardowns_alone_is_waited_for() -> None:
    dag = resolved(
        [group("g")],
        [task("make", setup=True), task("drop", group="g", teardown={"setups": ["make"]}), task("next", "g")],
    )
    assert edges(dag)["next"] == ("drop",)


def test_what_is_mapped_over_an_output_depends_on_its_task() -> None:
    dag = resolved(
        [group("g", forEach={"output": "list.stores"})],
        [
            task("list"),
            task("days"),
            task("each", forEach=[{"output": "list"}, {"output": "days"}]),
            task("first", group="g"),
            task("second", "first", group="g"),
        ],
    )
    assert edges(dag) == {"list": (), "days": (), "each": ("list", "days"), "first": ("list",), "second": ("first",)}


def test_the_mapped_group_is_found_at_any_depth() -> None:
    dag = resolved(
        [group("outer", forEach={"items": [1]}), group("inner", group="outer"), group("other")],
        [task("a", group="inner"), task("b", group="outer"), task("c", group="other"), task("d")],
    )
    assert [task.mapped_group for task in dag.tasks] == ["outer", "outer", None, None]
    assert dag.groups["outer"].for_each is not None
    assert dag.groups["inner"].for_each is None


def test_groups_that_make_too_many_edges_are_refused() -> None:
    tasks = [task(f"t{i}", group="a" if i < 1000 else "b", noop=True) for i in range(2000)]
    problems = validate_dag_spec(spec([group("a"), group("b", "a")], tasks))
    assert [(problem.reason, problem.field) for problem in problems] == [("TooLarge", "spec.groups")]
    assert "1000000 dependencies" in problems[0].message
    assert "noop: true" in problems[0].message
    assert MAX_EDGES < 1000 * 1000


def test_a_noop_between_large_groups_makes_them_small() -> None:
    tasks = [task(f"t{i}", group="a" if i < 1000 else "b", noop=True) for i in range(1999)]
    dag = resolved([group("a"), group("b", "between")], [*tasks, task("between", "a", noop=True)])
    assert sum(len(each.depends_on) for each in dag.tasks) == 1999


# Random nested groups: group i may lie in a group before it, so there is no group inside itself.
NAMES = [f"t{index}" for index in range(8)]
GROUPS = [f"g{index}" for index in range(4)]


@st.composite
def specs(draw: st.DrawFn) -> DagSpec:
    count = draw(st.integers(1, 4))
    names = GROUPS[:count]
    picks = st.lists(st.sampled_from([*NAMES, *names]), max_size=2, unique=True)
    groups = [
        group(name, *draw(picks), **({"group": outer} if (outer := draw(st.sampled_from([None, *names[:i]]))) else {}))
        for i, name in enumerate(names)
    ]
    tasks = [task(name, *draw(picks), group=draw(st.sampled_from([None, *names])), noop=True) for name in NAMES]
    return spec(groups, tasks)


@given(specs())
def test_a_cycle_is_found_exactly_where_tasks_wait_for_themselves(found: DagSpec) -> None:
    problems = validate_dag_spec(found)
    groups = Groups(found)
    graph = {each.name: list(groups.dependencies(each)) for each in found.tasks}
    if not any(problem.reason == "Cycle" for problem in problems):
        assert find_cycle(graph) == []
    elif all(problem.field == "spec.tasks" for problem in problems if problem.reason == "Cycle"):
        assert find_cycle(graph)


@given(specs())
def test_what_is_upstream_of_a_task_is_so_with_groups_expanded(found: DagSpec) -> None:
    if any(problem.reason == "Cycle" for problem in validate_dag_spec(found)):
        return
    groups = Groups(found)
    graph = {each.name: list(groups.dependencies(each)) for each in found.tasks}
    expanded, contracted = Upstream(graph), Upstream(dependency_graph(found, groups))
    for name in NAMES:
        assert [expanded.has(name, other) for other in NAMES] == [contracted.has(name, other) for other in NAMES]


@given(specs())
def test_the_ends_of_a_group(found: DagSpec) -> None:
    groups = Groups(found)
    if any(problem.reason == "Cycle" for problem in validate_dag_spec(found)):
        return
    graph = {each.name: set(groups.dependencies(each)) for each in found.tasks}
    for expanded in groups.by_name.values():
        inside = set(expanded.tasks)
        assert set(expanded.roots) == {name for name in inside if not graph[name] & inside}
        before = {other for name in inside for other in graph[name]}
        assert set(expanded.leaves) == inside - before


@given(specs())
def test_a_cycle_is_reported_in_names_that_the_user_wrote(found: DagSpec) -> None:
    groups = Groups(found)
    cycle = find_cycle(dependency_graph(found, groups))
    if cycle:
        shown = readable_cycle(cycle, groups)
        assert shown[0] == shown[-1]
        assert set(shown) <= {*NAMES, *groups.named}
        assert all(earlier != later for earlier, later in pairwise(shown)) or len(shown) == 2


def test_a_cycle_within_a_group_is_reported_by_its_tasks() -> None:
    found = spec([group("g")], [task("a", "b", group="g"), task("b", "a", group="g")])
    assert validate_dag_spec(found)[0].message == "tasks depend on each other in a cycle: a → b → a"


def test_begin_and_end_are_distinguished_from_tasks() -> None:
    assert start_of("a") != end_of("a") != "a"
