"""The Dag that a run uses, and the run with that Dag in the form that the engine takes."""

from dataclasses import dataclass, replace
from typing import Any

from tradewind.api import API_VERSION
from tradewind.api.dag import DagSpec
from tradewind.api.dagrun import DagRunSpec
from tradewind.api.resolve import resolve
from tradewind.api.times import parse_time
from tradewind.api.validation import validate_dag
from tradewind.api.validation.shape import parse
from tradewind.cli.cluster.client import Cluster
from tradewind.cli.errors import CliError
from tradewind.engine.requests import Version
from tradewind.engine.run.graph import Graph
from tradewind.engine.status.run_facts import pinned_revision, run_info


@dataclass(frozen=True, slots=True)
class RunDag:
    """A Dag, or the revision of it that a run uses."""

    spec: DagSpec
    manifest: dict[str, Any]
    """The object it was read from: a Dag, or the data of a ControllerRevision."""
    revision: str | None = None
    """Name of the ControllerRevision; None for the current Dag."""
    exact: bool = True
    """False if the revision of the run is deleted or forbidden, and this is the current Dag instead."""


def dag_of_run(cluster: Cluster, run: dict[str, Any]) -> RunDag:
    """Return the Dag that a run is pinned to; the current Dag if the run has not started."""
    status = run.get("status") or {}
    revision = pinned_revision(status) or run["spec"].get("revision")
    data = cluster.revision(revision) if revision else None
    if data is not None:
        return RunDag(_accepted(run["spec"]["dag"], data), data, revision)
    return replace(dag_now(cluster, run), exact=not revision)


def dag_now(cluster: Cluster, run: dict[str, Any]) -> RunDag:
    """Return the current Dag of a run."""
    name = run["spec"]["dag"]
    found = cluster.get("Dag", name)
    return RunDag(_accepted(name, found), found)


def version_of(run: dict[str, Any], dag: RunDag) -> Version:
    """Return the run with that Dag, in the form that the engine takes."""
    metadata, status = run["metadata"], run.get("status") or {}
    spec, problems = parse(DagRunSpec, {name: value for name, value in run["spec"].items() if name != "request"})
    if spec is None:
        raise CliError(f"DagRun {metadata['name']!r} cannot be read: {problems[0].message}")
    created_at = parse_time(metadata.get("creationTimestamp") or status.get("logicalDate"))
    if created_at is None:
        raise CliError(f"DagRun {metadata['name']!r} has no date")
    info = run_info(
        metadata.get("namespace", ""),
        metadata["name"],
        metadata.get("uid", ""),
        created_at,
        spec,
        status,
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        param_schemas=dag.spec.params,
        revision=dag.revision,
        infer_interval=lambda logical: (logical, logical),
    )
    resolved = resolve(dag.spec)
    return Version(info, resolved, Graph.of(resolved.tasks))


def _accepted(name: str, manifest: dict[str, Any]) -> DagSpec:
    dag, _ = validate_dag(
        {"apiVersion": API_VERSION, "kind": "Dag", "metadata": {"name": name}, "spec": manifest.get("spec")}
    )
    if dag is None:
        raise CliError(f"Dag {name!r} is not accepted; see `kubectl describe dag {name}`")
    return dag.spec
