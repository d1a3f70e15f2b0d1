"""The known state of one Dag, and the conditions made from it."""

import asyncio
import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tradewind.api.dag import DagSpec
from tradewind.api.schedule import schedule_text
from tradewind.api.validation import Problem, summary
from tradewind.cache.resources import DagObject
from tradewind.engine.schedule.consecutive_failures import SUSPENDED, TOO_MANY_FAILED_RUNS
from tradewind.engine.timetables import Timetable
from tradewind.kube.backoff import Backoff
from tradewind.kube.objects import Key

OLD_RUN_BACKOFF = (1.0, 30.0)
"""First and longest pause, in seconds, before checking again whether an earlier Dag's run is deleted."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a tick has no run, for the condition Scheduled; `waits` if it may still get one."""

    reason: str
    message: str
    waits: bool = False


@dataclass(slots=True)
class Entry:
    """The known state of one Dag."""

    key: Key
    uid: str
    generation: int
    created_at: datetime
    spec: DagSpec | None
    problems: list[Problem]
    revision: str
    timetable: Timetable | None
    deleting: bool
    """The Dag is being deleted: no runs are created."""
    last: datetime | None
    """The last tick that got its run or was skipped."""
    next: datetime | None = None
    after_run: bool = False
    """The next tick depends on when a run finishes."""
    wake_at: datetime | None = None
    creating: bool = False
    trouble: Trouble | None = None
    """Why the last tick has no run."""
    backoff: Backoff = field(default_factory=lambda: Backoff(*OLD_RUN_BACKOFF))
    unseen: dict[str, datetime] = field(default_factory=dict)
    """Created runs that the scheduler does not have yet, with their creation times; they count as active."""
    checking_unseen: bool = False
    """Unseen runs are being read from the API server."""
    last_run: str | None = None
    last_run_phase: str | None = None
    last_run_finished_at: datetime | None = None
    conditions: list[dict[str, Any]] = field(default_factory=list)
    resource_version: str = ""
    status_task: asyncio.Task[None] | None = None
    written_at: float = -math.inf
    """When its status was last written, in the event loop's time."""
    finished_since_write: bool = False
    """A run finished since then."""


def accepted(entry: Entry) -> dict[str, Any]:
    """Return the condition Accepted, without transition time."""
    if entry.problems:
        return _condition("Accepted", False, entry.problems[0].reason, summary(entry.problems), entry)
    return _condition("Accepted", True, "Valid", "the Dag can run", entry)


def scheduled(entry: Entry, too_many: str | None) -> dict[str, Any]:
    """Return the condition Scheduled, without transition time; `too_many` is the message if too many runs failed."""
    spec = entry.spec
    if spec is None:
        return _condition("Scheduled", False, "NotAccepted", "the Dag is not accepted", entry)
    if entry.deleting:
        return _condition("Scheduled", False, "Deleting", "the Dag is being deleted", entry)
    if too_many:
        return _condition("Scheduled", False, TOO_MANY_FAILED_RUNS, too_many, entry)
    if entry.timetable is None:
        return _condition("Scheduled", False, "NoSchedule", "no schedule: runs start only when triggered", entry)
    if spec.suspend:
        return _condition("Scheduled", False, SUSPENDED, "spec.suspend is true", entry)
    if entry.trouble is not None:
        return _condition("Scheduled", not entry.trouble.waits, entry.trouble.reason, entry.trouble.message, entry)
    if entry.next is None and not entry.creating and not entry.after_run:
        return _condition("Scheduled", False, "Ended", "the schedule has no tick left", entry)
    message = f"runs on its schedule: {schedule_text(spec.all_schedules)}"
    return _condition("Scheduled", True, "Scheduled", message, entry)


def identity(entry: Entry) -> tuple[str, int, bool]:
    """Return the version of the Dag that an entry was made from, to compare with identity_of()."""
    return entry.uid, entry.generation, entry.deleting


def identity_of(dag: DagObject) -> tuple[str, int, bool]:
    """Return the version of a Dag."""
    metadata = dag.metadata
    return metadata.uid, metadata.generation, metadata.deletion_timestamp is not None


def _condition(kind: str, holds: bool, reason: str, message: str, entry: Entry) -> dict[str, Any]:
    return {
        "type": kind,
        "status": "True" if holds else "False",
        "reason": reason,
        "message": message,
        "observedGeneration": entry.generation,
    }


def without_times(status: dict[str, Any]) -> dict[str, Any]:
    """Return a status without the transition times of its conditions."""
    found = status.get("conditions")
    conditions = [
        {key: value for key, value in condition.items() if key != "lastTransitionTime"}
        for condition in (found if isinstance(found, list) else ())
        if isinstance(condition, dict)
    ]
    return {**status, "conditions": conditions}
