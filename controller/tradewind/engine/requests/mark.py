"""Mark: tasks, or the run as a whole, are given the state that somebody says they have."""

from datetime import datetime

from tradewind.api.run_request import RunRequest
from tradewind.engine.requests import select
from tradewind.engine.requests.change import TriesMade, clear, set_state, under_way
from tradewind.engine.requests.refusal import Refused
from tradewind.engine.requests.rerun import CLEARED, requeue
from tradewind.engine.requests.select import Choice
from tradewind.engine.rules.moments import believable
from tradewind.engine.rules.run_end import ENDING_REASONS
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase, TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.tries import StopReason, TryKey

MARKED = "Marked"
"""Reason of a task, or a run, that is in the state that somebody said."""
_DECIDED_BY_TASKS = frozenset({None, "Succeeded", "TaskFailed"})
_NOT_BEGUN = frozenset({TaskState.NONE, TaskState.SCHEDULED})


def means_run(request: RunRequest) -> bool:
    """Whether the run as a whole is meant."""
    return not request.tasks and not request.only_failed


def choose(run: RunState, request: RunRequest) -> Choice:
    """The instances that are not in the wanted state yet. Raises Refused where there are none."""
    state = TaskState(request.state or "")
    choice = select.named(run, request.tasks) if request.tasks else select.everything(run)
    choice = select.reach(run, choice, upstream=bool(request.upstream), downstream=bool(request.downstream))
    if request.only_failed:
        choice = select.failed(run, choice)
    choice = select.not_in(run, choice, state)
    if not choice:
        raise Refused(f"nothing to mark: each of the tasks meant is {state} already")
    return choice


def mark(
    run: RunState, choice: Choice, state: TaskState, made: TriesMade, why: str, now: datetime
) -> tuple[list[TryKey], Choice]:
    """Set the state of tasks. What failed because of them waits for its turn again, and with it a run that had ended.

    Returns what to stop, and what was cleared.
    """
    stops = under_way(run, choice)
    set_state(run, choice, state, StopReason(MARKED, why), made, now)
    again: Choice = {}
    if state is not TaskState.FAILED and (run.finished or run.reason not in ENDING_REASONS):
        beyond = select.without(select.reach(run, choice, downstream=True), choice)
        again = select.failed(run, beyond, with_run=False)
        again = select.begun(run, select.without(select.with_scope(run, again), choice)) if again else again
    if again:
        stops += under_way(run, again)
        clear(run, again, StopReason(CLEARED, f"its task is to run again: {why}"), made, now)
        requeue(run, why)
    return stops, again


def decided_by_tasks(run: RunState) -> bool:
    """Whether a run has ended as its tasks have, so that it ends otherwise when they do."""
    return run.finished and run.reason in _DECIDED_BY_TASKS


def choose_in_run(run: RunState, state: TaskState) -> Choice:
    """The instances that change when the run as a whole is marked. Raises Refused where nothing would."""
    if state is TaskState.SKIPPED:
        raise Refused("a run can be marked Succeeded or Failed; Skipped is for tasks: name them")
    if run.finished and run.phase.value == state.value:
        raise Refused(f"nothing to mark: the run is {state} already")
    if run.phase is RunPhase.RUNNING and run.reason in ENDING_REASONS and state is TaskState.FAILED:
        raise Refused(f"nothing to mark: the run is about to end as Failed ({run.message})")

    def changes(instance: TaskInstance) -> bool:
        if instance.task.teardown and _teardowns_run(run):
            return False
        failed = instance.state in (TaskState.FAILED, TaskState.UPSTREAM_FAILED)
        return not instance.finished or (failed and state is TaskState.SUCCEEDED)

    return select.only(run, select.everything(run), changes)


def mark_run(run: RunState, choice: Choice, state: TaskState, made: TriesMade, why: str, now: datetime) -> list[TryKey]:
    """Set the phase of a run: Succeeded makes all of its tasks Succeeded that have not ended or have failed; Failed
    those that are under way Failed, and those that have not begun Skipped. Teardowns still run.

    Returns what to stop.
    """
    stops, reason = under_way(run, choice), StopReason(MARKED, why)
    if state is TaskState.SUCCEEDED:
        set_state(run, choice, state, reason, made, now)
    else:
        not_begun = select.only(run, choice, lambda instance: instance.state in _NOT_BEGUN)
        set_state(run, select.without(choice, not_begun), TaskState.FAILED, reason, made, now)
        set_state(run, not_begun, TaskState.SKIPPED, reason, made, now)
    if _teardowns_run(run) and any(node.task.teardown and not node.finished for node in run.nodes):
        run.reason, run.message = (MARKED, why) if state is TaskState.FAILED else (None, None)
    else:
        run.phase, run.reason, run.message = RunPhase(state.value), MARKED, why
        run.finished_at = run.finished_at or believable(now, run.started_at, now)
    return stops


def _teardowns_run(run: RunState) -> bool:
    """Whether tasks may still start in this run."""
    return run.phase is RunPhase.RUNNING
