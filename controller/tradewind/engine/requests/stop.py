"""Stop: what is under way ends, the rest is skipped, and the run has failed."""

from datetime import datetime

from tradewind.engine.requests import select
from tradewind.engine.requests.refusal import Refused
from tradewind.engine.requests.select import Choice
from tradewind.engine.rules.moments import believable
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase
from tradewind.engine.run.tries import TryKey
from tradewind.engine.transitions.endings import skip_unfinished

STOPPED = "Stopped"
"""Reason of a run that was stopped, and of the tasks that were skipped by it."""


def choose(run: RunState) -> Choice:
    """The instances that have not ended. Raises Refused for a run that has."""
    if run.finished:
        raise Refused(f"the run has ended already: {run.phase.value}")
    with_teardowns = ends_at_once(run)
    return select.only(
        run,
        select.everything(run),
        lambda instance: not instance.finished and (with_teardowns or not instance.task.teardown),
    )


def stop(run: RunState, why: str, now: datetime) -> list[TryKey]:
    """Skip what has not ended. Teardowns still run, unless the run had not started or is stopped a second time; it ends
    after them. Returns what to stop."""
    at_once = ends_at_once(run)
    skip_unfinished(run, STOPPED, why, now, teardowns=at_once)
    stops = [each.key for each in run.take_stops()]
    run.reason, run.message = STOPPED, why
    if at_once or not run.unfinished:
        run.phase, run.finished_at = RunPhase.FAILED, believable(now, run.started_at, now)
    return stops


def ends_at_once(run: RunState) -> bool:
    """Whether nothing more of the run is to start, teardowns included."""
    return run.phase is RunPhase.QUEUED or run.reason == STOPPED
