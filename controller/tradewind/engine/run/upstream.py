"""The interface of a trigger rule: it takes UpstreamCounts and returns a Verdict."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from tradewind.engine.run.states import FINISHED_STATES, TaskState


@dataclass(slots=True)
class UpstreamCounts:
    """The number of direct upstream task instances, in total and by finished state, and the same for the setup tasks
    among them."""

    total: int
    succeeded: int = 0
    failed: int = 0
    upstream_failed: int = 0
    skipped: int = 0
    removed: int = 0
    setups: int = 0
    setups_succeeded: int = 0
    setups_skipped: int = 0

    def add(self, state: TaskState, count: int = 1, *, setup: bool = False) -> None:
        """Count `count` more that finished in `state`."""
        if state not in FINISHED_STATES:
            raise ValueError(f"{state} is not a finished state")
        match state:
            case TaskState.SUCCEEDED:
                self.succeeded += count
                self.setups_succeeded += count * setup
            case TaskState.FAILED:
                self.failed += count
            case TaskState.UPSTREAM_FAILED:
                self.upstream_failed += count
            case TaskState.SKIPPED:
                self.skipped += count
                self.setups_skipped += count * setup
            case _:
                self.removed += count

    def copy(self) -> "UpstreamCounts":
        """An independent copy."""
        return replace(self)

    def plus(self, other: "UpstreamCounts") -> "UpstreamCounts":
        """The sum of both."""
        return UpstreamCounts(
            self.total + other.total,
            self.succeeded + other.succeeded,
            self.failed + other.failed,
            self.upstream_failed + other.upstream_failed,
            self.skipped + other.skipped,
            self.removed + other.removed,
            self.setups + other.setups,
            self.setups_succeeded + other.setups_succeeded,
            self.setups_skipped + other.setups_skipped,
        )

    @property
    def finished(self) -> int:
        """Instances that have finished, in any state."""
        return self.succeeded + self.failed + self.upstream_failed + self.skipped + self.removed

    def wait(self) -> "Wait":
        """The verdict of a rule that needs more upstream tasks to finish."""
        return Wait(f"waiting for upstream tasks: {self.finished} of {self.total} finished")


@dataclass(frozen=True, slots=True)
class Run:
    """The task may start."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The task cannot start yet; `reason` is the message that a user sees."""

    reason: str


@dataclass(frozen=True, slots=True)
class End:
    """The task will never start: it finishes in `state` immediately, and `reason` says why."""

    state: TaskState
    reason: str


Verdict = Run | Wait | End
TriggerRule = Callable[[UpstreamCounts], Verdict]
