"""The DagRun resource: one execution of a Dag. Its status records every task instance."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tradewind.api.meta import Condition, ObjectMeta
from tradewind.api.model import LIST_ATOMIC, Json, Model, Name, Timestamp, cel, list_map
from tradewind.api.run_request import RequestStatus, RunRequest
from tradewind.api.task_status import TaskStatus

RunPhaseName = Literal["Queued", "Running", "Succeeded", "Failed"]


# Params may be any JSON, so CEL has no static type for them.
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
    """The span of data that a run is about: start inclusive, end exclusive."""

    start: Timestamp
    """Start of the interval, inclusive."""
    end: Timestamp
    """End of the interval, exclusive."""


class DagRunSpec(Model):
    """The Dag to run, and its parameters. Only suspend and request can be changed after creation."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                cel(
                    _UNCHANGED,
                    "only suspend and request of a DagRun can be changed; create another run instead",
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
    """Origin of the run: a person or program (Manual), the Dag's schedule (Scheduled) or a Backfill."""
    logical_date: Timestamp | None = None
    """The moment the run is for, as templates see it. Default: the creation time of the run."""
    data_interval: DataInterval | None = None
    """The span of data the run is about. Default: the interval of the schedule's tick at the logical date, or else of
    the last tick before it; for a Dag without a schedule an empty interval at the logical date."""
    params: Annotated[dict[str, Json], Field(max_length=128)] | None = None
    """Values of the Dag's params, by name. Omitted params take their default."""
    revision: Annotated[str, Field(max_length=253)] | None = None
    """Name of the ControllerRevision of the Dag to run. Default: the current Dag when the run starts."""
    suspend: bool | None = None
    """While true, no new tasks of the run start; running tasks continue. Can be changed at any time. Default: false."""
    request: RunRequest | None = None
    """A request to rerun tasks, to mark them, or to stop the run. The controller applies it once, removes it, and
    records it in `status.requests`."""


class DagRunStatus(Model):
    """Progress of the run."""

    observed_generation: int | None = None
    """Generation of the spec that this status reflects."""
    phase: RunPhaseName | None = None
    """Queued (waiting for maxActiveRuns), Running, Succeeded or Failed."""
    reason: str | None = None
    """One CamelCase word that says why the run is in this phase."""
    message: str | None = None
    """The same for people."""
    conditions: Annotated[list[Condition], Field(json_schema_extra=list_map("type"))] | None = None
    """Complete: whether the run succeeded. Failed: whether it failed, and why."""
    revision: str | None = None
    """Name of the ControllerRevision with the Dag that this run executes."""
    logical_date: Timestamp | None = None
    """The moment the run is for."""
    data_interval: DataInterval | None = None
    """The span of data the run is about."""
    params: Annotated[dict[str, Json], Field(max_length=128)] | None = None
    """The parameters of the run, including defaults."""
    started_at: Timestamp | None = None
    """When the run started."""
    finished_at: Timestamp | None = None
    """When the run finished."""
    done: str | None = None
    """Finished and total tasks, such as 7/12."""
    duration: str | None = None
    """Duration of the run."""
    # Atomic, because only the controller writes it. As a map list, metadata.managedFields would list every field of
    # every task, which doubles the size of the object and dominates the API server's time for a write.
    tasks: Annotated[list[TaskStatus], Field(json_schema_extra=LIST_ATOMIC)] | None = None
    """The state of each task."""
    requests: Annotated[list[RequestStatus], Field(json_schema_extra=LIST_ATOMIC)] | None = None
    """Requests on the run, who made them and their outcome; the latest last."""


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
        ("Dag", "string", ".spec.dag", "The Dag of the run", 0),
        ("Phase", "string", ".status.phase", "Queued, Running, Succeeded or Failed", 0),
        ("Done", "string", ".status.done", "Finished and total tasks", 0),
        ("Logical Date", "string", ".status.logicalDate", "The moment the run is for", 0),
        ("Duration", "string", ".status.duration", "Duration of the run", 0),
        ("Age", "date", ".metadata.creationTimestamp", "Time since creation", 0),
        ("Type", "string", ".spec.type", "Manual, Scheduled or Backfill", 1),
        ("Message", "string", ".status.message", "Why the run is in this phase", 1),
        ("Finished", "string", ".status.finishedAt", "When the run finished", 1),
        ("Revision", "string", ".status.revision", "Name of its ControllerRevision", 1),
    ],
    "selectable": [".spec.dag", ".spec.request.id", ".status.phase"],
    "rules": [
        {
            "rule": "self.metadata.name.size() <= 63",
            "message": "a DagRun's name has at most 63 characters: it is a label of its Pods",
        }
    ],
}
