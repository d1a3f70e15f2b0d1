"""Reports about a try, from the code that runs it as a Pod or a local process."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class TryEvent(StrEnum):
    """The event of a report."""

    CREATED = "Created"
    """The Pod exists and waits to start, or waits for a new reason."""
    RUNNING = "Running"
    """Its container has started."""
    ENDED = "Ended"
    """Its container terminated, with `exit_code` unless the try was stopped from outside."""
    LOST = "Lost"
    """It finished through no fault of the task, or its result is unknown."""
    REFUSED = "Refused"
    """The Pod could not be created, and a retry of the request cannot help."""
    POSTPONED = "Postponed"
    """The Pod could not be created now (quota, for example); the request is retried later."""

    @property
    def order(self) -> int:
        """Position in the life of a try: of two reports, the one with the higher order is newer."""
        return _ORDER.get(self, len(_ORDER))


class HeldBy(StrEnum):
    """A cause outside of a Pod that keeps it from starting."""

    GATES = "Gates"
    """The Pod still has scheduling gates."""
    CLUSTER = "Cluster"
    """No node has room for it, or it has not been scheduled yet."""


PREEMPTED = frozenset({"PreemptionByScheduler", "Preempting", "Preempted"})
"""Reasons of tries that were lost to a Pod of a higher priority; that may happen any number of times."""

_ORDER = {TryEvent.POSTPONED: 0, TryEvent.CREATED: 1, TryEvent.RUNNING: 2}


@dataclass(frozen=True, slots=True)
class TryKey:
    """The identity of a try within its run."""

    task: str
    index: int | None
    """The index of an instance of a mapped task; None if the task is not mapped."""
    number: int
    """The try, from 1."""
    poke: int = 0
    """The poke of a sensor, from 1 over all its tries; 0 for other tasks."""

    @property
    def instance(self) -> str:
        """The task instance: `load` or `load[3]`."""
        return instance_name(self.task, self.index)


def instance_name(task: str, index: int | None) -> str:
    """`load`, or `load[3]` for an instance of a mapped task."""
    return task if index is None else f"{task}[{index}]"


@dataclass(frozen=True, slots=True)
class TryReport:
    """One observation of a try. Reports are idempotent, and late ones are ignored."""

    task: str
    number: int
    event: TryEvent
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    reason: str | None = None
    message: str | None = None
    output: str | None = None
    """The output of the task, unparsed."""
    retry: bool = True
    """False if another try would fail the same way (a template that cannot be rendered); for Postponed, if waiting
    makes sense only until queuedTimeout."""
    index: int | None = None
    poke: int = 0
    created_at: datetime | None = None
    """The creation time of its Pod."""
    deletion: str | None = None
    """The reason for the deletion of its Pod, if its container exited with 0 after the deletion was requested."""
    held_by: HeldBy | None = None
    """The cause that keeps the Pod from starting; None if it is a cause of its own, such as its image."""
    held_since: datetime | None = None
    """The time since when that is so; None: since now."""

    @property
    def key(self) -> TryKey:
        """The try that the report is about."""
        return TryKey(self.task, self.index, self.number, self.poke)


@dataclass(frozen=True, slots=True)
class StopReason:
    """The reason for stopping an active try."""

    reason: str
    message: str
