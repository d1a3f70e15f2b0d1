"""A run that has ended, as far as its Dag needs to know of it."""

from dataclasses import dataclass
from datetime import datetime

from tradewind.engine.run.states import RunPhase


@dataclass(frozen=True, slots=True)
class EndedRun:
    """How and when a run of a Dag ended, whether it had started or was refused before."""

    namespace: str
    dag: str
    name: str
    type: str
    """What made it: Manual, Scheduled, …"""
    phase: RunPhase
    finished_at: datetime
    version: int
    """The resourceVersion with which its end was written: the order in which runs have ended."""
    started: bool = True
    """False: it was refused."""
    backfill: str | None = None
    """The Backfill that it belongs to."""
    backfill_uid: str | None = None
    """Tells that from another one of that name."""
