"""sensor: tasks that look again and again, each time with a Pod, until what they wait for has come."""

from tradewind.engine.kinds.kind import NEEDS_SLOTS, Kind, LookAgain
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.tries import TryEvent, TryReport


class Sensor(Kind):
    """A poke that found nothing is followed by another, until sensor.timeout."""

    alike = NEEDS_SLOTS

    def on_end(self, instance: TaskInstance, report: TryReport) -> LookAgain | None:
        """Any exit code but 0 means "not yet", unless the task says otherwise."""
        sensor = instance.task.sensor
        if sensor is None or not _not_yet(instance, report):
            return None
        return LookAgain(sensor.interval, keeps_slots=sensor.mode == "Poke")


def _not_yet(instance: TaskInstance, report: TryReport) -> bool:
    task = instance.task
    if instance.stop is not None:
        return False
    if report.event is TryEvent.LOST:
        return True
    # A reason says more than an exit code: OOMKilled, StartError and the like are not answers.
    if report.event is not TryEvent.ENDED or report.exit_code in (0, None) or report.reason is not None:
        return False
    if report.exit_code in task.skip_exit_codes or report.exit_code in task.fail_exit_codes:
        return False
    return task.sensor is not None and task.sensor.retry_exit_code in (None, report.exit_code)
