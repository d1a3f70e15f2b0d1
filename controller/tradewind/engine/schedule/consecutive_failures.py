"""The number of runs of a Dag that failed in a row, and its limit (`maxConsecutiveFailedRuns`).

Runs count in the order in which they finish. The number is kept in the Dag's status, so pruned history does not matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tradewind.engine.run.states import RunPhase
from tradewind.engine.schedule.finished_run import FinishedRun

TOO_MANY_FAILED_RUNS = "TooManyFailedRuns"
SUSPENDED = "Suspended"
"""Reasons of the condition Scheduled of a suspended Dag."""


@dataclass(frozen=True, slots=True)
class FailureStreak:
    """Failed runs in a row; at `limit` the Dag is suspended."""

    limit: int
    count: int = 0

    @property
    def too_many(self) -> bool:
        """True if the limit is reached: the Dag must be suspended, or already is."""
        return self.count >= self.limit

    def after(self, run: FinishedRun) -> "FailureStreak":
        """The streak after one more run has finished. Once at the limit, it stays there until the Dag is resumed."""
        if self.too_many or not counts(run):
            return self
        return replace(self, count=self.count + 1 if run.phase is RunPhase.FAILED else 0)

    def limited(self, limit: int, *, suspended: bool) -> "FailureStreak":
        """The streak with another limit. A Dag that is suspended for its failures stays suspended."""
        return replace(self, limit=min(limit, self.count) if suspended and self.too_many else limit)


def counts(run: FinishedRun) -> bool:
    """True if the run counts for its Dag's streak. Runs of a Backfill do not, since old data may not suit the Dag, and
    neither do manual runs that were rejected for their input."""
    return run.type != "Backfill" and (run.started or run.type != "Manual")


def streak_in_status(status: Mapping[str, Any], limit: int, *, suspended: bool, generation: int) -> FailureStreak:
    """The streak that a new leader reads from a Dag's status; the other arguments are of the Dag's current spec.

    The controller writes the count first and suspends the Dag after it. If the limit is reached and the Dag is not
    suspended, either the suspension is still missing, or it was applied and a user has resumed the Dag; then the spec
    has a newer generation than the status.
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
