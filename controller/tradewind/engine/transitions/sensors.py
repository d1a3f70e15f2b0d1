"""sensor: tasks that look again and again until what they wait for has come."""

from datetime import datetime
from typing import TYPE_CHECKING

from tradewind.api.duration import format_duration
from tradewind.engine.rules.moments import believable
from tradewind.engine.rules.outcome import Outcome
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import StopReason, TryEvent, TryReport

if TYPE_CHECKING:
    from tradewind.engine.run.state import RunState
    from tradewind.engine.run.task_instance import TaskInstance

TIMEOUT = "SensorTimeout"


def deadline(instance: "TaskInstance") -> datetime | None:
    """When the sensor gives up: counted from its first poke, over all tries."""
    sensor = instance.task.sensor
    if sensor is None or instance.first_poke_at is None:
        return None
    return instance.first_poke_at + sensor.timeout


def gave_up(instance: "TaskInstance", now: datetime) -> StopReason | None:
    """Why a sensor has to stop looking, if its time is over."""
    limit = deadline(instance)
    if limit is None or now < limit or instance.task.sensor is None:
        return None
    timeout = format_duration(instance.task.sensor.timeout)
    return StopReason(TIMEOUT, f"what it waits for did not come within the sensor's timeout ({timeout})")


def end_of(instance: "TaskInstance", why: StopReason) -> Outcome:
    """How a sensor that gave up ends."""
    soft = instance.task.sensor is not None and instance.task.sensor.soft_fail
    return Outcome(TaskState.SKIPPED if soft else TaskState.FAILED, why.reason, why.message, retry=False)


def not_yet(instance: "TaskInstance", report: TryReport) -> bool:
    """Whether the end of a poke only means that it is to be looked again."""
    task = instance.task
    if task.sensor is None or task.wait_for is not None or instance.stop is not None:
        return False
    if report.event is TryEvent.LOST:
        return True
    # A reason says more than an exit code: OOMKilled, StartError and the like are not answers.
    if report.event is not TryEvent.ENDED or report.exit_code in (0, None) or report.reason is not None:
        return False
    if report.exit_code in task.skip_exit_codes or report.exit_code in task.fail_exit_codes:
        return False
    return task.sensor.retry_exit_code in (None, report.exit_code)


def found_after_all(instance: "TaskInstance", report: TryReport) -> bool:
    """Whether a poke that was taken for lost did find what it looked for: who leads now may have seen more of it."""
    between = instance.next_poke_at is not None and instance.task.wait_for is None
    succeeded = report.event is TryEvent.ENDED and report.exit_code == 0
    return between and (report.number, report.poke) == instance.attempt and succeeded


def look_again_later(run: "RunState", instance: "TaskInstance", report: TryReport, now: datetime) -> None:
    """The poke found nothing: wait for the interval, with the slots (Poke) or without them (Reschedule)."""
    sensor = instance.task.sensor
    if sensor is None:
        raise ValueError(f"{instance.name} is no sensor")
    earliest = instance.queued_at or instance.scheduled_at
    started = report.started_at and believable(report.started_at, earliest, now)
    ended = believable(report.finished_at, instance.container_started_at or started or earliest, now)
    instance.first_poke_at = instance.first_poke_at or started or ended
    instance.started_at = instance.started_at or started
    why = gave_up(instance, ended)
    if why is not None:
        run.finish(instance, end_of(instance, why), ended)
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


def set_timers(run: "RunState", instance: "TaskInstance") -> None:
    """Wake when it is time to look again, or to give up."""
    moments = [moment for moment in (instance.next_poke_at, deadline(instance)) if moment is not None]
    if moments:
        run.timers.set(min(moments), instance)


def wake(run: "RunState", instance: "TaskInstance", now: datetime) -> None:
    """A timer between two pokes is due."""
    why = gave_up(instance, now)
    if why is not None:
        run.finish(instance, end_of(instance, why), now)
    elif instance.next_poke_at is not None and instance.next_poke_at <= now:
        look(run, instance, now)
    else:
        set_timers(run, instance)


def look(run: "RunState", instance: "TaskInstance", now: datetime, *, known: bool = False) -> None:
    """The next poke; `known` where its Pod has been made already."""
    instance.begin_attempt()
    if instance.state is TaskState.UP_FOR_RESCHEDULE:
        instance.state, instance.scheduled_at, instance.message = TaskState.SCHEDULED, now, None
        run.queue.add(instance)
    elif not known:
        run.poke(instance)
    run.recheck(instance.position, instance.index)
    run.mark(instance)
