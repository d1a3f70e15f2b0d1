"""The types of the tables of reasons."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """What a reason means, and what a person does about it: nothing where `fix` is empty."""

    meaning: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Reasons that a reader finds in the same place."""

    title: str
    about: str
    """Where these reasons are seen."""
    reasons: dict[str, Reason]
    of_kubernetes: bool = False
    """Whether the words are Kubernetes' own and none of the code."""
