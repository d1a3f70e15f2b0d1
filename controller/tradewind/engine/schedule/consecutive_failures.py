"""How many runs of a Dag have failed in a row, and when that is too many (`maxConsecutiveFailedRuns`).

Runs count in the order in which they end. The number is kept in the Dag's status, so pruned history does not matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tradewind.engine.run.states import RunPhase
from tradewind.engine.schedule.ended_run import EndedRun

TOO_MANY_FAILED_RUNS = "TooManyFailedRuns"
SUSPENDED = "Suspended"
"""Reasons of the condition Scheduled of a suspended Dag."""


@dataclass(frozen=True, slots=True)
class FailureStreak:
    """Failed runs in a row: at most `limit`, at which their Dag is suspended."""

    limit: int
    count: int = 0

    @property
    def too_many(self) -> bool:
        """Whether the Dag is to be suspended, or has been."""
        return self.count >= self.limit

    def after(self, run: EndedRun) -> "FailureStreak":
        """One more run has ended. Once there are too many, it stays so until the Dag is resumed."""
        if self.too_many or not counts(run):
            return self
        return replace(self, count=self.count + 1 if run.phase is RunPhase.FAILED else 0)

    def limited(self, limit: int, *, suspended: bool) -> "FailureStreak":
        """The Dag has another limit. What it was suspended for it stays suspended for."""
        return replace(self, limit=min(limit, self.count) if suspended and self.too_many else limit)


def counts(run: EndedRun) -> bool:
    """Whether the end of a run says something about its Dag: not that of a backfill, which may well be of data that the
    Dag does not suit, nor that of a person's run that was refused for what they asked."""
    return run.type != "Backfill" and (run.started or run.type != "Manual")


def streak_in_status(status: Mapping[str, Any], limit: int, *, suspended: bool, generation: int) -> FailureStreak:
    """What a new leader finds in a Dag's status, where its spec now has `limit`, `suspended` and `generation`.

    A Dag is suspended after the number that is too many was written. So where it is not, either that had still to be
    done, or it was done and somebody has resumed the Dag; then the spec is not the one that the status speaks of.
    """
    streak = FailureStreak(limit, int(status.get("consecutiveFailedRuns") or 0))
    conditions = status.get("conditions") or ()
    reasons = {condition.get("reason") for condition in conditions if condition.get("type") == "Scheduled"}
    edited = status.get("observedGeneration") != generation
    if not suspended and edited and (streak.too_many or reasons & {SUSPENDED, TOO_MANY_FAILED_RUNS}):
        return FailureStreak(limit)
    if suspended and TOO_MANY_FAILED_RUNS in reasons and streak.count:
        return replace(streak, limit=min(limit, streak.count))
    return streak
