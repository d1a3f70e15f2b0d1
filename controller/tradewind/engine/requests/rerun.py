"""Rerun: clear tasks, so that the run executes them again."""

from datetime import datetime

from tradewind.api.run_request import RunRequest
from tradewind.engine.requests import select
from tradewind.engine.requests.change import TriesMade, active_tries, clear
from tradewind.engine.requests.refusal import Refused
from tradewind.engine.requests.select import Choice
from tradewind.engine.rules.run_end import ENDING_REASONS
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase
from tradewind.engine.run.tries import StopReason, TryKey

CLEARED = "Cleared"
"""Reason of a try that was stopped because its task runs again."""


def check(run: RunState, request: RunRequest) -> None:
    """Raises Refused for a request that a running run does not allow."""
    if run.phase is not RunPhase.RUNNING:
        return
    if request.revision == "Latest":
        raise Refused("the run is Running and keeps the Dag revision it started with: stop it first, or omit --latest")
    if not request.tasks and not request.only_failed:
        raise Refused("the run is Running: name the tasks to rerun, rerun only failed tasks, or stop the run first")
    if run.reason in ENDING_REASONS and run.reason != "FailFast":
        raise Refused(f"the run is finishing ({run.message}): retry when it has finished")


def choose(run: RunState, request: RunRequest) -> Choice:
    """The instances to run again. Raises Refused if there are none and the Dag has no new tasks either."""
    choice = select.named(run, request.tasks) if request.tasks else select.everything(run)
    choice = select.reach(run, choice, upstream=bool(request.upstream), downstream=bool(request.downstream))
    choice = select.failed(run, choice) if request.only_failed else select.begun(run, choice)
    # with_scope adds setups that succeeded: they run again too.
    choice = select.begun(run, select.with_scope(run, choice))
    new_tasks = run.finished and run.unfinished > 0
    if not choice and not new_tasks:
        raise Refused(
            f"nothing to rerun: none of the selected tasks has {'failed' if request.only_failed else 'started'}"
        )
    return choice


def rerun(
    run: RunState, choice: Choice, reexpanded: set[int], made: TriesMade, why: str, now: datetime
) -> list[TryKey]:
    """Clear a choice; `reexpanded` are its tasks whose items are evaluated again. Return the tries to stop."""
    stops = active_tries(run, choice)
    reason = StopReason(CLEARED, f"cleared to run again: {why}")
    for position in reexpanded:
        run.nodes[position].unexpand(reason, now)
    kept = {position: None if position in reexpanded else indexes for position, indexes in choice.items()}
    clear(run, kept, reason, made, now)
    requeue(run, why)
    return stops


def requeue(run: RunState, why: str) -> None:
    """Queue a finished run again; a running run continues."""
    if run.finished:
        run.phase, run.started_at, run.finished_at = RunPhase.QUEUED, None, None
    if run.phase is RunPhase.QUEUED or run.reason in ENDING_REASONS:
        run.reason, run.message = None, why if run.phase is RunPhase.QUEUED else None
