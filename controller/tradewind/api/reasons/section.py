"""The types of the tables of reasons."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """The meaning of a reason and its fix; `fix` is empty if there is nothing to do."""

    meaning: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Reasons that occur in the same place."""

    title: str
    about: str
    """Where these reasons occur."""
    reasons: dict[str, Reason]
    of_kubernetes: bool = False
    """True if the reasons are Kubernetes' own and none of the code."""
