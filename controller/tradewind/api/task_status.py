"""What the status of a run says of one task."""

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


class _InstanceFacts(Model):
    """What is said alike of a task and of one instance of a mapped task."""

    state: TaskStateName
    """Where it is in its life. None: it has not begun, though its instances are known, or for the reason in message."""
    try_: Annotated[int | None, Field(alias="try")] = None
    """Number of the current or last try, from 1."""
    lost: int | None = None
    """Tries among them that were lost and are not counted against the retries."""
    preempted: int | None = None
    """Those of the lost tries that made way for a Pod of a higher priority: they do not use up retries.onLost."""
    tries_before: int | None = None
    """Tries that were made before the last rerun; retries are counted from there."""
    reason: str | None = None
    """Why it is in this state, in one CamelCase word."""
    message: str | None = None
    """Why, for people: what it waits for, or what went wrong."""
    exit_code: int | None = None
    """Exit code of its container."""
    scheduled_at: Timestamp | None = None
    """When the current try was ready to start."""
    queued_at: Timestamp | None = None
    """When its Pod was created, or its scheduling gates were taken off."""
    started_at: Timestamp | None = None
    """When its container started."""
    finished_at: Timestamp | None = None
    """When it, or its last try, ended."""
    retry_at: Timestamp | None = None
    """When the next try is due, in state UpForRetry."""
    pokes: int | None = None
    """Of a sensor: how often it has looked so far, in the current try."""
    first_poke_at: Timestamp | None = None
    """Of a sensor: when it first looked; its timeout counts from here."""
    next_poke_at: Timestamp | None = None
    """Of a sensor: when it looks next."""
    tries: Annotated[list[TryStatus], Field(json_schema_extra=LIST_ATOMIC)] | None = None
    """Earlier tries, when there was more than one; of an instance of a mapped task the last of them."""


class InstanceStatus(_InstanceFacts):
    """One instance of a mapped task."""

    index: int
    """Which instance, from 0."""


class TaskStatus(_InstanceFacts):
    """The state of one task in the run. A task that is not listed has not begun."""

    name: Name
    """Name of the task."""
    output: Json | None = None
    """What the task wrote to `$TRADEWIND_OUTPUT`, as JSON: `{{ tasks.<name>.output }}` for the tasks after it."""
    count: int | None = None
    """Of a mapped task: how many instances it has."""
    indexes: dict[str, str] | None = None
    """Of a mapped task: which instances are in which state, by state: `{Succeeded: "0-811,813-999"}`."""
    numbers: dict[str, str] | None = None
    """Of a mapped task: which instances are at which try, by try number, where that is not what their state says:
    `{"2": "3,17-20"}`."""
    lost_tries: dict[str, str] | None = None
    """Of a mapped task: which instances lost how many tries, by number of lost tries: `{"1": "5"}`."""
    preempted_tries: dict[str, str] | None = None
    """Of a mapped task: which instances had to make way how often for a Pod of a higher priority, by how often:
    `{"1": "5"}`."""
    rerun_from: dict[str, str] | None = None
    """Of a mapped task: which instances made how many tries before their last rerun, by number of tries: `{"1":
    "0-9"}`."""
    poke_numbers: dict[str, str] | None = None
    """Of a mapped sensor: which instances have looked how often, by number of looks: `{"4": "0-9"}`."""
    due_at: dict[str, str] | None = None
    """Of a mapped task: when which instances go on by themselves, to try or to look again: `{"2026-01-31T06:00:00Z":
    "0-9"}`."""
    instances: Annotated[list[InstanceStatus], Field(json_schema_extra=LIST_ATOMIC)] | None = None
    """Of a mapped task: some instances in full, those that run and those that failed first."""
    outputs: dict[str, Json] | None = None
    """Of a mapped task: what its instances wrote, by index."""
