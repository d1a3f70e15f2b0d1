"""timeout, queuedTimeout and the timeout of sensors: when the time of a try is up."""

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
"""Seconds that Kubernetes gives a container to terminate."""
SENSOR_TIMEOUT = "SensorTimeout"
_STOPPED_SINCE = "stopping since "
_A_MOMENT = timedelta(seconds=2)


def limit_reached(instance: TaskInstance, now: datetime) -> StopReason | None:
    """The reason for stopping the current try, if it has been queued or running for too long."""
    task = instance.task
    if instance.container_started_at:
        if why := sensor_timed_out(instance, now):
            return why
        if task.timeout and instance.container_started_at + task.timeout <= now:
            return StopReason("Timeout", f"ran longer than timeout ({format_duration(task.timeout)})")
    elif (must_start := start_by(instance)) and must_start <= now:
        limit = format_duration(task.queued_timeout)
        message = f"did not start within queuedTimeout ({limit}): {instance.message or 'no reason is known'}"
        return StopReason(instance.reason or "QueuedTimeout", message)
    return None


def deadline(instance: TaskInstance) -> datetime | None:
    """When the sensor timeout of a task expires: counted from its first poke, over all tries."""
    sensor = instance.task.sensor
    if sensor is None or instance.first_poke_at is None:
        return None
    return instance.first_poke_at + sensor.timeout


def sensor_timed_out(instance: TaskInstance, now: datetime) -> StopReason | None:
    """The reason for stopping a sensor or wait, if its timeout has expired."""
    sensor, limit = instance.task.sensor, deadline(instance)
    if sensor is None or limit is None or now < limit:
        return None
    timeout = format_duration(sensor.timeout)
    return StopReason(SENSOR_TIMEOUT, f"the condition was not met within the sensor's timeout ({timeout})")


def timeout_outcome(instance: TaskInstance, why: StopReason) -> Outcome:
    """The outcome of a sensor or wait whose timeout has expired."""
    soft = instance.task.sensor is not None and instance.task.sensor.soft_fail
    return Outcome(TaskState.SKIPPED if soft else TaskState.FAILED, why.reason, why.message, retry=False)


def stopping_message(run: RunState, instance: TaskInstance, why: StopReason, now: datetime) -> str:
    """The message of a running try that is being stopped."""
    known = instance.message or ""
    if instance.reason == why.reason and known.startswith(_STOPPED_SINCE):
        return known  # stopped before a restart
    grace = _grace_period(instance.task.pod_template) or _grace_period(run.dag.pod_template) or DEFAULT_GRACE_PERIOD
    return f"{_STOPPED_SINCE}{format_time(now)}, grace period {grace:g}s: {why.message}"


def outcome_of_stopped(instance: TaskInstance) -> Outcome | None:
    """The outcome of a try that was being stopped already when its run finished; None for any other."""
    why = instance.stop
    if why is None:
        return None
    return timeout_outcome(instance, why) if why.reason == SENSOR_TIMEOUT else judge_stopped(why)


def with_stop_duration(instance: TaskInstance, why: StopReason, finished: datetime) -> StopReason:
    """The reason for stopping a try, with the time that stopping took if that was long."""
    timeout, started = instance.task.timeout, instance.container_started_at
    if why.reason != "Timeout" or timeout is None or started is None:
        return why
    took = finished - (started + timeout)
    if took <= _A_MOMENT:
        return why
    return StopReason(why.reason, f"{why.message}; stopping took {format_duration(took)}")


def _grace_period(template: Mapping[str, Any]) -> float | None:
    seconds = (template.get("spec") or {}).get("terminationGracePeriodSeconds")
    return seconds if isinstance(seconds, int | float) else None


def start_by(instance: TaskInstance) -> datetime | None:
    """When queuedTimeout expires for a try whose container has not started; None while it does not count.

    A queuedTimeout that a user has set counts from the moment that the Pod may be scheduled. The default does not count
    a full cluster as a failure: it counts only while a cause of the Pod's own, such as its image or a missing volume,
    keeps it from starting.
    """
    if instance.queued_at is None or instance.held_by is HeldBy.GATES:
        return None
    task = instance.task
    since = instance.queued_at if task.queued_timeout_set else instance.held_by_itself_since
    return since + task.queued_timeout if since is not None else None


def overdue(instance: TaskInstance, report: TryReport, now: datetime) -> StopReason | None:
    """The time limit that explains why a try was stopped from outside, if there is one. Stops are not in status: after
    a restart, a try that finished after its limit counts as stopped for that, not as lost."""
    if report.event is TryEvent.LOST or report.reason == "DeadlineExceeded":
        return limit_reached(instance, instance.finished_at or now)
    return None
