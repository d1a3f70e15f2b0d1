"""The base of kinds that wait without a Pod. They hold no slots.

Times are the engine's own business; all else is for whoever carries the wait out (run_info.Wait), and comes as a report
that the try has ended.
"""

from dataclasses import replace
from datetime import datetime

from tradewind.api.resolve import ResolvedTask
from tradewind.api.times import format_time
from tradewind.engine.kinds.kind import Finish, Kind, Look
from tradewind.engine.rules.outcome import Outcome
from tradewind.engine.rules.time_limits import gave_up, given_up
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.tries import TryReport

SUCCEEDED = Finish(Outcome(TaskState.SUCCEEDED))


class Waiting(Kind):
    """Succeeds when its moment has come, or when that is reported; `sensor` may say how long it waits."""

    def found_after_all(self, instance: TaskInstance, report: TryReport) -> bool:
        """It makes no Pods."""
        return False

    def on_timer(self, instance: TaskInstance, now: datetime) -> Finish | Look | None:
        """Its moment has come, or its time is up."""
        if instance.next_poke_at is not None and instance.next_poke_at <= now:
            return SUCCEEDED
        why = gave_up(instance, now)
        return Finish(given_up(instance, why)) if why is not None else None

    def resume_at(self, run: RunState, instance: TaskInstance) -> datetime | None:
        """As status has it."""
        return instance.next_poke_at

    def soften(self, task: ResolvedTask, outcome: Outcome) -> Outcome:
        """With softFail it is Skipped where it would fail."""
        soft = task.sensor is not None and task.sensor.soft_fail
        return replace(outcome, state=TaskState.SKIPPED) if soft and outcome.state is TaskState.FAILED else outcome

    def explain_wait(self, instance: TaskInstance) -> tuple[str, str]:
        """Its moment, or what was reported last."""
        if instance.next_poke_at is not None:
            return "sensor", f"it waits until {format_time(instance.next_poke_at)}"
        return "waitFor", instance.message or "what it waits for has not come"
