"""Requests of a run: what is wrong with one is said before anything is done."""

from typing import Any

import pytest

from tradewind.api.dag import DagSpec
from tradewind.api.run_request import RunRequest
from tradewind.api.validation import check_request, check_requester, summary, validate_dag_run

pytestmark = pytest.mark.unit

DAG = DagSpec.model_validate(
    {
        "groups": [{"name": "g"}, {"name": "m", "forEach": {"items": [1, 2]}}],
        "tasks": [
            {"name": "extract", "noop": True, "group": "g"},
            {"name": "load", "noop": True, "forEach": {"items": [1, 2]}},
            {"name": "inner", "noop": True, "group": "m"},
        ],
    }
)


def problems(dag: DagSpec | None = DAG, **request: Any) -> list[tuple[str, str]]:
    found = check_request(RunRequest.model_validate({"id": "1", "type": "Rerun", **request}), dag)
    assert all(problem.reason == "InvalidRequest" for problem in found)
    return [(problem.field, problem.message) for problem in found]


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"tasks": ["extract", "g", "load", "load[1]", "inner[0]"], "onlyFailed": True, "downstream": True},
        {"type": "Mark", "state": "Skipped", "tasks": ["load[0]"]},
        {"type": "Stop"},
        {"revision": "Latest", "requestedBy": "ann", "message": "late data"},
    ],
)
def test_good(request_: dict[str, Any]) -> None:
    assert problems(**request_) == []


@pytest.mark.parametrize(
    ("request_", "field", "says"),
    [
        ({"type": "Mark"}, "state", "Succeeded, Failed or Skipped"),
        ({"type": "Stop", "state": "Failed"}, "state", "remove it for Stop"),
        ({"state": "Failed"}, "state", "remove it for Rerun"),
        ({"tasks": ["exract"]}, "tasks", "did you mean 'extract'?"),
        ({"tasks": ["exract[1]"]}, "tasks", "no task or group named 'exract'"),
        ({"tasks": ["extract[0]"]}, "tasks", "is not mapped"),
        ({"tasks": ["m[0]"]}, "tasks", "as in task[0]"),
    ],
)
def test_bad(request_: dict[str, Any], field: str, says: str) -> None:
    [(where, message)] = problems(**request_)
    assert where == f"spec.request.{field}"
    assert says in message


def test_tasks_are_known_only_with_the_dag() -> None:
    assert problems(None, tasks=["anything"]) == []


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"id": "", "type": "Rerun"}, "spec.request.id: must not be empty"),
        ({"id": "x" * 64, "type": "Rerun"}, "spec.request.id: has 64 characters; the limit is 63"),
        ({"id": "1"}, "spec.request.type: is required"),
        ({"id": "1", "type": "Clear"}, "'Clear' must be 'Rerun', 'Mark' or 'Stop'"),
        ({"id": "1", "type": "Rerun", "tasks": ["Load"]}, "load or load[3]"),
        ({"id": "1", "type": "Rerun", "tasks": ["load[x]"]}, "load or load[3]"),
        ({"id": "1", "type": "Rerun", "revision": "latest"}, "'latest' must be 'Same' or 'Latest'"),
        ({"id": "1", "type": "Mark"}, "spec.request.state: is required for Mark"),
    ],
)
def test_a_run_with_a_bad_request(request_: dict[str, Any], says: str) -> None:
    manifest = {
        "apiVersion": "tradewind.dev/v1alpha1",
        "kind": "DagRun",
        "metadata": {"name": "r"},
        "spec": {"dag": "d", "request": request_},
    }
    assert says in summary(validate_dag_run(manifest)[1])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("ann", None),
        ("bob", "is 'bob'; it must be the requesting user, 'ann'"),
        ("Backfill week", "is 'Backfill week'; it must be the requesting user, 'ann'"),
        (None, "is not set; it must be the requesting user, 'ann'"),
    ],
)
def test_who_asks(given: str | None, says: str | None) -> None:
    request = RunRequest.model_validate({"id": "1", "type": "Stop", "requestedBy": given})
    found = [(problem.field, problem.message) for problem in check_requester(request, "ann")]
    assert found == ([("spec.request.requestedBy", says)] if says else [])


def test_a_name_that_is_longer_than_fits() -> None:
    user = "oidc:" + "x" * 300
    request = RunRequest.model_validate({"id": "1", "type": "Stop", "requestedBy": user[:253]})
    assert check_requester(request, user) == []
