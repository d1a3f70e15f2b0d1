"""The DagRun resource: one execution of a Dag; its status is the record of every task instance."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tradewind.api.meta import Condition, ObjectMeta
from tradewind.api.model import LIST_ATOMIC, Json, Model, Name, Timestamp, cel, list_map
from tradewind.api.run_request import RequestStatus, RunRequest
from tradewind.api.task_status import TaskStatus

RunPhaseName = Literal["Queued", "Running", "Succeeded", "Failed"]


# Params may be any JSON, so CEL has no type for them and must look them up as it runs.
_UNCHANGED = " && ".join(
    f"has({now}.{name}) == has({before}.{name}) && (!has({now}.{name}) || {now}.{name} == {before}.{name})"
    for now, before, name in (
        ("self", "oldSelf", "dag"),
        ("self", "oldSelf", "type"),
        ("self", "oldSelf", "logicalDate"),
        ("self", "oldSelf", "dataInterval"),
        ("self", "oldSelf", "revision"),
        ("dyn(self)", "dyn(oldSelf)", "params"),
    )
)


class DataInterval(Model):
    """The span of data that a run is about: from start, up to but without end."""

    start: Timestamp
    """First moment of the interval."""
    end: Timestamp
    """First moment after the interval."""


class DagRunSpec(Model):
    """Which Dag to run and with what. But for suspend and request it cannot be changed once made."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                cel(
                    _UNCHANGED,
                    "the spec of a DagRun cannot be changed, but for suspend and request; make another run instead",
                ),
                cel(
                    "!has(self.request) || !has(oldSelf.request) || self.request == oldSelf.request",
                    "another request is pending: wait until it is applied, or remove it first",
                ),
            ]
        }
    )

    dag: Name
    """Name of the Dag, in the same namespace."""
    type: Literal["Manual", "Scheduled", "Backfill"] = "Manual"
    """What made the run: a person or program (Manual), the Dag's schedule (Scheduled) or a Backfill."""
    logical_date: Timestamp | None = None
    """The moment the run is for, as templates see it. Default: the time the run was made."""
    data_interval: DataInterval | None = None
    """The span of data the run is about. Default: that of the tick of the schedule at the logical date or, where there
    is none, of the last tick before it; empty, at the logical date, for a Dag without schedule."""
    params: Annotated[dict[str, Json], Field(max_length=128)] | None = None
    """Values of the Dag's params, by name; those not given take their default."""
    revision: Annotated[str, Field(max_length=253)] | None = None
    """Name of the ControllerRevision of the Dag to run. Default: the Dag as it is when the run starts."""
    suspend: bool | None = None
    """While true no task of the run starts; those that run go on. Can be changed at any time. Default: false."""
    request: RunRequest | None = None
    """Asks for tasks to be run again, to be marked, or for the run to stop. It is removed once it is applied, and kept
    in `status.requests`."""


class DagRunStatus(Model):
    """How far the run is."""

    observed_generation: int | None = None
    """Generation of the spec that this status speaks of."""
    phase: RunPhaseName | None = None
    """Queued (waits for maxActiveRuns), Running, Succeeded or Failed."""
    reason: str | None = None
    """Why the run is in this phase, in one CamelCase word."""
    message: str | None = None
    """Why, for people."""
    conditions: Annotated[list[Condition], Field(json_schema_extra=list_map("type"))] | None = None
    """Complete: whether the run has succeeded. Failed: whether it has failed, and why."""
    revision: str | None = None
    """Name of the ControllerRevision that holds the Dag as this run runs it."""
    logical_date: Timestamp | None = None
    """The moment the run is for."""
    data_interval: DataInterval | None = None
    """The span of data the run is about."""
    params: Annotated[dict[str, Json], Field(max_length=128)] | None = None
    """The run's parameters, with defaults filled in."""
    started_at: Timestamp | None = None
    """When the run started."""
    finished_at: Timestamp | None = None
    """When it ended."""
    done: str | None = None
    """Tasks that have finished, of all: 7/12."""
    duration: str | None = None
    """How long the run took."""
    # Atomic, since only the controller writes it: as a list map, metadata.managedFields would name every field of every
    # task, which doubles the object and takes the API server most of the time of a write.
    tasks: Annotated[list[TaskStatus], Field(json_schema_extra=LIST_ATOMIC)] | None = None
    """The state of each task."""
    requests: Annotated[list[RequestStatus], Field(json_schema_extra=LIST_ATOMIC)] | None = None
    """What was asked of the run, by whom, and what became of it; the latest last."""


class DagRun(Model):
    """One execution of a Dag."""

    api_version: Literal["tradewind.dev/v1alpha1"]
    kind: Literal["DagRun"]
    metadata: ObjectMeta
    spec: DagRunSpec
    status: DagRunStatus | None = None


DAGRUN_CRD = {
    "plural": "dagruns",
    "singular": "dagrun",
    "kind": "DagRun",
    "short_names": ["dr"],
    "columns": [
        ("Dag", "string", ".spec.dag", "The Dag it runs", 0),
        ("Phase", "string", ".status.phase", "Queued, Running, Succeeded or Failed", 0),
        ("Done", "string", ".status.done", "Tasks finished, of all", 0),
        ("Logical Date", "string", ".status.logicalDate", "The moment the run is for", 0),
        ("Duration", "string", ".status.duration", "How long it took", 0),
        ("Age", "date", ".metadata.creationTimestamp", "Time since the run was made", 0),
        ("Type", "string", ".spec.type", "Manual, Scheduled or Backfill", 1),
        ("Message", "string", ".status.message", "Why it is in this phase", 1),
        ("Finished", "string", ".status.finishedAt", "When it ended", 1),
        ("Revision", "string", ".status.revision", "Name of the ControllerRevision that it runs", 1),
    ],
    "selectable": [".spec.dag", ".spec.request.id", ".status.phase"],
    "rules": [
        {
            "rule": "self.metadata.name.size() <= 63",
            "message": "a DagRun's name has at most 63 characters: it is a label of its Pods",
        }
    ],
}
