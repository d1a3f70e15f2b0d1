"""sensor: tasks that poke again and again, each time with a Pod, until their condition is met."""

from tradewind.engine.kinds.kind import NEEDS_SLOTS, Kind, PokeAgain
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.tries import TryEvent, TryReport


class Sensor(Kind):
    """An unsuccessful poke is followed by another one, until sensor.timeout."""

    common_start = NEEDS_SLOTS

    def on_pod_finished(self, instance: TaskInstance, report: TryReport) -> PokeAgain | None:
        """Any exit code except 0 means "not yet", unless retryExitCode, skipExitCodes or failExitCodes are set."""
        sensor = instance.task.sensor
        if sensor is None or not _not_yet(instance, report):
            return None
        return PokeAgain(sensor.interval, keeps_slots=sensor.mode == "Poke")


def _not_yet(instance: TaskInstance, report: TryReport) -> bool:
    task = instance.task
    if instance.stop is not None:
        return False
    if report.event is TryEvent.LOST:
        return True
    # With a reason such as OOMKilled or StartError, the exit code is not an answer of the sensor.
    if report.event is not TryEvent.ENDED or report.exit_code in (0, None) or report.reason is not None:
        return False
    if report.exit_code in task.skip_exit_codes or report.exit_code in task.fail_exit_codes:
        return False
    return task.sensor is not None and task.sensor.retry_exit_code in (None, report.exit_code)
