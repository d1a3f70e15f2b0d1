"""Dags of the bench and their runs, as manifests."""

from __future__ import annotations

from typing import Any

from tradewind.api import API_VERSION, names
from tradewind.api.ownership import owner_reference

Manifest = dict[str, Any]
MOST = 10_000
"""More than any workload uses at a time, so that no limit of a Dag is measured."""


def dag(name: str, tasks: list[Manifest], **spec: Any) -> Manifest:
    """A Dag without effective limits, whose runs are kept. A task finishes 0.1 s after its start, unless its Pod
    sets another time."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Dag",
        "metadata": {"name": name},
        "spec": {
            "maxActiveRuns": MOST,
            "maxActiveTasks": MOST,
            "successfulRunsHistoryLimit": MOST,
            "taskDefaults": {"image": "busybox:1.36"},
            "tasks": [{"command": ["true"], **task} for task in tasks],
            **spec,
        },
    }


def parallel(count: int) -> list[Manifest]:
    """Independent tasks."""
    return [{"name": f"t{number}"} for number in range(count)]


def chain(length: int) -> list[Manifest]:
    """Tasks in sequence."""
    return [{"name": f"t{n}", **({"dependsOn": [f"t{n - 1}"]} if n else {})} for n in range(length)]


def mapped(count: int) -> list[Manifest]:
    """One task with many instances."""
    return [{"name": "each", "forEach": {"items": list(range(count))}}]


def lasting(duration: str) -> Manifest:
    """A podTemplate with which the fake nodes run the Pod for this time."""
    return {"metadata": {"annotations": {"localkube/duration": duration}}}


def run(dag_name: str, name: str, dag_uid: str | None = None) -> Manifest:
    """A run of a Dag, as by `kubectl create`, or with `dag_uid` as by `tradewind trigger`."""
    metadata: dict[str, Any] = {"name": name}
    if dag_uid is not None:
        metadata["labels"] = {names.LABEL_DAG: dag_name}
        metadata["ownerReferences"] = [owner_reference("Dag", dag_name, dag_uid)]
    return {"apiVersion": API_VERSION, "kind": "DagRun", "metadata": metadata, "spec": {"dag": dag_name}}


def unlimited_pool() -> Manifest:
    """The default pool of a namespace without its limit."""
    return {"apiVersion": API_VERSION, "kind": "Pool", "metadata": {"name": "default"}, "spec": {"slots": -1}}
