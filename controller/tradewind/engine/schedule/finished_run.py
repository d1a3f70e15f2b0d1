"""The facts about a finished run that its Dag needs."""

from dataclasses import dataclass
from datetime import datetime

from tradewind.engine.run.states import RunPhase


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run of a Dag that has finished, or was rejected before it started."""

    namespace: str
    dag: str
    name: str
    type: str
    """Manual, Scheduled or Backfill."""
    phase: RunPhase
    finished_at: datetime
    version: int
    """The resourceVersion of the write that finished it: the order in which runs have finished."""
    started: bool = True
    """False if it was rejected."""
    backfill: str | None = None
    """The Backfill that it belongs to."""
    backfill_uid: str | None = None
    """Distinguishes that Backfill from another one of the same name."""
    dag_uid: str | None = None
    """Distinguishes its Dag from another one of the same name; None if it has no owner."""
