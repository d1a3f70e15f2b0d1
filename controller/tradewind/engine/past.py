"""dependsOnPast and waitForDownstream: how far the run before this one has come."""

from typing import Protocol

from tradewind.api.resolve import ResolvedTask


class PastRuns(Protocol):
    """The run before, as far as a task depends on it."""

    def why_not(self, task: ResolvedTask) -> str | None:
        """Why the task cannot start yet, or None when nothing in the past keeps it."""
