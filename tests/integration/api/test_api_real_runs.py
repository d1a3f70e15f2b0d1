"""The fields of a DagRun that may change, and selection of runs, on a real API server."""

from __future__ import annotations

from typing import Any

import kubernetes
import pytest

from tests.cluster import Manifest, Witness

SPEC: Manifest = {
    "dag": "sales",
    "type": "Scheduled",
    "logicalDate": "2026-01-01T00:00:00Z",
    "dataInterval": {"start": "2025-12-31T00:00:00Z", "end": "2026-01-01T00:00:00Z"},
    "params": {"region": "eu", "rows": [1, {"a": 2}], "none": {}},
    "revision": "sales-0123456789",
}
RERUN: Manifest = {"id": "first", "type": "Rerun", "tasks": ["load", "load[3]"], "onlyFailed": True}


class Runs:
    """DagRuns of one namespace."""

    def __init__(self, witness: Witness, namespace: str) -> None:
        self.witness, self.namespace = witness, namespace

    def make(self, name: str, spec: Manifest) -> None:
        body = {
            "apiVersion": "tradewind.dev/v1alpha1",
            "kind": "DagRun",
            "metadata": {"name": name},
            "spec": spec,
        }
        self.witness.create(self.namespace, "dagruns", body, field_validation="Strict")

    def change(self, name: str, **spec: Any) -> Manifest:
        changed: Manifest = self.witness.patch(self.namespace, "dagruns", name, {"spec": spec})["spec"]
        return changed

    def selected(self, selector: str) -> set[str]:
        found = self.witness.list(self.namespace, "dagruns", field_selector=selector)
        return {run["metadata"]["name"] for run in found}


@pytest.fixture
def runs(resources: Witness, namespace: str) -> Runs:
    return Runs(resources, namespace)


def refused(attempt: Any, *arguments: Any, **fields: Any) -> str:
    with pytest.raises(kubernetes.client.ApiException) as refusal:
        attempt(*arguments, **fields)
    error: Any = refusal.value
    assert error.status == 422, error.body
    return str(error.body)


@pytest.mark.parametrize(
    "change",
    [
        {"dag": "other"},
        {"type": "Backfill"},
        {"type": None},
        {"logicalDate": "2026-01-02T00:00:00Z"},
        {"logicalDate": None},
        {"dataInterval": {"start": "2025-12-30T00:00:00Z"}},
        {"dataInterval": None},
        {"params": {"region": "us"}},
        {"params": {"rows": [1, {"a": 3}]}},
        {"params": {"none": {"x": 1}}},
        {"params": {"region": None}},
        {"params": {"region": None, "area": "eu"}},
        {"params": {"more": 1}},
        {"params": None},
        {"revision": "sales-other"},
        {"revision": None},
        {"suspend": True, "params": {"region": "us"}},
        {"request": RERUN, "revision": None},
    ],
    ids=str,
)
def test_what_was_given_stays(runs: Runs, change: Manifest) -> None:
    runs.make("r", SPEC)
    assert "only suspend and request of a DagRun can be changed" in refused(runs.change, "r", **change)


@pytest.mark.parametrize(
    "change", [{"params": {"a": 1}}, {"logicalDate": "2026-01-02T00:00:00Z"}, {"revision": "x"}, {"type": "Backfill"}]
)
def test_what_was_not_given_cannot_be_given_later(runs: Runs, change: Manifest) -> None:
    runs.make("r", {"dag": "sales"})
    assert "only suspend and request of a DagRun can be changed" in refused(runs.change, "r", **change)


def test_suspend_and_request_can_be_changed(runs: Runs) -> None:
    runs.make("r", SPEC)
    assert runs.change("r", suspend=True)["suspend"] is True
    assert runs.change("r", suspend=False)["suspend"] is False
    assert runs.change("r", request=RERUN)["request"] == RERUN
    assert runs.change("r", suspend=True, request=RERUN)["request"] == RERUN
    assert "suspend" not in runs.change("r", suspend=None)
    assert runs.change("r", request=None) == SPEC


