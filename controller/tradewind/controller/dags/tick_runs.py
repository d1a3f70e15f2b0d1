"""The manifest of a tick's DagRun, for schedules and Backfills."""

from collections.abc import Mapping
from typing import Any, Literal

from tradewind.api import API_VERSION, names
from tradewind.api.ownership import metadata_of_run
from tradewind.api.times import format_time
from tradewind.engine.timetables import Tick


def manifest(
    namespace: str,
    dag: str,
    dag_uid: str,
    tick: Tick,
    kind: Literal["Scheduled", "Backfill"],
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the object to create. The tick determines its name, so creating it is idempotent."""
    date = format_time(tick.logical_date)
    spec: dict[str, Any] = {
        "dag": dag,
        "type": kind,
        "logicalDate": date,
        "dataInterval": {"start": format_time(tick.interval_start), "end": date},
    }
    owned = metadata_of_run(namespace, dag, dag_uid)
    metadata: dict[str, Any] = {
        "name": names.run_name(dag, tick.logical_date),
        "labels": {**owned["labels"], **(labels or {})},
        "ownerReferences": owned["ownerReferences"],
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    if params:
        spec["params"] = dict(params)
    return {"apiVersion": API_VERSION, "kind": "DagRun", "metadata": metadata, "spec": spec}
