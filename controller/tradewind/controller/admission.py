"""Admission: the same validation as everywhere, at `kubectl apply` already.

Served by kopf. Nothing depends on it: with no webhook installed, the controller's conditions say the same.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import kopf

from tradewind.api import GROUP, VERSION
from tradewind.api.dag import DagSpec
from tradewind.api.validation import (
    Problem,
    summary,
    validate_backfill,
    validate_dag,
    validate_dag_run,
    validate_pool,
)
from tradewind.controller.cluster import Cluster

HANDLER = "validate"
"""Also the path that the chart's webhook configuration names: kopf finds handlers by it."""


def register(registry: kopf.OperatorRegistry, cluster: Callable[[], Cluster | None]) -> None:
    """Register the handlers of our kinds. `cluster` has the Dags that DagRuns and Backfills are checked against."""

    @kopf.on.validate(GROUP, VERSION, "dags", id=HANDLER, operations=["CREATE", "UPDATE"], registry=registry)
    def dag(body: kopf.Body, old: Any = None, **_: Any) -> None:
        _refuse(body, old, validate_dag(_manifest(body))[1])

    @kopf.on.validate(GROUP, VERSION, "dagruns", id=HANDLER, operations=["CREATE"], registry=registry)
    def dag_run(body: kopf.Body, **_: Any) -> None:
        manifest = _manifest(body)
        # A run may be made before its Dag; it then waits, and its params are checked when the Dag is there.
        _refuse(body, None, validate_dag_run(manifest, _dag_of(manifest, cluster()))[1])

    @kopf.on.validate(GROUP, VERSION, "backfills", id=HANDLER, operations=["CREATE"], registry=registry)
    def backfill(body: kopf.Body, **_: Any) -> None:
        manifest = _manifest(body)
        problems = validate_backfill(manifest, _dag_of(manifest, cluster()), now=datetime.now(UTC))[1]
        _refuse(body, None, problems)

    @kopf.on.validate(GROUP, VERSION, "pools", id=HANDLER, operations=["CREATE", "UPDATE"], registry=registry)
    def pool(body: kopf.Body, old: Any = None, **_: Any) -> None:
        _refuse(body, old, validate_pool(_manifest(body))[1])


_ENVELOPE = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Dag"}


def _dag_of(manifest: Mapping[str, Any], cluster: Cluster | None) -> DagSpec | None:
    """The Dag that a DagRun or Backfill names, as far as it is known and can be read."""
    spec = manifest.get("spec")
    name = spec.get("dag") if isinstance(spec, dict) else None
    found = cluster.dags.get((manifest["metadata"].get("namespace", ""), name)) if cluster and name else None
    dag = validate_dag({**_ENVELOPE, "metadata": {"name": name}, "spec": found.spec})[0] if found else None
    return dag.spec if dag else None


def _manifest(body: kopf.Body) -> dict[str, Any]:
    """The object as it was sent, without status, which is ours."""
    return {key: dict(value) if isinstance(value, Mapping) else value for key, value in body.items() if key != "status"}


def _refuse(body: kopf.Body, old: Any, problems: list[Problem]) -> None:
    """Refuse an object with problems, unless its spec was there before: labels of a bad Dag can still be changed."""
    if not problems:
        return
    if old and dict(old).get("spec") == dict(body).get("spec"):
        return
    name = body.get("metadata", {}).get("name") or "?"
    raise kopf.AdmissionError(f"{body.get('kind', '')} {name!r}: {summary(problems)}", code=422)
