"""The status of one task of a run."""

from typing import Annotated, Literal

from pydantic import Field

from tradewind.api.model import LIST_ATOMIC, Json, Model, Name, Timestamp

TaskStateName = Literal[
    "None",
    "Scheduled",
    "Queued",
    "Running",
    "Succeeded",
    "Failed",
    "Skipped",
    "UpstreamFailed",
    "UpForRetry",
    "UpForReschedule",
    "Removed",
]


class TryStatus(Model):
    """One earlier try of a task."""

    number: int
    """Number of the try, from 1."""
    state: Literal["Succeeded", "Failed", "Skipped", "Lost"]
    """Final state of the try. Lost: not the task's fault, so it does not count toward its retries."""
    reason: str | None = None
    """Why, in one CamelCase word: Error, OOMKilled, Timeout, Evicted, PodDeleted, …"""
    message: str | None = None
    """The same for people; for a failure often the last lines of the log."""
    exit_code: int | None = None
    """Exit code of the task's container."""
    started_at: Timestamp | None = None
    """When its container started."""
    finished_at: Timestamp | None = None
    """When the try finished."""


class _InstanceFacts(Model):
    """The fields that a task and one instance of a mapped task share."""

    state: TaskStateName
    """State of the task. None: not started, with the reason in message if there is one."""
    try_: Annotated[int | None, Field(alias="try")] = None
    """Number of the current or last try, from 1."""
    lost: int | None = None
    """Number of lost tries, which do not count toward the retries."""
    preempted: int | None = None
    """Number of lost tries that were preempted by a Pod of a higher priority; they do not use up retries.onLost."""
    tries_before: int | None = None
    """Number of tries before the last rerun; retries are counted from there."""
    reason: str | None = None
    """One CamelCase word that says why the task is in this state."""
    message: str | None = None
    """The same for people: what the task waits for, or why it failed."""
    exit_code: int | None = None
    """Exit code of the task's container."""
    scheduled_at: Timestamp | None = None
    """When the current try became ready to start."""
    queued_at: Timestamp | None = None
    """When the Pod was created, or its scheduling gates were removed."""
    started_at: Timestamp | None = None
    """When its container started."""
    finished_at: Timestamp | None = None
    """When the task, or its last try, finished."""
    retry_at: Timestamp | None = None
    """When the next try starts, in state UpForRetry."""
    pokes: int | None = None
    """Sensors only: number of pokes in the current try."""
    first_poke_at: Timestamp | None = None
    """Sensors only: time of the first poke, from which the timeout counts."""
    next_poke_at: Timestamp | None = None
    """Sensors only: time of the next poke."""
    tries: Annotated[list[TryStatus], Field(json_schema_extra=LIST_ATOMIC)] | None = None
    """Earlier tries, if any; of an instance of a mapped task only the last of them."""


class InstanceStatus(_InstanceFacts):
    """One instance of a mapped task."""

    index: int
    """Index of the instance, from 0."""


class TaskStatus(_InstanceFacts):
    """The state of one task of the run. A task that is not listed has not started."""

    name: Name
    """Name of the task."""
    output: Json | None = None
    """JSON that the task wrote to `$TRADEWIND_OUTPUT`: `{{ tasks.<name>.output }}` in downstream tasks."""
    count: int | None = None
    """Mapped tasks only: number of instances."""
    indexes: dict[str, str] | None = None
    """Mapped tasks only: indexes of instances by state: `{Succeeded: "0-811,813-999"}`."""
    numbers: dict[str, str] | None = None
    """Mapped tasks only: indexes of instances by try number, where their state does not imply it: `{"2":
    "3,17-20"}`."""
    lost_tries: dict[str, str] | None = None
    """Mapped tasks only: indexes of instances by number of lost tries: `{"1": "5"}`."""
    preempted_tries: dict[str, str] | None = None
    """Mapped tasks only: indexes of instances by number of preempted tries: `{"1": "5"}`."""
    rerun_from: dict[str, str] | None = None
    """Mapped tasks only: indexes of instances by number of tries before their last rerun: `{"1": "0-9"}`."""
    poke_numbers: dict[str, str] | None = None
    """Mapped sensors only: indexes of instances by number of pokes: `{"4": "0-9"}`."""
    due_at: dict[str, str] | None = None
    """Mapped tasks only: indexes of instances by the time of their next try or poke: `{"2026-01-31T06:00:00Z":
    "0-9"}`."""
    instances: Annotated[list[InstanceStatus], Field(json_schema_extra=LIST_ATOMIC)] | None = None
    """Mapped tasks only: some instances in full, running and failed ones first."""
    outputs: dict[str, Json] | None = None
    """Mapped tasks only: outputs of instances by index."""
