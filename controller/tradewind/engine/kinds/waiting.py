"""The base of kinds that wait without a Pod. They hold no slots.

The engine itself waits for times. For other conditions it requests a wait (run_info.Wait), and the caller reports when
the try has finished.
"""

from dataclasses import replace
from datetime import datetime

from tradewind.api.resolve import ResolvedTask
from tradewind.api.times import format_time
from tradewind.engine.kinds.kind import Finish, Kind, PokeNow
from tradewind.engine.rules.outcome import Outcome
from tradewind.engine.rules.time_limits import sensor_timed_out, timeout_outcome
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.tries import TryReport

SUCCEEDED = Finish(Outcome(TaskState.SUCCEEDED))


class Waiting(Kind):
    """Succeeds at its moment, or when a report says so; `sensor` may have the timeout."""

    def is_late_success(self, instance: TaskInstance, report: TryReport) -> bool:
        """False: it creates no Pods."""
        return False

    def on_timer(self, instance: TaskInstance, now: datetime) -> Finish | PokeNow | None:
        """Success at its moment, or the outcome of its timeout."""
        if instance.next_poke_at is not None and instance.next_poke_at <= now:
            return SUCCEEDED
        why = sensor_timed_out(instance, now)
        return Finish(timeout_outcome(instance, why)) if why is not None else None

    def resume_at(self, run: RunState, instance: TaskInstance) -> datetime | None:
        """The moment in status."""
        return instance.next_poke_at

    def soften(self, task: ResolvedTask, outcome: Outcome) -> Outcome:
        """With softFail a failure becomes Skipped."""
        soft = task.sensor is not None and task.sensor.soft_fail
        return replace(outcome, state=TaskState.SKIPPED) if soft and outcome.state is TaskState.FAILED else outcome

    def explain_wait(self, instance: TaskInstance) -> tuple[str, str]:
        """Its moment, or the last reported message."""
        if instance.next_poke_at is not None:
            return "sensor", f"waiting until {format_time(instance.next_poke_at)}"
        return "waitFor", instance.message or "the condition is not met yet"
