"""Validation is the same offline as on a cluster: camelCase, the right types, no NUL; errors suggest a spelling."""

from typing import Any

import pytest

from tradewind.api.validation import validate_backfill, validate_dag, validate_dag_run, validate_pool
from tradewind.api.validation.spelling import near_name

pytestmark = pytest.mark.unit

ENVELOPE = {"apiVersion": "tradewind.dev/v1alpha1", "metadata": {"name": "x"}}
DAG = {"tasks": [{"name": "a", "noop": True}]}


@pytest.mark.parametrize(
    ("kind", "validate", "spec", "meant"),
    [
        ("Dag", validate_dag, {**DAG, "max_active_runs": 3}, "maxActiveRuns"),
        ("DagRun", validate_dag_run, {"dag": "d", "logical_date": "2026-01-31T06:00:00Z"}, "logicalDate"),
        ("DagRun", validate_dag_run, {"dag": "d", "execution_date": "2026-01-31T06:00:00Z"}, "logicalDate"),
        (
            "Backfill",
            validate_backfill,
            {"dag": "d", "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "max_active_runs": 3},
            "maxActiveRuns",
        ),
        ("Backfill", validate_backfill, {"dag": "d", "from_": "2026-01-01T00:00:00Z"}, "from"),
        ("Pool", validate_pool, {"slots": 1, "descripton": "x"}, "description"),
    ],
)
def test_no_other_spelling(kind: str, validate: Any, spec: dict[str, Any], meant: str) -> None:
    _, problems = validate({**ENVELOPE, "kind": kind, "spec": spec})
    assert f"unknown field; did you mean {meant}?" in [problem.message for problem in problems]


def test_both_spellings() -> None:
    tasks = [*DAG["tasks"], {"name": "b", "noop": True, "dependsOn": ["a"], "depends_on": ["nix"]}]
    [problem] = validate_dag({**ENVELOPE, "kind": "Dag", "spec": {"tasks": tasks}})[1]
    assert (problem.reason, problem.field) == ("UnknownField", "spec.tasks[b].depends_on")


@pytest.mark.parametrize(
    ("spec", "field", "says"),
    [
        ({"tasks": []}, "spec.tasks", "has 0 items; the minimum is 1"),
        ({**DAG, "maxActiveRuns": "many"}, "spec.maxActiveRuns", "must be a whole number, not the string 'many'"),
        ({**DAG, "maxActiveRuns": 0}, "spec.maxActiveRuns", "0 must be at least 1"),
        ({**DAG, "startDate": "soon"}, "spec.startDate", "must be a time, as in 2026-01-31T06:00:00Z"),
        ({**DAG, "suspend": "maybe"}, "spec.suspend", "must be true or false, not the string 'maybe'"),
        ({**DAG, "description": 5}, "spec.description", 'must be a string, not the number 5: write "5"'),
        ({**DAG, "params": {"x": {"default": float("nan")}}}, "spec", "a number that JSON cannot represent"),
        ({**DAG, "params": {"x": {"default": 16**5000}}}, "spec", "or too many digits"),
        ({**DAG, "params": {"x": {"default": {"a": ["b", "c\0"]}}}}, "spec.params.x.default.a[1]", "NUL"),
        ({"tasks": [{"name": "a", "image": "x", "env": [{"name": "A\0", "value": "x"}]}]}, "", "NUL"),
    ],
)
def test_in_words_of_our_own(spec: dict[str, Any], field: str, says: str) -> None:
    _, [problem, *_] = validate_dag({**ENVELOPE, "kind": "Dag", "spec": spec})
    assert says in problem.message
    assert problem.field == field or not field


def test_the_nearest_name() -> None:
    names = ["dependsOn", "schedule", "image"]
    assert [near_name(each, names) for each in ("DEPENDS_ON", "depends-on", "needs", "imag", "x" * 10_000)] == [
        *(["dependsOn"] * 3),
        "image",
        None,
    ]
