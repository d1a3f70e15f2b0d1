"""Stop: stop active tries, skip all other unfinished tasks, and fail the run."""

from datetime import datetime

from tradewind.engine.requests import select
from tradewind.engine.requests.refusal import Refused
from tradewind.engine.requests.select import Choice
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase
from tradewind.engine.run.tries import TryKey
from tradewind.engine.transitions.endings import end_run, skip_unfinished

STOPPED = "Stopped"
"""Reason of a stopped run, and of the tasks that the stop skipped."""


def choose(run: RunState) -> Choice:
    """The unfinished instances. Raises Refused for a finished run."""
    if run.finished:
        raise Refused(f"the run has finished already: {run.phase.value}")
    with_teardowns = ends_at_once(run)
    return select.only(
        run,
        select.everything(run),
        lambda instance: not instance.finished and (with_teardowns or not instance.task.teardown),
    )


def stop(run: RunState, why: str, now: datetime) -> list[TryKey]:
    """Skip unfinished tasks and return the tries to stop. Teardowns still run, and the run finishes after them, unless
    it had not started or is stopped a second time."""
    at_once = ends_at_once(run)
    skip_unfinished(run, STOPPED, why, now, teardowns=at_once)
    stops = [each.key for each in run.take_stops()]
    run.reason, run.message = STOPPED, why
    if at_once or not run.unfinished:
        end_run(run, RunPhase.FAILED, STOPPED, why, now)
    return stops


def ends_at_once(run: RunState) -> bool:
    """True if the run finishes immediately, without teardowns."""
    return run.phase is RunPhase.QUEUED or run.reason == STOPPED
