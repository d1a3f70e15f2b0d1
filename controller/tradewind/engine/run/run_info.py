"""What a run is, and what it says to those around it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tradewind.api.resolve import ResolvedTask
from tradewind.engine.run.tries import StopReason, TryKey


@dataclass(frozen=True, slots=True)
class PreviousRuns:
    """What templates may ask about the runs of the Dag before this one; None where there is no such run."""

    logical_date: datetime | None = None
    """Of the run before, however it ended; the other values are those of the last run before that succeeded."""
    interval_start_success: datetime | None = None
    interval_end_success: datetime | None = None
    started_at_success: datetime | None = None
    finished_at_success: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What does not change about a run, but for `previous`: other runs may end or come in between."""

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
    """Name of the Backfill that it belongs to: such runs count against its maxActiveRuns, not against the Dag's."""
    backfill_uid: str | None = None
    """Tells that from another one of that name."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask for the end of a try that is under way."""

    run: RunInfo
    task: ResolvedTask
    key: TryKey
    why: StopReason


@dataclass(frozen=True, slots=True)
class Wait:
    """Find out when what a waitFor task waits for has come, and report its try as Ended with exit code 0 then (Created
    with a message says why it has not)."""

    run: RunInfo
    task: ResolvedTask
    key: TryKey


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened to a run that a person wants to be told; `task` None: about the run as a whole."""

    run: RunInfo
    task: str | None
    reason: str
    message: str
    warning: bool = False
    cause: str | None = None
    """Why, in one CamelCase word: Error, OOMKilled, Evicted, …"""
