"""Every kind of bad Backfill gets the reason, the field and the message that tell a person what to change."""

from datetime import UTC, datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.bad_backfills import bad_backfills
from tradewind.api.backfill import BACKFILL_CRD, Backfill
from tradewind.api.crd import crd
from tradewind.api.dag import DagSpec
from tradewind.api.validation import Problem, summary, validate_backfill, validate_dag
from tradewind.engine.schedule.backfill import check_ticks, pinned, ticks_in, unpinned

pytestmark = pytest.mark.unit

NOW = datetime(2026, 6, 1, 12, 30, tzinfo=UTC)
GOOD = {"dag": "sales", "from": "2026-01-01T00:00:00Z", "to": "2026-06-01T12:30:00Z"}
SCHEDULED = DagSpec.model_validate({"schedule": "@daily", "tasks": [{"name": "a", "noop": True}]})


def manifest(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "tradewind.dev/v1alpha1",
        "kind": "Backfill",
        "metadata": {"name": "x"},
        "spec": {**GOOD, **spec},
    }


def problems_of(case: dict[str, Any]) -> list[Problem]:
    """Return the problems of admission, else those that the ticks show."""
    dag, wrong = validate_dag(case["dag"])
    assert dag is not None
    assert wrong == []
    backfill, problems = validate_backfill(case["backfill"], dag.spec, now=NOW)
    if case["rejectedBy"] != "ticks":
        return problems
    assert backfill is not None
    assert problems == []
    kept = pinned(dag.spec, NOW)
    return check_ticks(list(ticks_in(unpinned(kept), backfill.spec)), backfill.spec, kept)


@pytest.mark.parametrize("case", bad_backfills(), ids=lambda case: case["name"])
def test_bad_backfill(case: dict[str, Any]) -> None:
    [problem] = problems_of(case)
    assert (problem.reason, problem.field) == (case["reason"], case["field"])
    assert case["contains"] in problem.message
    assert len(problem.message) < 300
    assert problem.message in summary([problem])


@pytest.mark.parametrize("case", bad_backfills("admission", "ticks"), ids=lambda case: case["name"])
def test_what_the_controller_is_said_to_find_passes_the_schema(case: dict[str, Any]) -> None:
    schema = crd(Backfill, BACKFILL_CRD)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec = {**schema["properties"]["spec"], "additionalProperties": False}
    errors = [error.message for error in Draft202012Validator(spec).iter_errors(case["backfill"]["spec"])]
    assert errors == []


def test_a_good_one() -> None:
    backfill, problems = validate_backfill(manifest(), SCHEDULED, now=NOW)
    assert problems == []
    assert backfill is not None
    spec = backfill.spec
    assert (spec.reprocess, spec.max_active_runs, spec.reverse, spec.suspend) == ("None", 10, False, False)


def test_to_may_be_now_by_any_clock() -> None:
    """Kubernetes writes down when an object was made in whole seconds."""
    assert validate_backfill(manifest(to="2026-06-01T12:30:01.5Z"), SCHEDULED, now=NOW)[1] == []
    assert validate_backfill(manifest(to="2026-06-01T12:30:03Z"), SCHEDULED, now=NOW)[1] != []
    assert validate_backfill(manifest(to="2199-01-01T00:00:00Z"), SCHEDULED)[1] == []


@pytest.mark.parametrize("field", ["dependsOnPast", "waitForDownstream"])
def test_the_tasks_that_forbid_reverse_may_get_it_by_default(field: str) -> None:
    tasks = [
        {"name": "a", "noop": True},
        {"name": "b", "noop": True, "dependsOnPast": False, "waitForDownstream": False},
    ]
    dag = DagSpec.model_validate({"schedule": "@daily", "taskDefaults": {field: True}, "tasks": tasks})
    [problem] = validate_backfill(manifest(reverse=True), dag)[1]
    assert problem.message == "cannot be true: tasks depend on the previous run (a)"
    assert validate_backfill(manifest(), dag)[1] == []
