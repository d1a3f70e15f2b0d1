"""timeout, queuedTimeout and the timeout of sensors: when a try has had its time."""

from datetime import datetime

from tradewind.api.duration import format_duration
from tradewind.engine import sensors
from tradewind.engine.task_instance import TaskInstance
from tradewind.engine.tries import StopReason, TryEvent, TryReport


def limit_reached(instance: TaskInstance, now: datetime) -> StopReason | None:
    """Why the current try has to end, if it has been queued or running for too long."""
    task = instance.task
    if instance.container_started_at:
        if task.sensor is not None and (why := sensors.gave_up(instance, now)):
            return why
        if task.timeout and instance.container_started_at + task.timeout <= now:
            return StopReason("Timeout", f"ran longer than timeout ({format_duration(task.timeout)})")
    elif instance.queued_at and instance.queued_at + task.queued_timeout <= now:
        limit = format_duration(task.queued_timeout)
        message = f"did not start within queuedTimeout ({limit}): {instance.message or 'no reason is known'}"
        return StopReason(instance.reason or "QueuedTimeout", message)
    return None


def overdue(instance: TaskInstance, report: TryReport, now: datetime) -> StopReason | None:
    """Why a try that was ended from outside had to end. A stop is not in status: after a restart, what ended after its
    limit was stopped for that, and is not lost."""
    if report.event is TryEvent.LOST or report.reason == "DeadlineExceeded":
        return limit_reached(instance, instance.finished_at or now)
    return None
