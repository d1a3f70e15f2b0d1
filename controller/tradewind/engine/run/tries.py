"""What happens to a try, as those who run it (Pods or local processes) report it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class TryEvent(StrEnum):
    """What a report says."""

    CREATED = "Created"
    """The Pod exists and waits to start (or its wait has a new reason)."""
    RUNNING = "Running"
    """Its container has started."""
    ENDED = "Ended"
    """Its container ended; `exit_code` says how, unless the try was ended from outside."""
    LOST = "Lost"
    """It ended through no fault of the task, or its result is unknown."""
    REFUSED = "Refused"
    """The Pod could not be made and never will be."""
    POSTPONED = "Postponed"
    """The Pod could not be made now (quota, for example); to be tried again after a while."""

    @property
    def order(self) -> int:
        """Place in the life of a try: of two reports the one with the higher place is the newer."""
        return _ORDER.get(self, len(_ORDER))


class HeldBy(StrEnum):
    """What keeps a Pod from starting that is not its own affair."""

    GATES = "Gates"
    """It may not be scheduled yet: somebody has still to take its scheduling gates off."""
    CLUSTER = "Cluster"
    """No node has room for it, or none was looked for yet."""


PREEMPTED = frozenset({"PreemptionByScheduler", "Preempting", "Preempted"})
"""Reasons of tries that were lost to a Pod of a higher priority, which may happen any number of times."""

_ORDER = {TryEvent.POSTPONED: 0, TryEvent.CREATED: 1, TryEvent.RUNNING: 2}


@dataclass(frozen=True, slots=True)
class TryKey:
    """What tells a try from all others of its run."""

    task: str
    index: int | None
    """Which instance of a mapped task; None where the task is not mapped."""
    number: int
    """The try, from 1."""
    poke: int = 0
    """Which look of a sensor, from 1 over all its tries; 0 for what is no sensor."""

    @property
    def instance(self) -> str:
        """The task instance, as people write it: `load` or `load[3]`."""
        return instance_name(self.task, self.index)


def instance_name(task: str, index: int | None) -> str:
    """`load`, or `load[3]` for an instance of a mapped task."""
    return task if index is None else f"{task}[{index}]"


@dataclass(frozen=True, slots=True)
class TryReport:
    """One observation of a try. Saying the same twice, or too late, does no harm."""

    task: str
    number: int
    event: TryEvent
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    reason: str | None = None
    message: str | None = None
    output: str | None = None
    """What the task wrote as its output, unparsed."""
    retry: bool = True
    """False where another try would end the same way (a template that cannot be rendered); for Postponed, where
    waiting makes sense only as long as queuedTimeout."""
    index: int | None = None
    poke: int = 0
    created_at: datetime | None = None
    """When its Pod was created."""
    deletion: str | None = None
    """Why its Pod was to go, where its container ended with exit code 0 after that was asked for."""
    held_by: HeldBy | None = None
    """Of one that waits to start; None: something of its own keeps it, its image for example."""
    held_since: datetime | None = None
    """Since when that has been so; None: since now."""

    @property
    def key(self) -> TryKey:
        """The try that this is about."""
        return TryKey(self.task, self.index, self.number, self.poke)


@dataclass(frozen=True, slots=True)
class StopReason:
    """Why a try that is under way must end."""

    reason: str
    message: str
