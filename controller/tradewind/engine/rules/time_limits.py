"""timeout, queuedTimeout and the timeout of sensors: when a try has had its time."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tradewind.api.duration import format_duration
from tradewind.api.times import format_time
from tradewind.engine.rules import pokes
from tradewind.engine.rules.outcome import Outcome, judge_stopped
from tradewind.engine.run.state import RunState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.tries import HeldBy, StopReason, TryEvent, TryReport

DEFAULT_GRACE_PERIOD = 30
"""Seconds that Kubernetes gives a container to end."""
_STOPPED_SINCE = "is being stopped since "
_A_MOMENT = timedelta(seconds=2)


def limit_reached(instance: TaskInstance, now: datetime) -> StopReason | None:
    """Why the current try has to end, if it has been queued or running for too long."""
    task = instance.task
    if instance.container_started_at:
        if task.sensor is not None and (why := pokes.gave_up(instance, now)):
            return why
        if task.timeout and instance.container_started_at + task.timeout <= now:
            return StopReason("Timeout", f"ran longer than timeout ({format_duration(task.timeout)})")
    elif (must_start := start_by(instance)) and must_start <= now:
        limit = format_duration(task.queued_timeout)
        message = f"did not start within queuedTimeout ({limit}): {instance.message or 'no reason is known'}"
        return StopReason(instance.reason or "QueuedTimeout", message)
    return None


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
    return pokes.end_of(instance, why) if why.reason == pokes.TIMEOUT else judge_stopped(why)


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
