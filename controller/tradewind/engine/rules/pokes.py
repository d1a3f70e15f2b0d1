"""sensor: what the end of a poke means, and when a sensor gives up."""

from datetime import datetime

from tradewind.api.duration import format_duration
from tradewind.engine.rules.outcome import Outcome
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.tries import StopReason, TryEvent, TryReport

TIMEOUT = "SensorTimeout"


def deadline(instance: TaskInstance) -> datetime | None:
    """When the sensor gives up: counted from its first poke, over all tries."""
    sensor = instance.task.sensor
    if sensor is None or instance.first_poke_at is None:
        return None
    return instance.first_poke_at + sensor.timeout


def gave_up(instance: TaskInstance, now: datetime) -> StopReason | None:
    """Why a sensor has to stop looking, if its time is over."""
    limit = deadline(instance)
    if limit is None or now < limit or instance.task.sensor is None:
        return None
    timeout = format_duration(instance.task.sensor.timeout)
    return StopReason(TIMEOUT, f"what it waits for did not come within the sensor's timeout ({timeout})")


def end_of(instance: TaskInstance, why: StopReason) -> Outcome:
    """How a sensor that gave up ends."""
    soft = instance.task.sensor is not None and instance.task.sensor.soft_fail
    return Outcome(TaskState.SKIPPED if soft else TaskState.FAILED, why.reason, why.message, retry=False)


def not_yet(instance: TaskInstance, report: TryReport) -> bool:
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


def found_after_all(instance: TaskInstance, report: TryReport) -> bool:
    """Whether a poke that was taken for lost did find what it looked for: who leads now may have seen more of it."""
    between = instance.next_poke_at is not None and instance.task.wait_for is None
    succeeded = report.event is TryEvent.ENDED and report.exit_code == 0
    return between and (report.number, report.poke) == instance.attempt and succeeded
