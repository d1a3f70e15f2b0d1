"""What a kind of task answers, and how it answers: as values that transitions/ carry out.

The facts of a kind that need no run (whether it makes Pods, whether it waits) are in api/kinds.
"""

from abc import ABC
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from tradewind.api.resolve import ResolvedTask
from tradewind.api.times import format_time
from tradewind.engine.rules.outcome import Outcome
from tradewind.engine.rules.time_limits import gave_up, given_up
from tradewind.engine.run.state import RunState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.tries import TryEvent, TryReport


@dataclass(frozen=True, slots=True)
class NeedsSlots:
    """The try needs slots, and then a Pod."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The instance finishes."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """The instance waits for a moment; None: for a report of whoever carries the wait out."""

    moment: datetime | None = None


@dataclass(frozen=True, slots=True)
class LookAgain:
    """The end of a Pod is not the end of the try: after a while there is another."""

    after: timedelta
    keeps_slots: bool


@dataclass(frozen=True, slots=True)
class Look:
    """It is time for the next Pod of the same try."""


NEEDS_SLOTS = NeedsSlots()
LOOK = Look()


class Kind(ABC):  # noqa: B024 - what a kind does not answer itself is answered here
    """One kind of task. It reads a run and answers; it changes nothing.

    An instance that waits between two Pods looks again here, whatever its kind: it may have been a sensor until its run
    took over a newer Dag.
    """

    alike: ClassVar[NeedsSlots | Finish | None] = None
    """What starts any instance, where that is the same for all of them: thousands of a mapped task start together then.
    None: start() says it for each, as far as there is room in a plan."""
    always_succeeds: ClassVar[str | None] = None
    """Why a simulation can script nothing else, in words for its author."""

    def start(self, run: RunState, instance: TaskInstance, now: datetime) -> NeedsSlots | Finish | WaitUntil:
        """What starts a try of an instance that waits for nothing else."""
        if self.alike is None:
            raise NotImplementedError(f"{type(self).__name__}.start")
        return self.alike

    def on_end(self, instance: TaskInstance, report: TryReport) -> LookAgain | None:
        """What the end of a Pod means, if it is not the end of the try."""
        return None

    def found_after_all(self, instance: TaskInstance, report: TryReport) -> bool:
        """Whether a poke that was taken for lost did find what it looked for: who leads now may have seen more of
        it."""
        succeeded = report.event is TryEvent.ENDED and report.exit_code == 0
        return instance.next_poke_at is not None and (report.number, report.poke) == instance.attempt and succeeded

    def on_timer(self, instance: TaskInstance, now: datetime) -> Finish | Look | None:
        """What the time means for an instance that waits; None: it waits on."""
        why = gave_up(instance, now)
        if why is not None:
            return Finish(given_up(instance, why))
        due = instance.next_poke_at is not None and instance.next_poke_at <= now
        return LOOK if due else None

    def resume_at(self, run: RunState, instance: TaskInstance) -> datetime | None:
        """The moment that an instance waits for which waited when status was written."""
        return instance.next_poke_at or instance.finished_at or run.started_at

    def soften(self, task: ResolvedTask, outcome: Outcome) -> Outcome:
        """How the last try of an instance counts."""
        return outcome

    def explain_wait(self, instance: TaskInstance) -> tuple[str, str]:
        """(field, message): what an instance that waits is waiting for."""
        next_look = f" at {format_time(instance.next_poke_at)}" if instance.next_poke_at else ""
        return "sensor", f"it has looked {instance.pokes} times, and looks again{next_look}"
