"""sensor: tasks that look again and again until what they wait for has come."""

from datetime import datetime

from tradewind.engine.rules import pokes
from tradewind.engine.rules.moments import believable
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.tries import TryReport
from tradewind.engine.transitions.endings import finish


def look_again_later(run: RunState, instance: TaskInstance, report: TryReport, now: datetime) -> None:
    """The poke found nothing: wait for the interval, with the slots (Poke) or without them (Reschedule)."""
    sensor = instance.task.sensor
    if sensor is None:
        raise ValueError(f"{instance.name} is no sensor")
    earliest = instance.queued_at or instance.scheduled_at
    started = report.started_at and believable(report.started_at, earliest, now)
    ended = believable(report.finished_at, instance.container_started_at or started or earliest, now)
    instance.first_poke_at = instance.first_poke_at or started or ended
    instance.started_at = instance.started_at or started
    why = pokes.gave_up(instance, ended)
    if why is not None:
        finish(run, instance, pokes.end_of(instance, why), ended)
        return
    instance.exit_code, instance.container_started_at = report.exit_code, None
    instance.next_poke_at = ended + sensor.interval
    instance.reason = None
    instance.message = f"poke {instance.pokes}: {report.message or 'not yet'}"
    run.queue.discard(instance)
    if sensor.mode == "Reschedule":
        run.give_back(instance)
        instance.state = TaskState.UP_FOR_RESCHEDULE
    else:
        # Also where the poke had ended before anybody saw it start.
        run.hold(instance)
        instance.state = TaskState.RUNNING
    set_timers(run, instance)
    run.recheck(instance.position, instance.index)
    run.mark(instance)


def set_timers(run: RunState, instance: TaskInstance) -> None:
    """Wake when it is time to look again, or to give up."""
    moments = [moment for moment in (instance.next_poke_at, pokes.deadline(instance)) if moment is not None]
    if moments:
        run.timers.set(min(moments), instance)


def wake(run: RunState, instance: TaskInstance, now: datetime) -> None:
    """A timer between two pokes is due."""
    why = pokes.gave_up(instance, now)
    if why is not None:
        finish(run, instance, pokes.end_of(instance, why), now)
    elif instance.next_poke_at is not None and instance.next_poke_at <= now:
        look(run, instance, now)
    else:
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
