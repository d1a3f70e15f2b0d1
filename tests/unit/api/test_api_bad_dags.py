"""Every kind of bad Dag gets the reason, the field and the message that tell a person what to change."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tradewind.api.crd import crd
from tradewind.api.dag import DAG_CRD, Dag
from tradewind.api.validation import summary, validate_dag

pytestmark = pytest.mark.unit

BAD_DAGS: list[dict[str, Any]] = yaml.safe_load(Path(__file__).parents[2].joinpath("bad_dags.yaml").read_text())


def test_each_is_distinguished_by_name() -> None:
    names = [case["name"] for case in BAD_DAGS]
    assert len(names) == len(set(names)) >= 40


@pytest.mark.parametrize("case", BAD_DAGS, ids=lambda case: case["name"])
def test_bad_dag(case: dict[str, Any]) -> None:
    _, problems = validate_dag(case["dag"])
    found = {(problem.reason, problem.field): problem.message for problem in problems}
    assert (case["reason"], case["field"]) in found, found
    message = found[case["reason"], case["field"]]
    assert case["contains"] in message
    assert len(message) < 300
    assert message in summary(problems)


@pytest.mark.parametrize("case", BAD_DAGS, ids=lambda case: case["name"])
def test_one_mistake_is_one_problem(case: dict[str, Any]) -> None:
    _, problems = validate_dag(case["dag"])
    assert len(problems) == 1, [str(problem) for problem in problems]


@pytest.mark.parametrize(
    "case", [case for case in BAD_DAGS if case["rejectedBy"] == "validation"], ids=lambda c: c["name"]
)
def test_what_validation_is_said_to_find_passes_the_schema(case: dict[str, Any]) -> None:
    """Else the entry would never reach the webhook or the condition on a cluster."""
    schema = crd(Dag, DAG_CRD)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec = {"properties": {"spec": schema["properties"]["spec"]}}
    errors = [error.message for error in Draft202012Validator(_with_closed_objects(spec)).iter_errors(case["dag"])]
    assert errors == []


def _with_closed_objects(schema: Any) -> Any:
    """A structural schema refuses unknown fields (with field validation Strict, kubectl's default)."""
    if isinstance(schema, list):
        return [_with_closed_objects(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _with_closed_objects(part) for key, part in schema.items()}
    if "properties" in closed and closed.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed
