"""The DagRun resource: one execution of a Dag; its status is the record of every task instance."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tradewind.api.meta import Condition, ObjectMeta
from tradewind.api.model import LIST_ATOMIC, Json, Model, Name, Timestamp, cel, list_map

TaskStateName = Literal[
    "Scheduled",
    "Queued",
    "Running",
    "Succeeded",
    "Failed",
    "Skipped",
    "UpstreamFailed",
    "UpForRetry",
    "Removed",
]
RunPhaseName = Literal["Queued", "Running", "Succeeded", "Failed"]


class DataInterval(Model):
    """The span of data that a run is about: from start, up to but without end."""

    start: Timestamp
    """First moment of the interval."""
    end: Timestamp
    """First moment after the interval."""


class DagRunSpec(Model):
    """Which Dag to run and with what. It cannot be changed once made."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                cel("self == oldSelf", "the spec of a DagRun cannot be changed; make another run instead"),
            ]
        }
    )

    dag: Name
    """Name of the Dag, in the same namespace."""
    type: Literal["Manual", "Scheduled"] = "Manual"
    """What made the run: a person or program (Manual) or the Dag's schedule (Scheduled)."""
    logical_date: Timestamp | None = None
    """The moment the run is for, as templates see it. Default: the time the run was made."""
    data_interval: DataInterval | None = None
    """The span of data the run is about. Default: empty, at the logical date."""
    params: Annotated[dict[str, Json], Field(max_length=128)] | None = None
    """Values of the Dag's params, by name; those not given take their default."""
    revision: Annotated[str, Field(max_length=253)] | None = None
    """Name of the ControllerRevision of the Dag to run. Default: the Dag as it is when the run starts."""


class TryStatus(Model):
    """One earlier try of a task."""

    number: int
    """The try, from 1."""
    state: Literal["Succeeded", "Failed", "Skipped", "Lost"]
    """How it ended; Lost: through no fault of the task, and not counted against its retries."""
    reason: str | None = None
    """Why, in one CamelCase word: Error, OOMKilled, Timeout, Evicted, PodDeleted, …"""
    message: str | None = None
    """Why, for people; for a failure often the last lines of the log."""
    exit_code: int | None = None
    """Exit code of the task's container."""
    started_at: Timestamp | None = None
    """When its container started."""
    finished_at: Timestamp | None = None
    """When it ended."""


class TaskStatus(Model):
    """The state of one task in the run. A task that is not listed has not been considered yet."""

    name: Name
    """Name of the task."""
    state: TaskStateName
    """Where the task is in its life."""
    try_: Annotated[int | None, Field(alias="try")] = None
    """Number of the current or last try, from 1."""
    lost: int | None = None
    """Tries among them that were lost and are not counted against the retries."""
    reason: str | None = None
    """Why the task is in this state, in one CamelCase word."""
    message: str | None = None
    """Why, for people: what it waits for, or what went wrong."""
    exit_code: int | None = None
    """Exit code of the task's container."""
    scheduled_at: Timestamp | None = None
    """When the current try was ready to start."""
    queued_at: Timestamp | None = None
    """When its Pod was created."""
    started_at: Timestamp | None = None
    """When its container started."""
    finished_at: Timestamp | None = None
    """When the task, or its last try, ended."""
    retry_at: Timestamp | None = None
    """When the next try is due, in state UpForRetry."""
    output: Json | None = None
    """What the task wrote to its termination log, as JSON: `{{ tasks.<name>.output }}` for the tasks after it."""
    tries: Annotated[list[TryStatus], Field(json_schema_extra=LIST_ATOMIC)] | None = None
    """Earlier tries, when there was more than one."""


class DagRunStatus(Model):
    """How far the run is."""

    phase: RunPhaseName | None = None
    """Queued (waits for maxActiveRuns), Running, Succeeded or Failed."""
    reason: str | None = None
    """Why the run is in this phase, in one CamelCase word."""
    message: str | None = None
    """Why, for people."""
    conditions: Annotated[list[Condition], Field(json_schema_extra=list_map("type"))] | None = None
    """Complete: whether the run has ended, and how."""
    revision: str | None = None
    """Name of the ControllerRevision that holds the Dag as this run runs it."""
    logical_date: Timestamp | None = None
    """The moment the run is for."""
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
        ("Type", "string", ".spec.type", "Manual or Scheduled", 1),
        ("Message", "string", ".status.message", "Why it is in this phase", 1),
    ],
    "selectable": [".spec.dag", ".status.phase"],
    "rules": [
        {
            "rule": "self.metadata.name.size() <= 63",
            "message": "a DagRun's name has at most 63 characters: it is a label of its Pods",
        }
    ],
}
