"""The states of task instances and runs."""

from enum import StrEnum


class TaskState(StrEnum):
    """State of a task instance. `NONE` is not written to status."""

    NONE = "None"
    SCHEDULED = "Scheduled"
    QUEUED = "Queued"
    RUNNING = "Running"
    UP_FOR_RETRY = "UpForRetry"
    UP_FOR_RESCHEDULE = "UpForReschedule"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    UPSTREAM_FAILED = "UpstreamFailed"
    REMOVED = "Removed"


class RunPhase(StrEnum):
    """Phase of a DagRun."""

    QUEUED = "Queued"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


FINISHED_STATES = frozenset(
    {
        TaskState.SUCCEEDED,
        TaskState.FAILED,
        TaskState.SKIPPED,
        TaskState.UPSTREAM_FAILED,
        TaskState.REMOVED,
    }
)
FINISHED_PHASES = frozenset({RunPhase.SUCCEEDED, RunPhase.FAILED})
