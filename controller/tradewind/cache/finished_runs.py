"""Finished runs are not watched: they are read on demand."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tradewind.api import names
from tradewind.api.times import parse_time
from tradewind.cache.resources import DAGRUNS, DagRunObject
from tradewind.engine.rules.previous_runs import PastRun, RunPlace
from tradewind.engine.run.states import FINISHED_PHASES, RunPhase, TaskState
from tradewind.engine.schedule.finished_run import FinishedRun
from tradewind.kube.client import KubeClient
from tradewind.kube.errors import ApiError
from tradewind.kube.objects import Key

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class FinishedRow:
    """A finished run without its tasks."""

    name: str
    uid: str
    place: RunPlace
    phase: RunPhase


def finished_run(
    found: DagRunObject, phase: RunPhase, finished_at: datetime, version: int, *, started: bool
) -> FinishedRun:
    """Return a run that has just finished; `version` is its resourceVersion."""
    metadata = found.metadata
    return FinishedRun(
        metadata.namespace,
        found.dag,
        metadata.name,
        str(found.spec.get("type", "Manual")),
        phase,
        finished_at,
        version,
        started=started,
        backfill=metadata.labels.get(names.LABEL_BACKFILL),
        backfill_uid=metadata.annotations.get(names.ANNOTATION_BACKFILL_UID),
        dag_uid=next((owner.uid for owner in metadata.owner_references if owner.kind == "Dag"), None),
    )


async def list_finished_runs(client: KubeClient, dag: Key) -> list[FinishedRow]:
    """List the finished runs of a Dag that had started, by logical date. Raises KubeError.

    It requests printer columns, because the status of a run may be as large as a megabyte.
    """
    found = await client.list(DAGRUNS, dag[0], field_selector=f"spec.dag={dag[1]}", partial="table")
    rows = [_row(each) for each in found]
    return sorted((row for row in rows if row is not None), key=lambda row: row.place)


async def read_finished_run(client: KubeClient, row: FinishedRow, namespace: str) -> PastRun | None:
    """Read a finished run with its tasks; None if it was deleted or is no longer finished. Raises KubeError."""
    try:
        found = await client.get(DAGRUNS, namespace, row.name)
    except ApiError as error:
        if error.is_not_found:
            return None
        raise
    past = past_run(found)
    return past if past is not None and past.uid == row.uid else None


def past_run(found: Mapping[str, Any]) -> PastRun | None:
    """Return a DagRun as later runs see it; None if it is not finished, or was rejected before it started."""
    row = _row(found)
    if row is None:
        return None
    status = found["status"]
    interval = found["spec"].get("dataInterval") or status.get("dataInterval") or {}
    return PastRun(
        uid=row.uid,
        place=row.place,
        phase=row.phase,
        interval_start=parse_time(interval.get("start")) or row.place[0],
        interval_end=parse_time(interval.get("end")) or row.place[0],
        started_at=parse_time(status.get("startedAt")),
        finished_at=parse_time(status.get("finishedAt")),
        states={task["name"]: TaskState(task["state"]) for task in status.get("tasks") or ()},
    )


def place_of_object(run: DagRunObject) -> RunPlace | None:
    """Return the position of an unfinished run among those of its Dag; None if its logical date cannot be parsed."""
    made = parse_time(run.metadata.creation_timestamp) or _EPOCH
    text = run.spec.get("logicalDate")
    try:
        logical = parse_time(text) if text else made
    except (TypeError, ValueError):
        return None
    return None if logical is None or logical.tzinfo is None else (logical, made, run.metadata.name)


def place_in_queue(run: DagRunObject) -> datetime:
    """Return the key by which a run is loaded among others: its logical date, or its creation time if that cannot be
    parsed."""
    place = place_of_object(run)
    return place[0] if place is not None else parse_time(run.metadata.creation_timestamp) or _EPOCH


def _row(found: Mapping[str, Any]) -> FinishedRow | None:
    """Convert a row of a table, or a whole object."""
    cells, status = found.get("cells") or {}, found.get("status") or {}
    phase, logical = cells.get("Phase") or status.get("phase"), cells.get("Logical Date") or status.get("logicalDate")
    if phase not in FINISHED_PHASES or not logical:
        return None  # a rejected run has no logical date
    metadata, date = found["metadata"], parse_time(logical)
    if date is None:
        return None
    made = parse_time(metadata.get("creationTimestamp")) or _EPOCH
    return FinishedRow(metadata["name"], metadata["uid"], (date, made, metadata["name"]), RunPhase(phase))
