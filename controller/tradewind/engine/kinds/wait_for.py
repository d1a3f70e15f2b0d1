"""waitFor: tasks that wait for a time, or for a run or an object in the cluster."""

from datetime import UTC, datetime

from tradewind.api.duration import parse_duration
from tradewind.api.templates import TemplateError
from tradewind.api.times import parse_time
from tradewind.engine.kinds.kind import Finish, WaitUntil
from tradewind.engine.kinds.waiting import Waiting
from tradewind.engine.rules.outcome import Outcome
from tradewind.engine.rules.rendering import render_field
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance


class WaitFor(Waiting):
    """Waits for the condition in `waitFor`."""

    def start(self, run: RunState, instance: TaskInstance, now: datetime) -> Finish | WaitUntil:
        """Wait for the moment in `waitFor`, or for a report if there is none."""
        try:
            return WaitUntil(_moment(run, instance))
        except (TemplateError, ValueError) as error:
            return Finish(Outcome(TaskState.FAILED, "InvalidTemplate", f"waitFor.time: {error}"))


def _moment(run: RunState, instance: TaskInstance) -> datetime | None:
    """The moment that the task waits for, or None. Raises TemplateError, ValueError."""
    wait = instance.task.spec.wait_for
    if wait is not None and wait.duration is not None:
        return run.info.interval_end + parse_duration(wait.duration)
    if wait is None or wait.time is None:
        return None
    return parse_moment(render_field(run, instance.task, instance.number, instance.index, wait.time, "waitFor.time"))


def parse_moment(text: str) -> datetime:
    """The moment in a rendered template, in UTC. Raises ValueError with an example."""
    try:
        moment = parse_time(text.strip())
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"{text!r} is not a time with a zone, as in 2026-01-31T06:00:00Z")
    return moment.astimezone(UTC)
