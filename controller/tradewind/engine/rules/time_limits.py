"""timeout, queuedTimeout and the timeout of sensors: when a try has had its time."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tradewind.api.duration import format_duration
from tradewind.api.times import format_time
from tradewind.engine.rules.outcome import Outcome, judge_stopped
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.tries import HeldBy, StopReason, TryEvent, TryReport

DEFAULT_GRACE_PERIOD = 30
"""Seconds that Kubernetes gives a container to end."""
SENSOR_TIMEOUT = "SensorTimeout"
_STOPPED_SINCE = "is being stopped since "
_A_MOMENT = timedelta(seconds=2)


def limit_reached(instance: TaskInstance, now: datetime) -> StopReason | None:
    """Why the current try has to end, if it has been queued or running for too long."""
    task = instance.task
    if instance.container_started_at:
        if why := gave_up(instance, now):
            return why
        if task.timeout and instance.container_started_at + task.timeout <= now:
            return StopReason("Timeout", f"ran longer than timeout ({format_duration(task.timeout)})")
    elif (must_start := start_by(instance)) and must_start <= now:
        limit = format_duration(task.queued_timeout)
        message = f"did not start within queuedTimeout ({limit}): {instance.message or 'no reason is known'}"
        return StopReason(instance.reason or "QueuedTimeout", message)
    return None


def deadline(instance: TaskInstance) -> datetime | None:
    """When a task that waits gives up: counted from its first poke, over all tries."""
    sensor = instance.task.sensor
    if sensor is None or instance.first_poke_at is None:
        return None
    return instance.first_poke_at + sensor.timeout


def gave_up(instance: TaskInstance, now: datetime) -> StopReason | None:
    """Why a task has to stop waiting, if its time is over."""
    sensor, limit = instance.task.sensor, deadline(instance)
    if sensor is None or limit is None or now < limit:
        return None
    timeout = format_duration(sensor.timeout)
    return StopReason(SENSOR_TIMEOUT, f"what it waits for did not come within the sensor's timeout ({timeout})")


def given_up(instance: TaskInstance, why: StopReason) -> Outcome:
    """How a task ends that gave up."""
    soft = instance.task.sensor is not None and instance.task.sensor.soft_fail
    return Outcome(TaskState.SKIPPED if soft else TaskState.FAILED, why.reason, why.message, retry=False)


def being_stopped(run: RunState, instance: TaskInstance, why: StopReason, now: datetime) -> str:
    """What is said of a try that runs while it is being stopped."""
    known = instance.message or ""
    if instance.reason == why.reason and known.startswith(_STOPPED_SINCE):
        return known  # by who led before
    grace = _grace_period(instance.task.pod_template) or _grace_period(run.dag.pod_template) or DEFAULT_GRACE_PERIOD
    return f"{_STOPPED_SINCE}{format_time(now)}, grace period {grace:g}s: {why.message}"


def end_of_stopped(instance: TaskInstance) -> Outcome | None:
    """How a try ends that was being stopped already when its run ended; None for any other."""
    why = instance.stop
    if why is None:
        return None
    return given_up(instance, why) if why.reason == SENSOR_TIMEOUT else judge_stopped(why)


def told_when_ended(instance: TaskInstance, why: StopReason, finished: datetime) -> StopReason:
    """Why a try had to end, and how long it took to, where that was longer than a moment."""
    timeout, started = instance.task.timeout, instance.container_started_at
    if why.reason != "Timeout" or timeout is None or started is None:
        return why
    took = finished - (started + timeout)
    if took <= _A_MOMENT:
        return why
    return StopReason(why.reason, f"{why.message}, and took {format_duration(took)} to end")


def _grace_period(template: Mapping[str, Any]) -> float | None:
    seconds = (template.get("spec") or {}).get("terminationGracePeriodSeconds")
    return seconds if isinstance(seconds, int | float) else None


def start_by(instance: TaskInstance) -> datetime | None:
    """When queuedTimeout is over for a try whose container has not started; None while it does not count.

    One that a person has set counts from the moment that the Pod may be scheduled. By default a full cluster is
    nobody's failure: only the time counts in which something of the Pod's own keeps it, its image or a missing volume.
    """
    if instance.queued_at is None or instance.held_by is HeldBy.GATES:
        return None
    task = instance.task
    since = instance.queued_at if task.queued_timeout_set else instance.held_by_itself_since
    return since + task.queued_timeout if since is not None else None


def overdue(instance: TaskInstance, report: TryReport, now: datetime) -> StopReason | None:
    """Why a try that was ended from outside had to end. A stop is not in status: after a restart, what ended after its
    limit was stopped for that, and is not lost."""
    if report.event is TryEvent.LOST or report.reason == "DeadlineExceeded":
        return limit_reached(instance, instance.finished_at or now)
    return None
