"""Terms of leadership for tests of one worker alone."""

from typing import Any

from tradewind.controller.term import Term
from tradewind.engine.scheduler import Scheduler

_FIELDS = tuple(Term.__dataclass_fields__)


def part_of_term(**parts: Any) -> Term:
    """A term that has only these, and a scheduler."""
    return Term(**{**dict.fromkeys(_FIELDS), "scheduler": Scheduler(), **parts})
