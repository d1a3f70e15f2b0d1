"""Task instances that wait within a try: between two pokes of a sensor, or without a Pod."""

from datetime import datetime

from tradewind.engine.kinds import kind_of
from tradewind.engine.kinds.kind import Finish, PokeAgain, PokeNow, WaitUntil
from tradewind.engine.rules.moments import believable
from tradewind.engine.rules.outcome import Outcome
from tradewind.engine.rules.time_limits import deadline, sensor_timed_out, timeout_outcome
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.tries import TryReport
from tradewind.engine.transitions.endings import finish


def begin(run: RunState, instance: TaskInstance, answer: WaitUntil | Finish, now: datetime) -> None:
    """Start a try without a Pod, by the answer of its kind."""
    instance.state, instance.started_at = TaskState.UP_FOR_RESCHEDULE, now
    instance.first_poke_at = instance.first_poke_at or now
    if isinstance(answer, Finish):
        finish(run, instance, answer.outcome, now)
        return
    instance.next_poke_at = answer.moment
    run.instance_changed(instance)
    if answer.moment is not None and answer.moment <= now:
        finish(run, instance, Outcome(TaskState.SUCCEEDED), now)
    else:
        _wait(run, instance)


def resume(run: RunState, instance: TaskInstance) -> None:
    """Continue to wait after a restart."""
    instance.next_poke_at = kind_of(instance.task).resume_at(run, instance)
    _wait(run, instance)


def _wait(run: RunState, instance: TaskInstance) -> None:
    set_timers(run, instance)
    if instance.task.kind.waits and instance.next_poke_at is None:
        run.delegate(instance)


def set_timers(run: RunState, instance: TaskInstance) -> None:
    """Set the timer for its next poke or its sensor timeout, whichever is earlier."""
    moments = [moment for moment in (instance.next_poke_at, deadline(instance)) if moment is not None]
    if moments:
        run.timers.set(min(moments), instance)


def progress(run: RunState, instance: TaskInstance, report: TryReport) -> None:
    """Update the reason and message of an instance that keeps waiting."""
    if (instance.reason, instance.message) != (report.reason, report.message):
        instance.reason, instance.message = report.reason, report.message
        run.instance_changed(instance)


def wake(run: RunState, instance: TaskInstance, now: datetime) -> None:
    """Handle a due timer of a waiting instance."""
    match kind_of(instance.task).on_timer(instance, now):
        case Finish(outcome):
            finish(run, instance, outcome, now)
        case PokeNow():
            next_poke(run, instance, now)
        case None:
            set_timers(run, instance)


def next_poke(run: RunState, instance: TaskInstance, now: datetime, *, known: bool = False) -> None:
    """Start the next poke; `known` if its Pod exists already."""
    instance.begin_attempt()
    if instance.state is TaskState.UP_FOR_RESCHEDULE:
        instance.state, instance.scheduled_at, instance.message = TaskState.SCHEDULED, now, None
        run.queue.add(instance)
    elif not known:
        run.poke(instance)
    run.recheck(instance.position, instance.index)
    run.instance_changed(instance)


def wait_for_next_poke(
    run: RunState, instance: TaskInstance, again: PokeAgain, report: TryReport, now: datetime
) -> None:
    """Wait for the next poke after an unsuccessful one, with or without the slots."""
    earliest = instance.queued_at or instance.scheduled_at
    started = report.started_at and believable(report.started_at, earliest, now)
    finished = believable(report.finished_at, instance.container_started_at or started or earliest, now)
    instance.first_poke_at = instance.first_poke_at or started or finished
    instance.started_at = instance.started_at or started
    why = sensor_timed_out(instance, finished)
    if why is not None:
        finish(run, instance, timeout_outcome(instance, why), finished)
        return
    instance.exit_code, instance.container_started_at = report.exit_code, None
    instance.next_poke_at = finished + again.after
    instance.reason = None
    instance.message = f"poke {instance.pokes}: {report.message or 'not yet'}"
    run.queue.discard(instance)
    if again.keeps_slots:
        # Also if the poke finished before it was seen to start.
        run.hold(instance)
        instance.state = TaskState.RUNNING
    else:
        run.give_back(instance)
        instance.state = TaskState.UP_FOR_RESCHEDULE
    set_timers(run, instance)
    run.recheck(instance.position, instance.index)
    run.instance_changed(instance)
