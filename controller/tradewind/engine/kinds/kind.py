"""The interface of a kind of task, and the values that it returns, which transitions/ apply.

The facts about a kind that need no run (whether it creates Pods, whether it waits) are in api/kinds.
"""

from abc import ABC
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from tradewind.api.resolve import ResolvedTask
from tradewind.api.times import format_time
from tradewind.engine.rules.outcome import Outcome
from tradewind.engine.rules.time_limits import sensor_timed_out, timeout_outcome
from tradewind.engine.run.state import RunState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.tries import TryEvent, TryReport


@dataclass(frozen=True, slots=True)
class NeedsSlots:
    """The try needs slots and then a Pod."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The instance finishes."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """The instance waits for a moment; None: for a report of the caller, which watches the condition."""

    moment: datetime | None = None


@dataclass(frozen=True, slots=True)
class PokeAgain:
    """The try does not finish with this Pod: after a delay there is another poke."""

    after: timedelta
    keeps_slots: bool


@dataclass(frozen=True, slots=True)
class PokeNow:
    """The next Pod of the same try is due."""


NEEDS_SLOTS = NeedsSlots()
POKE_NOW = PokeNow()


class Kind(ABC):  # noqa: B024 - the methods have defaults
    """One kind of task. It reads a run and returns decisions; it changes nothing.

    The default methods handle an instance that waits between two pokes, for every kind: it may have been a sensor until
    its run was rerun with a newer Dag.
    """

    common_start: ClassVar[NeedsSlots | Finish | None] = None
    """The start of any instance, if it is the same for all: then thousands of a mapped task start together. None if
    start() decides for each, limited by the room of a plan."""
    always_succeeds: ClassVar[str | None] = None
    """The message if a simulation scripts anything but success; None if it may."""

    def start(self, run: RunState, instance: TaskInstance, now: datetime) -> NeedsSlots | Finish | WaitUntil:
        """The start of a try of a ready instance."""
        if self.common_start is None:
            raise NotImplementedError(f"{type(self).__name__}.start")
        return self.common_start

    def on_pod_finished(self, instance: TaskInstance, report: TryReport) -> PokeAgain | None:
        """PokeAgain if the try does not finish with this Pod."""
        return None

    def is_late_success(self, instance: TaskInstance, report: TryReport) -> bool:
        """True if a poke that counted as lost has succeeded: a new leader may have its result."""
        succeeded = report.event is TryEvent.ENDED and report.exit_code == 0
        return instance.next_poke_at is not None and (report.number, report.poke) == instance.attempt and succeeded

    def on_timer(self, instance: TaskInstance, now: datetime) -> Finish | PokeNow | None:
        """The decision about a waiting instance whose timer is due; None if it keeps waiting."""
        why = sensor_timed_out(instance, now)
        if why is not None:
            return Finish(timeout_outcome(instance, why))
        due = instance.next_poke_at is not None and instance.next_poke_at <= now
        return POKE_NOW if due else None

    def resume_at(self, run: RunState, instance: TaskInstance) -> datetime | None:
        """The moment that an instance restored from status waits for."""
        return instance.next_poke_at or instance.finished_at or run.started_at

    def soften(self, task: ResolvedTask, outcome: Outcome) -> Outcome:
        """The outcome of an instance, given that of its last try."""
        return outcome

    def explain_wait(self, instance: TaskInstance) -> tuple[str, str]:
        """(field, message) about an instance that waits."""
        pokes = f"{instance.pokes} poke{'' if instance.pokes == 1 else 's'} without success"
        next_poke = f"; the next one is at {format_time(instance.next_poke_at)}" if instance.next_poke_at else ""
        return "sensor", pokes + next_poke
