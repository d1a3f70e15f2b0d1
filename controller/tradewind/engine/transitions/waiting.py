"""Task instances that wait within a try: between two pokes of a sensor, or without a Pod."""

from datetime import datetime

from tradewind.engine.kinds import kind_of
from tradewind.engine.kinds.kind import Finish, Look, LookAgain, WaitUntil
from tradewind.engine.rules.moments import believable
from tradewind.engine.rules.outcome import Outcome
from tradewind.engine.rules.time_limits import deadline, gave_up, given_up
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.tries import TryReport
from tradewind.engine.transitions.endings import finish


def begin(run: RunState, instance: TaskInstance, answer: WaitUntil | Finish, now: datetime) -> None:
    """A try without a Pod begins, as its kind says."""
    instance.state, instance.started_at = TaskState.UP_FOR_RESCHEDULE, now
    instance.first_poke_at = instance.first_poke_at or now
    if isinstance(answer, Finish):
        finish(run, instance, answer.outcome, now)
        return
    instance.next_poke_at = answer.moment
    run.mark(instance)
    if answer.moment is not None and answer.moment <= now:
        finish(run, instance, Outcome(TaskState.SUCCEEDED), now)
    else:
        _wait(run, instance)


def resume(run: RunState, instance: TaskInstance) -> None:
    """Go on waiting, after a restart."""
    instance.next_poke_at = kind_of(instance.task).resume_at(run, instance)
    _wait(run, instance)


def _wait(run: RunState, instance: TaskInstance) -> None:
    set_timers(run, instance)
    if instance.task.kind.waits and instance.next_poke_at is None:
        run.delegate(instance)


def set_timers(run: RunState, instance: TaskInstance) -> None:
    """Wake when its moment has come, or when it is time to give up."""
    moments = [moment for moment in (instance.next_poke_at, deadline(instance)) if moment is not None]
    if moments:
        run.timers.set(min(moments), instance)


def progress(run: RunState, instance: TaskInstance, told: TryReport) -> None:
    """What it waits for has not come, and this is how far it is."""
    if (instance.reason, instance.message) != (told.reason, told.message):
        instance.reason, instance.message = told.reason, told.message
        run.mark(instance)


def wake(run: RunState, instance: TaskInstance, now: datetime) -> None:
    """A timer of an instance that waits is due."""
    match kind_of(instance.task).on_timer(instance, now):
        case Finish(outcome):
            finish(run, instance, outcome, now)
        case Look():
            look(run, instance, now)
        case None:
            set_timers(run, instance)


def look(run: RunState, instance: TaskInstance, now: datetime, *, known: bool = False) -> None:
    """The next poke; `known` where its Pod has been made already."""
    instance.begin_attempt()
    if instance.state is TaskState.UP_FOR_RESCHEDULE:
        instance.state, instance.scheduled_at, instance.message = TaskState.SCHEDULED, now, None
        run.queue.add(instance)
    elif not known:
        run.poke(instance)
    run.recheck(instance.position, instance.index)
    run.mark(instance)


def look_again_later(run: RunState, instance: TaskInstance, again: LookAgain, report: TryReport, now: datetime) -> None:
    """The poke found nothing: wait for the next, with the slots or without them."""
    earliest = instance.queued_at or instance.scheduled_at
    started = report.started_at and believable(report.started_at, earliest, now)
    ended = believable(report.finished_at, instance.container_started_at or started or earliest, now)
    instance.first_poke_at = instance.first_poke_at or started or ended
    instance.started_at = instance.started_at or started
    why = gave_up(instance, ended)
    if why is not None:
        finish(run, instance, given_up(instance, why), ended)
        return
    instance.exit_code, instance.container_started_at = report.exit_code, None
    instance.next_poke_at = ended + again.after
    instance.reason = None
    instance.message = f"poke {instance.pokes}: {report.message or 'not yet'}"
    run.queue.discard(instance)
    if again.keeps_slots:
        # Also where the poke had ended before anybody saw it start.
        run.hold(instance)
        instance.state = TaskState.RUNNING
    else:
        run.give_back(instance)
        instance.state = TaskState.UP_FOR_RESCHEDULE
    set_timers(run, instance)
    run.recheck(instance.position, instance.index)
    run.mark(instance)