def test_a_pending_request_is_not_replaced(runs: Runs) -> None:
    runs.make("r", {"dag": "sales"})
    runs.change("r", request=RERUN)
    for other in ({"id": "second"}, {"tasks": ["load"]}, {"onlyFailed": None}, {"message": "again"}):
        assert "another request is pending" in refused(runs.change, "r", request=other)
    runs.change("r", request=None)
    assert runs.change("r", request={"id": "second", "type": "Stop"})["request"]["id"] == "second"


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"id": "1", "type": "Mark"}, "Mark needs a state"),
        ({"id": "1", "type": "Stop", "state": "Failed"}, "Rerun and Stop take none"),
        ({"id": "", "type": "Stop"}, "spec.request.id"),
        ({"id": "x" * 64, "type": "Stop"}, "spec.request.id"),
        ({"type": "Stop"}, "spec.request.id"),
        ({"id": "1", "type": "Rerun", "tasks": ["Load"]}, "spec.request.tasks"),
        ({"id": "1", "type": "Rerun", "tasks": ["a", "a"]}, "spec.request.tasks"),
    ],
)
def test_a_bad_request(runs: Runs, request_: Manifest, says: str) -> None:
    assert says in refused(runs.make, "r", {"dag": "sales", "request": request_})


def test_runs_with_a_request_can_be_selected(runs: Runs) -> None:
    """The field of a run without a request compares as empty."""
    runs.make("with", {"dag": "sales"})
    runs.make("without", {"dag": "sales"})
    runs.make("at-once", {"dag": "sales", "request": {"id": "second", "type": "Stop"}})
    assert runs.selected("spec.request.id!=") == {"at-once"}
    runs.change("with", request=RERUN)
    assert runs.selected("spec.request.id!=") == {"with", "at-once"}
    assert runs.selected("spec.request.id=") == {"without"}
    assert runs.selected("spec.request.id=first") == {"with"}
    assert runs.selected("spec.request.id!=,spec.dag=sales") == {"with", "at-once"}
    runs.change("with", request=None)
    assert runs.selected("spec.request.id!=") == {"at-once"}


def test_the_largest_request_fits(runs: Runs) -> None:
    tasks = [f"{'t' * 50}-{index}[99999]" for index in range(2000)]
    runs.make("r", {"dag": "sales", "request": {"id": "1", "type": "Rerun", "tasks": tasks}})
    assert "another request is pending" in refused(runs.change, "r", request={"id": "2"})


def test_a_status_with_everything(runs: Runs) -> None:
    """The status subresource takes what the controller writes of mapped tasks, sensors and requests."""
    runs.make("r", {"dag": "sales"})
    instance = {
        "index": 812,
        "state": "UpForReschedule",
        "try": 2,
        "lost": 1,
        "triesBefore": 1,
        "pokes": 3,
        "nextPokeAt": "2026-01-01T00:00:00Z",
        "tries": [{"number": 1, "state": "Lost"}],
    }
    status = {
        "phase": "Running",
        "tasks": [
            {
                "name": "load",
                "state": "Running",
                "count": 1000,
                "indexes": {"Succeeded": "0-811,813-999", "UpForReschedule": "812"},
                "numbers": {"2": "3,17-20"},
                "lostTries": {"1": "5"},
                "rerunFrom": {"1": "0-9"},
                "pokeNumbers": {"3": "812"},
                "dueAt": {"2026-01-01T00:00:00Z": "812"},
                "instances": [instance],
                "outputs": {"0": {"rows": 5}, "1": "text", "2": [1], "3": False},
            },
            {"name": "waiting", "state": "None", "count": 3, "indexes": {}},
            {"name": "landed", "state": "UpForReschedule", "triesBefore": 1, "pokes": 2},
        ],
        "requests": [
            {
                **RERUN,
                "requestedBy": "ann",
                "state": "Applied",
                "message": "3 tasks run again",
                "time": "2026-01-01T00:00:00Z",
            },
            {"id": "2", "type": "Mark", "requestedState": "Failed", "requestMessage": "why", "state": "Rejected"},
        ],
    }
    runs.witness.patch_status(runs.namespace, "dagruns", "r", {"status": status})
    found = runs.witness.get(runs.namespace, "dagruns", "r")["status"]
    assert found == status
