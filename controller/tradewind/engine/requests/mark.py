"""Mark: set the state of tasks, or of the run as a whole, on a user's request."""

from datetime import datetime

from tradewind.api.run_request import RunRequest
from tradewind.engine.requests import select
from tradewind.engine.requests.change import TriesMade, active_tries, clear, set_state
from tradewind.engine.requests.refusal import Refused
from tradewind.engine.requests.rerun import CLEARED, requeue
from tradewind.engine.requests.select import Choice
from tradewind.engine.rules.run_end import ENDING_REASONS
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase, TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.tries import StopReason, TryKey
from tradewind.engine.transitions.endings import end_run

MARKED = "Marked"
"""Reason of a task, or of a run, whose state a user set."""
_DECIDED_BY_TASKS = frozenset({None, "Succeeded", "TaskFailed"})
_NOT_BEGUN = frozenset({TaskState.NONE, TaskState.SCHEDULED})


def targets_run(request: RunRequest) -> bool:
    """True if the request is about the run as a whole."""
    return not request.tasks and not request.only_failed


def choose(run: RunState, request: RunRequest) -> Choice:
    """The selected instances that are not in the wanted state. Raises Refused if there are none."""
    state = TaskState(request.state or "")
    choice = select.named(run, request.tasks) if request.tasks else select.everything(run)
    choice = select.reach(run, choice, upstream=bool(request.upstream), downstream=bool(request.downstream))
    if request.only_failed:
        choice = select.failed(run, choice)
    choice = select.not_in(run, choice, state)
    if not choice:
        raise Refused(f"nothing to mark: all selected tasks are {state} already")
    return choice


def mark(
    run: RunState, choice: Choice, state: TaskState, made: TriesMade, why: str, now: datetime
) -> tuple[list[TryKey], Choice]:
    """Set the state of tasks. Tasks that failed because of them are cleared, and a finished run is queued again.

    Return the tries to stop, and the cleared instances.
    """
    stops = active_tries(run, choice)
    set_state(run, choice, state, StopReason(MARKED, why), made, now)
    again: Choice = {}
    if state is not TaskState.FAILED and (run.finished or run.reason not in ENDING_REASONS):
        beyond = select.without(select.reach(run, choice, downstream=True), choice)
        again = select.failed(run, beyond, with_run=False)
        again = select.begun(run, select.without(select.with_scope(run, again), choice)) if again else again
    if again:
        stops += active_tries(run, again)
        clear(run, again, StopReason(CLEARED, f"cleared to run again: {why}"), made, now)
        requeue(run, why)
    return stops, again


def decided_by_tasks(run: RunState) -> bool:
    """True if a run has finished by the states of its tasks, so that changed states change the result."""
    return run.finished and run.reason in _DECIDED_BY_TASKS


def choose_in_run(run: RunState, state: TaskState) -> Choice:
    """The instances that change when the run as a whole is marked. Raises Refused if the mark changes nothing."""
    if state is TaskState.SKIPPED:
        raise Refused("a run can be marked Succeeded or Failed; Skipped is for tasks: name them")
    if run.finished and run.phase.value == state.value:
        raise Refused(f"nothing to mark: the run is {state} already")
    if run.phase is RunPhase.RUNNING and run.reason in ENDING_REASONS and state is TaskState.FAILED:
        raise Refused(f"nothing to mark: the run is finishing as Failed ({run.message})")

    def changes(instance: TaskInstance) -> bool:
        if instance.task.teardown and _teardowns_run(run):
            return False
        failed = instance.state in (TaskState.FAILED, TaskState.UPSTREAM_FAILED)
        return not instance.finished or (failed and state is TaskState.SUCCEEDED)

    return select.only(run, select.everything(run), changes)


def mark_run(run: RunState, choice: Choice, state: TaskState, made: TriesMade, why: str, now: datetime) -> list[TryKey]:
    """Set the phase of a run. Succeeded sets all unfinished and failed tasks to Succeeded; Failed sets active tasks to
    Failed and tasks that have not started to Skipped. Teardowns still run.

    Return the tries to stop.
    """
    stops, reason = active_tries(run, choice), StopReason(MARKED, why)
    if state is TaskState.SUCCEEDED:
        set_state(run, choice, state, reason, made, now)
    else:
        not_begun = select.only(run, choice, lambda instance: instance.state in _NOT_BEGUN)
        set_state(run, select.without(choice, not_begun), TaskState.FAILED, reason, made, now)
        set_state(run, not_begun, TaskState.SKIPPED, reason, made, now)
    if _teardowns_run(run) and any(node.task.teardown and not node.finished for node in run.nodes):
        run.reason, run.message = (MARKED, why) if state is TaskState.FAILED else (None, None)
    else:
        end_run(run, RunPhase(state.value), MARKED, why, run.finished_at or now)
    return stops


def _teardowns_run(run: RunState) -> bool:
    """True if teardowns of this run still run."""
    return run.phase is RunPhase.RUNNING
