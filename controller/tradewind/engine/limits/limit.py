"""The interface of a limit: it takes a run and a task and returns None or a Reached."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from tradewind.engine.run.state import RunState
from tradewind.engine.run.task_node import TaskNode


class Blocks(Enum):
    """The tasks that a reached limit blocks."""

    RUN = auto()
    """All tasks of the run."""
    POOL = auto()
    """The tasks of the run in the same pool."""
    TASK = auto()
    """This task alone."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A limit is reached; `reason` is the message that a user sees."""

    reason: str
    scope: Blocks


Limit = Callable[[RunState, TaskNode], Reached | None]
