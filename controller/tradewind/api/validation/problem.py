"""What a validation finds."""

from collections.abc import Sequence
from dataclasses import dataclass

_LONGEST = 1000
"""Characters of one problem in a summary; a condition's message takes 32,768 in all."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: `reason` for programs (CamelCase), `field` where it is, `message` for people.

    `cluster_only` marks what matters on a cluster but not where tasks run as local processes.
    """

    reason: str
    field: str
    message: str
    cluster_only: bool = False

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


def summary(problems: Sequence[Problem], most: int = 10) -> str:
    """All problems in one text, as shown by admission, conditions and the CLI alike; it fits into a condition."""
    shown = "; ".join(_cut(str(problem)) for problem in problems[:most])
    return shown if len(problems) <= most else f"{shown}; and {len(problems) - most} more"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
