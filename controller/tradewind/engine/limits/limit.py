"""What a limit is given and what it may answer."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from tradewind.engine.run.state import RunState
from tradewind.engine.run.task_node import TaskNode


class Scope(Enum):
    """What else has to wait."""

    RUN = auto()
    """All tasks of the run."""
    POOL = auto()
    """The tasks of the run in the same pool."""
    TASK = auto()
    """This task alone."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A limit is reached; `reason` says which, for people."""

    reason: str
    scope: Scope


Limit = Callable[[RunState, TaskNode], Reached | None]
