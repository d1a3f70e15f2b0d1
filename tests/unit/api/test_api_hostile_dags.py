"""Dags made to cost time: validation holds up admission and every other Dag, so its work is bounded."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tradewind.api.validation import Problem, summary, validate_dag
from tradewind.api.validation.params import check_params

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
