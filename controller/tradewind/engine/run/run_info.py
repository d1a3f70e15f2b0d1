"""The identity of a run, and its requests and notifications to the caller."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tradewind.api.resolve import ResolvedTask
from tradewind.engine.run.tries import StopReason, TryKey


@dataclass(frozen=True, slots=True)
class PreviousRuns:
    """The facts about earlier runs of the Dag that templates can use; None if there is no such run."""

    logical_date: datetime | None = None
    """Of the previous run, in any phase; the other values are of the last earlier run that succeeded."""
    interval_start_success: datetime | None = None
    interval_end_success: datetime | None = None
    started_at_success: datetime | None = None
    finished_at_success: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The facts about a run that do not change, except `previous`: other runs may finish or be created in between."""

    namespace: str
    name: str
    uid: str
    dag: str
    type: str
    logical_date: datetime
    interval_start: datetime
    interval_end: datetime
    params: Mapping[str, Any] = field(default_factory=dict)
    revision: str | None = None
    created_at: datetime | None = None
    previous: PreviousRuns | None = None
    backfill: str | None = None
    """The Backfill that it belongs to: such runs count against its maxActiveRuns, not against the Dag's."""
    backfill_uid: str | None = None
    """Distinguishes that Backfill from another one of the same name."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop an active try."""

    run: RunInfo
    task: ResolvedTask
    key: TryKey
    why: StopReason


@dataclass(frozen=True, slots=True)
class Wait:
    """Watch the condition of a task that waits and report its try as Ended with exit code 0 once the condition is met;
    before that a Created report has the reason in its message."""

    run: RunInfo
    task: ResolvedTask
    key: TryKey


@dataclass(frozen=True, slots=True)
class Note:
    """An Event about a run for its users; `task` None if it is about the run as a whole."""

    run: RunInfo
    task: str | None
    reason: str
    message: str
    warning: bool = False
    cause: str | None = None
    """The cause as one CamelCase word: Error, OOMKilled, Evicted, …"""
