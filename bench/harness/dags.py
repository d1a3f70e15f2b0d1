"""Dags of the bench and their runs, as manifests."""

from __future__ import annotations

from typing import Any

from tradewind.api import API_VERSION, names
from tradewind.cache.resources import owner_reference

Manifest = dict[str, Any]
MOST = 10_000
"""More than any workload has at once: no limit of a Dag is to be what is measured."""


def dag(name: str, tasks: list[Manifest], **spec: Any) -> Manifest:
    """A Dag that no limit of its own holds back, and of which no run is deleted. A task ends 0.1 s after it started
    unless its Pod says otherwise."""
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
    """Tasks that have nothing to do with each other."""
    return [{"name": f"t{number}"} for number in range(count)]


def chain(length: int) -> list[Manifest]:
    """Tasks one after the other."""
    return [{"name": f"t{n}", **({"dependsOn": [f"t{n - 1}"]} if n else {})} for n in range(length)]


def mapped(count: int) -> list[Manifest]:
    """One task with many instances."""
    return [{"name": "each", "forEach": {"items": list(range(count))}}]


def lasting(duration: str) -> Manifest:
    """A podTemplate: the fake nodes let the Pod run for so long."""
    return {"metadata": {"annotations": {"localkube/duration": duration}}}


def run(dag_name: str, name: str, dag_uid: str | None = None) -> Manifest:
    """A run of a Dag: as `kubectl create` makes it, or with `dag_uid` as `tradewind trigger` does."""
    metadata: dict[str, Any] = {"name": name}
    if dag_uid is not None:
        metadata["labels"] = {names.LABEL_DAG: dag_name}
        metadata["ownerReferences"] = [owner_reference("Dag", dag_name, dag_uid)]
    return {"apiVersion": API_VERSION, "kind": "DagRun", "metadata": metadata, "spec": {"dag": dag_name}}


def unlimited_pool() -> Manifest:
    """The default pool of a namespace without its limit."""
    return {"apiVersion": API_VERSION, "kind": "Pool", "metadata": {"name": "default"}, "spec": {"slots": -1}}
