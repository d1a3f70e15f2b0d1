"""waitFor: tasks that wait without a Pod, for a time or for something in the cluster.

They hold no slots. Times are the engine's own business; of all else it asks once to be told (run_info.Wait), and is
told by a report that the try has ended.
"""

from dataclasses import replace
from datetime import UTC, datetime

from tradewind.api.duration import parse_duration
from tradewind.api.resolve import ResolvedTask
from tradewind.api.templates import TemplateError
from tradewind.api.times import parse_time
from tradewind.engine.rules import pokes
from tradewind.engine.rules.outcome import Outcome
from tradewind.engine.rules.rendering import render_field
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.tries import TryReport
from tradewind.engine.transitions import sensors
from tradewind.engine.transitions.endings import finish


def begin(run: RunState, instance: TaskInstance, now: datetime) -> None:
    """Start to wait."""
    instance.state, instance.started_at = TaskState.UP_FOR_RESCHEDULE, now
    instance.first_poke_at = instance.first_poke_at or now
    try:
        instance.next_poke_at = due_at(run, instance)
    except (TemplateError, ValueError) as error:
        finish(run, instance, Outcome(TaskState.FAILED, "InvalidTemplate", f"waitFor.time: {error}"), now)
        return
    run.mark(instance)
    if instance.next_poke_at is not None and instance.next_poke_at <= now:
        finish(run, instance, Outcome(TaskState.SUCCEEDED), now)
    else:
        resume(run, instance)


def resume(run: RunState, instance: TaskInstance) -> None:
    """Go on waiting."""
    sensors.set_timers(run, instance)
    if instance.next_poke_at is None:
        run.wait_for(instance)


def due_at(run: RunState, instance: TaskInstance) -> datetime | None:
    """The moment that the task waits for, if it waits for a moment. Raises TemplateError, ValueError."""
    wait = instance.task.wait_for
    if wait is not None and wait.duration is not None:
        return run.info.interval_end + parse_duration(wait.duration)
    if wait is None or wait.time is None:
        return None
    return parse_moment(render_field(run, instance.task, instance.number, instance.index, wait.time, "waitFor.time"))


def parse_moment(text: str) -> datetime:
    """The moment that a template gave, in UTC. Raises ValueError with an example."""
    try:
        moment = parse_time(text.strip())
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"{text!r} is not a time with a zone, as in 2026-01-31T06:00:00Z")
    return moment.astimezone(UTC)


def softened(task: ResolvedTask, outcome: Outcome) -> Outcome:
    """How a waitFor task ends: with softFail it is Skipped where it would fail."""
    soft = task.wait_for is not None and task.sensor is not None and task.sensor.soft_fail
    return replace(outcome, state=TaskState.SKIPPED) if soft and outcome.state is TaskState.FAILED else outcome


def progress(run: RunState, instance: TaskInstance, told: TryReport) -> None:
    """What it waits for has not come, and this is how far it is."""
    if (instance.reason, instance.message) != (told.reason, told.message):
        instance.reason, instance.message = told.reason, told.message
        run.mark(instance)


def wake(run: RunState, instance: TaskInstance, now: datetime) -> None:
    """A timer of a waiting task is due."""
    why = pokes.gave_up(instance, now)
    if instance.next_poke_at is not None and instance.next_poke_at <= now:
        finish(run, instance, Outcome(TaskState.SUCCEEDED), now)
    elif why is not None:
        finish(run, instance, pokes.end_of(instance, why), now)
    else:
        sensors.set_timers(run, instance)
