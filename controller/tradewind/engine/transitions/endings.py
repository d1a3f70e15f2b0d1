"""Finishing task instances and the run, with the consequences for downstream tasks."""

from datetime import datetime

from tradewind.api.duration import format_duration
from tradewind.engine.rules.moments import believable
from tradewind.engine.rules.outcome import Outcome
from tradewind.engine.rules.run_end import ENDING_REASONS
from tradewind.engine.rules.time_limits import outcome_of_stopped
from tradewind.engine.run.index_set import IndexSet
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase, TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.task_node import TaskNode
from tradewind.engine.run.tries import StopReason
from tradewind.engine.transitions.counting import count_finished, recheck_descendants


def finish(run: RunState, instance: TaskInstance, outcome: Outcome, when: datetime) -> None:
    """Finish an instance."""
    node = run.nodes[instance.position]
    if instance.finished or (node.count and instance.index is None):
        run.fault(f"{instance.name} is {instance.state}: it is not {outcome.state} now")
        return
    when = believable(when, instance.started_at or instance.queued_at or instance.scheduled_at, when)
    run.queue.discard(instance)
    run.give_back(instance)
    instance.state, instance.reason, instance.message = outcome.state, outcome.reason, outcome.message
    instance.output, instance.has_output = outcome.output, outcome.has_output
    instance.finished_at, instance.retry_at, instance.next_poke_at = when, None, None
    run.instance_changed(instance)
    run.early.forget(instance.task.name, instance.index)
    if outcome.state is TaskState.FAILED:
        after = f"failed after try {instance.number}: " if instance.number else "failed: "
        run.note(instance, "TaskFailed", after + outcome.why(), outcome.reason or "Error")
    if node.count:
        node.rest(instance)
    elif node.mapped:
        run.early.forget_from(node.task.name, 0)
    _propagate(run, node, instance.state, instance.index, when)
    if outcome.state is TaskState.FAILED and run.dag.fail_fast:
        _fail_fast(run, instance, when)


def finish_resting(
    run: RunState,
    node: TaskNode,
    indexes: IndexSet,
    outcome: Outcome,
    when: datetime,
    *,
    before: TaskState = TaskState.NONE,
) -> None:
    """Finish many resting instances with the same outcome."""
    if wrong := indexes - node.resting.get(before, IndexSet()):
        run.fault(f"{node.task.name}[{wrong}] is not {before}: it is not {outcome.state} now")
        if not (indexes := indexes - wrong):
            return
    node.move(indexes, before, outcome.state)
    node.reason, node.message = outcome.reason, outcome.message
    if before is TaskState.SCHEDULED:
        run.queue.discard_all(node)
    run.node_changed(node)
    _propagate(run, node, outcome.state, indexes, when)


def _propagate(
    run: RunState, node: TaskNode, state: TaskState, finished: IndexSet | int | None, when: datetime
) -> None:
    """Update the run and the downstream tasks after instances have finished."""
    run.unfinished -= len(finished) if isinstance(finished, IndexSet) else 1
    node.finished_at = believable(when, node.started_at, when)
    if node.finished:
        run.publish_output(node)
        run.set_blocked(node, None)
    count_finished(run, node, state, finished)
    if node.task.short_circuit:
        recheck_descendants(run, node, finished if isinstance(finished, int) else None)


def fail(run: RunState, reason: str, message: str, now: datetime) -> None:
    """Fail the run now: skip unfinished tasks and stop active tries."""
    run.phase = RunPhase.FAILED
    skip_unfinished(run, reason, f"the run finished: {message}", now, teardowns=True)
    run.dirty.clear()
    end_run(run, RunPhase.FAILED, reason, message, now)


def skip_unfinished(run: RunState, reason: str, message: str, now: datetime, *, teardowns: bool) -> None:
    """Skip every unfinished instance and stop active tries."""
    for node in run.nodes:
        if node.finished or (node.task.teardown and not teardowns):
            continue
        skipped = Outcome(TaskState.SKIPPED, reason, message)
        for state in (TaskState.NONE, TaskState.SCHEDULED, TaskState.UP_FOR_RETRY):
            if indexes := node.resting.get(state):
                finish_resting(run, node, indexes.copy(), skipped, now, before=state)
        for instance in [one for one in (node.live.values() if node.count else (node.whole,)) if not one.finished]:
            if instance.holds_slots and instance.next_poke_at is None:
                run.stop(instance, StopReason(reason, message))
            finish(run, instance, outcome_of_stopped(instance) or skipped, now)


def _fail_fast(run: RunState, instance: TaskInstance, now: datetime) -> None:
    """Stop the run, except its teardowns, on the first failure. A teardown's failure counts only with
    onFailureFailRun."""
    task = instance.task
    if run.finished or run.reason in ENDING_REASONS or (task.teardown and not task.on_failure_fail_run):
        return
    run.reason, run.message = "FailFast", f"{instance.name} failed: failFast stops the run"
    skip_unfinished(run, "FailFast", f"the run is finishing: {run.message}", now, teardowns=False)


def end_run(run: RunState, phase: RunPhase, reason: str, message: str | None, now: datetime) -> None:
    """Finish the run."""
    run.phase, run.reason, run.message = phase, reason, message
    run.finished_at = now = believable(now, run.started_at, now)
    run.changed = True
    took = format_duration(now - (run.started_at or now))
    note = f"{phase.value} after {took}" + (f": {message}" if message else "")
    run.note(None, phase.value, note, reason if phase is RunPhase.FAILED else None)
