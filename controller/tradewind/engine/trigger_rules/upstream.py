"""What a trigger rule is given and what it may answer."""

from collections.abc import Callable
from dataclasses import dataclass

from tradewind.engine.states import FINISHED_STATES, TaskState


@dataclass(slots=True)
class UpstreamCounts:
    """How many of the tasks right upstream there are, and how many ended in which way."""

    total: int
    succeeded: int = 0
    failed: int = 0
    upstream_failed: int = 0
    skipped: int = 0
    removed: int = 0

    def add(self, state: TaskState) -> None:
        """Count one more upstream task that ended in `state`."""
        if state not in FINISHED_STATES:
            raise ValueError(f"{state} is not an end")
        match state:
            case TaskState.SUCCEEDED:
                self.succeeded += 1
            case TaskState.FAILED:
                self.failed += 1
            case TaskState.UPSTREAM_FAILED:
                self.upstream_failed += 1
            case TaskState.SKIPPED:
                self.skipped += 1
            case _:
                self.removed += 1

    @property
    def done(self) -> int:
        """Upstream tasks that have ended, however."""
        return self.succeeded + self.failed + self.upstream_failed + self.skipped + self.removed

    def wait(self) -> "Wait":
        """The answer of a rule that needs more tasks to end."""
        return Wait(f"waits for tasks upstream: {self.done} of {self.total} have ended")


@dataclass(frozen=True, slots=True)
class Run:
    """The task may start."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The task cannot start yet; `reason` says for what it waits."""

    reason: str


@dataclass(frozen=True, slots=True)
class End:
    """The task will never start: it ends in `state` at once, and `reason` says why."""

    state: TaskState
    reason: str


Verdict = Run | Wait | End
TriggerRule = Callable[[UpstreamCounts], Verdict]
