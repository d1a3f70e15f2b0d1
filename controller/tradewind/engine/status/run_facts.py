"""RunInfo, the facts about a run that do not change, from its DagRun."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from tradewind.api.dagrun import DagRunSpec
from tradewind.api.names import ANNOTATION_BACKFILL_UID, LABEL_BACKFILL
from tradewind.api.times import parse_time
from tradewind.api.validation.params import with_defaults
from tradewind.engine.run.run_info import RunInfo

Interval = tuple[datetime, datetime]


def pinned_revision(status: Mapping[str, Any]) -> str | None:
    """Return the revision in status if the run has started, even if a rerun is waiting to start."""
    rerun = any(request["state"] == "Applied" for request in status.get("requests") or ())
    revision: str | None = status.get("revision") if rerun or status.get("startedAt") else None
    return revision


def run_info(
    namespace: str,
    name: str,
    uid: str,
    created_at: datetime,
    spec: DagRunSpec,
    status: Mapping[str, Any],
    *,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    param_schemas: Mapping[str, Any] | None,
    revision: str | None,
    infer_interval: Callable[[datetime], Interval],
) -> RunInfo:
    """Return the facts about a run that do not change while it uses this revision. `infer_interval(logical_date)` gives
    the data interval of a run that has none in spec or status."""
    logical = spec.logical_date or created_at
    start, end = _interval(spec, status) or infer_interval(logical)
    return RunInfo(
        namespace=namespace,
        name=name,
        uid=uid,
        dag=spec.dag,
        type=spec.type,
        logical_date=logical,
        interval_start=start,
        interval_end=end,
        params=with_defaults(param_schemas or {}, spec.params or {}),
        revision=revision,
        created_at=created_at,
        backfill=labels.get(LABEL_BACKFILL),
        backfill_uid=annotations.get(ANNOTATION_BACKFILL_UID),
    )


def _interval(spec: DagRunSpec, status: Mapping[str, Any]) -> Interval | None:
    """The interval in spec, else the one in status: once inferred it is kept there, since the schedule may change."""
    if spec.data_interval:
        return spec.data_interval.start, spec.data_interval.end
    kept = status.get("dataInterval") or {}
    start, end = parse_time(kept.get("start")), parse_time(kept.get("end"))
    return (start, end) if start and end else None
