"""What keeps a backfill from going on."""

from tradewind.api.validation import Problem, summary


class Gone(Exception):  # noqa: N818
    """The Backfill was deleted, or made anew under the same name."""


class Outdated(Exception):  # noqa: N818
    """Another controller has changed the Backfill: read it anew."""


class Refused(Exception):  # noqa: N818
    """It can never be done."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(summary(problems))
        self.problems = problems


class Waits(Exception):  # noqa: N818
    """It cannot begin, or make more runs, yet. Without a message there is nothing to tell anybody."""

    def __init__(self, reason: str, message: str, *, look_again: float, phase: str = "Pending") -> None:
        """`look_again`: seconds after which to try again, if nothing is heard before."""
        super().__init__(message)
        self.reason, self.phase, self.look_again = reason, phase, look_again
