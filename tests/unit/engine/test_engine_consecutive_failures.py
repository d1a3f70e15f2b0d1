"""Which runs count as failed in a row, and what a new leader makes of the number in status."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tradewind.engine.run.states import RunPhase
from tradewind.engine.schedule.consecutive_failures import FailureStreak, streak_in_status
from tradewind.engine.schedule.finished_run import FinishedRun

pytestmark = pytest.mark.unit

AT = datetime(2026, 3, 1, tzinfo=UTC)


def ended(letter: str) -> FinishedRun:
    """F and S: a scheduled run that failed or succeeded; M: a manual one that failed; B, b: a backfill that failed or
    succeeded; R: a scheduled run that was refused; r: a manual one."""
    kind = {"M": "Manual", "r": "Manual", "B": "Backfill", "b": "Backfill"}.get(letter, "Scheduled")
    phase = RunPhase.SUCCEEDED if letter in "Sb" else RunPhase.FAILED
    return FinishedRun("ns", "sales", f"run-{letter}", kind, phase, AT, 1, started=letter not in "Rr")


@pytest.mark.parametrize(
    ("runs", "count"),
    [
        ("", 0),
        ("S", 0),
        ("F", 1),
        ("FF", 2),
        ("FFS", 0),
        ("FFSF", 1),
        ("FM", 2),
        ("FBB", 1),
        ("FbF", 2),
        ("FR", 2),
        ("Frrr", 1),
        ("FFF", 3),
        ("FFFF", 3),
        ("FFFS", 3),
    ],
)
def test_what_counts(runs: str, count: int) -> None:
    streak = FailureStreak(3)
    for letter in runs:
        streak = streak.after(ended(letter))
    assert streak.count == count
    assert streak.too_many == (count == 3)


def test_another_limit() -> None:
    assert FailureStreak(5, 2).limited(2, suspended=False).too_many
    assert not FailureStreak(2, 2).limited(3, suspended=False).too_many
    assert FailureStreak(2, 2).limited(3, suspended=True).too_many, "what it was suspended for holds"


def status(count: int | None, reason: str, generation: int) -> dict[str, Any]:
    found = {"observedGeneration": generation, "conditions": [{"type": "Scheduled", "reason": reason}]}
    return found if count is None else {**found, "consecutiveFailedRuns": count}


@pytest.mark.parametrize(
    ("found", "suspended", "generation", "count", "too_many"),
    [
        ({}, False, 1, 0, False),
        (status(None, "Scheduled", 1), False, 1, 0, False),
        (status(2, "Scheduled", 1), False, 1, 2, False),
        (status(2, "Scheduled", 1), False, 2, 2, False),
        (status(3, "TooManyFailedRuns", 1), False, 1, 3, True),
        (status(3, "TooManyFailedRuns", 1), True, 2, 3, True),
        (status(3, "TooManyFailedRuns", 2), True, 2, 3, True),
        (status(3, "TooManyFailedRuns", 1), False, 3, 0, False),
        (status(3, "TooManyFailedRuns", 2), False, 3, 0, False),
        (status(1, "Suspended", 2), False, 3, 0, False),
        (status(1, "Suspended", 2), True, 2, 1, False),
        (status(2, "TooManyFailedRuns", 2), True, 3, 2, True),
    ],
    ids=[
        "a new Dag",
        "no limit before",
        "as it was",
        "edited since",
        "to be suspended",
        "suspended, which status does not say yet",
        "suspended",
        "suspended and resumed, neither of which status says",
        "resumed",
        "resumed from a person's suspension",
        "suspended by a person",
        "suspended for a lower limit",
    ],
)
def test_what_a_new_leader_finds(
    found: dict[str, Any], suspended: bool, generation: int, count: int, too_many: bool
) -> None:
    streak = streak_in_status(found, 3, suspended=suspended, generation=generation)
    assert (streak.count, streak.too_many) == (count, too_many)
