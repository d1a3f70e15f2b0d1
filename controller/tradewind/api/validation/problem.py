"""The result of validation: problems."""

from collections.abc import Sequence
from dataclasses import dataclass

_LONGEST = 1000
"""The maximum length of one problem in a summary; a condition's message is limited to 32,768 characters."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: `reason` for programs (CamelCase), `field` with its location, `message` for people.

    `cluster_only` marks a problem that does not matter when tasks run as local processes.
    """

    reason: str
    field: str
    message: str
    cluster_only: bool = False

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


def summary(problems: Sequence[Problem], most: int = 10) -> str:
    """Return all problems as one text, as admission, conditions and the CLI show them; it fits into a condition."""
    shown = "; ".join(_cut(str(problem)) for problem in problems[:most])
    return shown if len(problems) <= most else f"{shown}; and {len(problems) - most} more"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
