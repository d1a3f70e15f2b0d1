"""Exceptions that interrupt the work on a Backfill."""

from tradewind.api.validation import Problem, summary


class Gone(Exception):  # noqa: N818
    """The Backfill was deleted, or recreated under the same name."""


class Outdated(Exception):  # noqa: N818
    """Another controller has changed the Backfill: read it again."""


class Invalid(Exception):  # noqa: N818
    """The Backfill is invalid and can never run."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(summary(problems))
        self.problems = problems


class Requeue(Exception):  # noqa: N818
    """The Backfill cannot start, or create more runs, yet. Without a message its status is not written."""

    def __init__(self, reason: str, message: str, *, retry_after: float, phase: str = "Pending") -> None:
        """`retry_after`: seconds until the next attempt, if no event arrives before."""
        super().__init__(message)
        self.reason, self.phase, self.retry_after = reason, phase, retry_after
