"""Applying reports and due timers to the current try of a task instance."""

from dataclasses import replace
from datetime import datetime

from tradewind.api.duration import format_duration
from tradewind.engine.kinds import kind_of
from tradewind.engine.kinds.kind import NeedsSlots
from tradewind.engine.rules.branches import check_decision
from tradewind.engine.rules.moments import believable
from tradewind.engine.rules.outcome import OUTPUT_BUDGET, Outcome, judge, lost_if_deleted, output_size
from tradewind.engine.rules.retries import postpone_delay, retry_delay
from tradewind.engine.rules.time_limits import (
    SENSOR_TIMEOUT,
    limit_reached,
    overdue,
    start_by,
    stopping_message,
    timeout_outcome,
    with_stop_duration,
)
from tradewind.engine.run.index_set import IndexSet
from tradewind.engine.run.known_tries import instance_of, may_come
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import FINISHED_STATES, TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.task_node import TaskNode
from tradewind.engine.run.tries import PREEMPTED, HeldBy, StopReason, TryEvent, TryReport
from tradewind.engine.transitions import waiting
from tradewind.engine.transitions.endings import finish

_BETWEEN = frozenset({TaskState.NONE, TaskState.UP_FOR_RETRY, TaskState.UP_FOR_RESCHEDULE})


def apply_report(run: RunState, report: TryReport, now: datetime) -> None:
    """Apply a report about a try. Call run_lifecycle.advance() after the last report."""
    if run.finished:
        return
    position = run.graph.position.get(report.task)
    if position is None:
        return
    node = run.nodes[position]
    attempt = (report.number, report.poke)
    report = lost_if_deleted(node.task, report)
    if node.state_of(report.index) in FINISHED_STATES:
        return
    known = instance_of(node, report.key)
    if known is None:
        # An instance of a mapped task whose items are not known again yet.
        if may_come(node, report.key):
            run.early.keep(report)
            run.recheck(position)
        return
    if attempt < known.attempt or report.number <= known.tries_before:
        return
    in_try = known.task.kind.waits and known.state is TaskState.UP_FOR_RESCHEDULE
    between = (known.state in _BETWEEN and not in_try) or known.next_poke_at is not None
    if attempt > known.attempt or (between and not kind_of(node.task).is_late_success(known, report)):
        # A try that the run has not reached yet: a controller created its Pod and stopped before it wrote status.
        # The report is kept until the run reaches that try, and applied then.
        if attempt > known.attempt:
            run.early.keep(report)
            run.recheck(position, report.index)
        return
    instance = node.get(report.index)
    if instance is not None:
        _apply(run, instance, report, now)


def catch_up(run: RunState, instance: TaskInstance, now: datetime) -> None:
    """Finish the current attempt, whatever status says, if there are reports about a later one."""
    if not run.early or not run.early.later_than(instance.key):
        return
    if instance.state is TaskState.UP_FOR_RETRY:
        schedule(run, instance, now)
    elif instance.next_poke_at is not None and not instance.task.kind.waits:
        waiting.next_poke(run, instance, now, known=run.early.has(replace(instance.key, poke=instance.pokes + 1)))
        _take_early(run, instance, now)
    else:
        waits_for_slots = instance.state is TaskState.SCHEDULED and not instance.holds_slots
        has_started = instance.state in (TaskState.QUEUED, TaskState.RUNNING)
        if waits_for_slots or (has_started and run.early.later_try_than(instance.key)):
            _supersede(run, instance, now)


def schedule(run: RunState, instance: TaskInstance, now: datetime, *, last_try: str = "Failed") -> None:
    """Start the next try of an instance: wait for slots, or apply the early report if there is one."""
    instance.begin_try(now, last_try)
    run.node_changed(run.nodes[instance.position])
    answer = kind_of(instance.task).start(run, instance, now)
    if not isinstance(answer, NeedsSlots):
        waiting.begin(run, instance, answer, now)
    elif not _take_early(run, instance, now):
        run.queue.add(instance)
        if run.early.later_than(instance.key):
            _supersede(run, instance, now)


def schedule_all(run: RunState, node: TaskNode, indexes: IndexSet, now: datetime) -> None:
    """Start the next try of many instances of a mapped task."""
    alone = IndexSet([index for index in indexes if index in node.remembered])
    if run.early:
        alone |= indexes & IndexSet(run.early.indexes_of(node.task.name))
    for index in alone:
        instance = node.get(index)
        if instance is not None:
            schedule(run, instance, now)
    together = (indexes - alone) & node.resting.get(TaskState.UP_FOR_RETRY, IndexSet())
    if together:
        node.move(together, TaskState.UP_FOR_RETRY, TaskState.SCHEDULED)
        run.queue.add_all(node, together)
        run.changed = True


def _take_early(run: RunState, instance: TaskInstance, now: datetime) -> bool:
    early = run.early.take(instance.key)
    if early is not None:
        _backdate(run, instance, early.created_at)
        _apply(run, instance, early, now)
    return early is not None


def _backdate(run: RunState, instance: TaskInstance, created: datetime | None) -> None:
    """Set scheduled_at to the creation time of its Pod, if that is earlier: the instance was ready then."""
    if created is None or instance.scheduled_at is None or created >= instance.scheduled_at:
        return
    node = run.nodes[instance.position]
    instance.scheduled_at = max(created, run.started_at or created)
    if node.scheduled_at is not None:
        node.scheduled_at = min(node.scheduled_at, instance.scheduled_at)


def _supersede(
    run: RunState, instance: TaskInstance, now: datetime, reason: str | None = None, message: str | None = None
) -> None:
    """Finish a try that a later try follows. Status does not have its result and its Pod is deleted, but whatever the
    result was (maybe a timeout), it led to the later try."""
    run.queue.discard(instance)
    run.give_back(instance)
    instance.exit_code, instance.finished_at, instance.stop = None, now, None
    message = message or f"its Pod was deleted, and try {instance.number + 1} was created"
    outcome = Outcome(TaskState.FAILED, reason or "PodVanished", message, lost=True)
    if _retries_after_loss(instance, outcome):
        _retry_lost(run, instance, outcome, now)
        return
    instance.reason, instance.message = outcome.reason, outcome.message
    schedule(run, instance, now)


def _apply(run: RunState, instance: TaskInstance, report: TryReport, now: datetime) -> None:
    """Apply a report about the current try of an instance that is Scheduled, Queued or Running, or that waits."""
    match report.event:
        case TryEvent.CREATED | TryEvent.RUNNING:
            _progress(run, instance, report, now)
        case TryEvent.POSTPONED:
            _postpone(run, instance, report, now)
        case TryEvent.LOST if run.early and run.early.later_try_than(instance.key):
            _supersede(run, instance, now, report.reason, report.message)
        case _:
            _finish_try(run, instance, report, now)


def _progress(run: RunState, instance: TaskInstance, report: TryReport, now: datetime) -> None:
    task = instance.task
    if task.kind.waits:
        waiting.progress(run, instance, report)
        return
    if not instance.holds_slots:
        run.queue.discard(instance)
        run.hold(instance)
    due_before = start_by(instance)
    if instance.queued_at is None:
        instance.queued_at = believable(report.created_at, instance.scheduled_at, now)
        instance.message, instance.postponed_until = None, None
        if instance.state is TaskState.SCHEDULED:
            instance.state = TaskState.QUEUED
        run.instance_changed(instance)
    if report.event is TryEvent.RUNNING:
        if instance.container_started_at is None:
            started = believable(report.started_at, instance.queued_at, now)
            node = run.nodes[instance.position]
            node.started_at = node.started_at or started
            instance.state, instance.container_started_at = TaskState.RUNNING, started
            instance.started_at = instance.started_at or started
            instance.reason = instance.message = None
            if task.kind.looks_again:
                instance.first_poke_at = instance.first_poke_at or started
                waiting.set_timers(run, instance)
            if task.timeout:
                run.timers.set(started + task.timeout, instance)
            run.instance_changed(instance)
    elif instance.container_started_at is None:
        _note_held(instance, report, now)
        due = start_by(instance)
        if due is not None and due != due_before:
            run.timers.set(due, instance)
        if (instance.reason, instance.message) != (report.reason, report.message):
            instance.reason, instance.message = report.reason, report.message
            run.instance_changed(instance)
        run.stuck.note(instance, run.timers, now)


def _note_held(instance: TaskInstance, report: TryReport, now: datetime) -> None:
    """Record the cause that keeps a Pod from starting."""
    if instance.held_by is HeldBy.GATES and report.held_by is not HeldBy.GATES:
        instance.queued_at = now
        instance.touch()
    instance.held_by = report.held_by
    if report.held_by is not None:
        instance.held_by_itself_since = None
    elif instance.held_by_itself_since is None:
        instance.held_by_itself_since = min(report.held_since or now, now)


def _postpone(run: RunState, instance: TaskInstance, report: TryReport, now: datetime) -> None:
    if instance.queued_at is not None:
        return
    instance.postponed_since = instance.postponed_since or now
    if not report.retry and instance.postponed_since + instance.task.queued_timeout <= now:
        _finish_try(run, instance, replace(report, event=TryEvent.REFUSED), now)
        return
    if instance.state is TaskState.SCHEDULED:
        run.give_back(instance)
        run.queue.discard(instance)
    instance.postponed += 1
    instance.postponed_until = now + postpone_delay(instance.postponed)
    instance.reason, instance.message = report.reason, report.message
    if report.reason != "Suspended":
        run.stuck.note(instance, run.timers, now)
    run.timers.set(instance.postponed_until, instance)
    run.instance_changed(instance)


def _finish_try(run: RunState, instance: TaskInstance, report: TryReport, now: datetime) -> None:
    task, kind = instance.task, kind_of(instance.task)
    again = kind.on_pod_finished(instance, report)
    if again is not None:
        waiting.wait_for_next_poke(run, instance, again, report, now)
        return
    run.queue.discard(instance)
    run.give_back(instance)
    instance.exit_code = report.exit_code
    finished = _note_times(instance, report, now)
    stopped = instance.stop or overdue(instance, report, now)
    if stopped is not None:
        stopped = with_stop_duration(instance, stopped, finished)
    outcome = judge(task, report, stopped)
    is_final = outcome.state is TaskState.SKIPPED or not outcome.retry
    if is_final and run.early and run.early.later_try_than(instance.key):
        # It was stopped, which is not in status: its exit code does not count.
        message = f"stopped with exit code {report.exit_code}, and try {instance.number + 1} was created"
        outcome = judge(task, report, StopReason("Timeout", message))
    if stopped is not None and stopped.reason == SENSOR_TIMEOUT and outcome.state is TaskState.FAILED:
        outcome = timeout_outcome(instance, stopped)
    outcome = check_decision(run, instance, _within_budget(run, instance, outcome))
    if outcome.lost and _retries_after_loss(instance, outcome):
        _retry_lost(run, instance, outcome, now)
        return
    if outcome.state is TaskState.FAILED and outcome.retry and instance.failures <= task.retries.limit:
        instance.state, instance.reason, instance.message = TaskState.UP_FOR_RETRY, outcome.reason, outcome.message
        identity = f"{run.info.uid}/{instance.name}"
        instance.retry_at = finished + retry_delay(task.retries, identity, instance.failures)
        run.instance_changed(instance)
        run.wait_for_retry(instance, instance.retry_at)
        run.recheck(instance.position, instance.index)
        wait = format_duration(instance.retry_at - finished)
        note = f"try {instance.number} failed ({outcome.why()}); the next is due in {wait}"
        run.note(instance, "TryFailed", note, outcome.reason or "Error")
        return
    finish(run, instance, kind.soften(task, outcome), finished)


def _note_times(instance: TaskInstance, report: TryReport, now: datetime) -> datetime:
    """Record when the container of a finished try started and finished. Return the latter."""
    earliest = instance.queued_at or instance.scheduled_at
    if report.started_at is not None and instance.container_started_at is None:
        instance.container_started_at = believable(report.started_at, earliest, now)
    started = instance.container_started_at
    if started is not None and (instance.task.kind.rests or instance.started_at is None):
        instance.started_at = started
    instance.finished_at = finished = believable(report.finished_at, started or earliest, now)
    return finished


def _retries_after_loss(instance: TaskInstance, outcome: Outcome) -> bool:
    """True if another try follows a lost one: up to retries.onLost, and always after a preemption."""
    return outcome.reason in PREEMPTED or instance.lost - instance.preempted < instance.task.retries.on_lost


def _retry_lost(run: RunState, instance: TaskInstance, outcome: Outcome, now: datetime) -> None:
    """Start the next try after a lost one immediately; the lost one does not count against the retries."""
    instance.reason, instance.message = outcome.reason, outcome.message
    instance.lost += 1
    instance.preempted += outcome.reason in PREEMPTED
    unknown = outcome.message or "its result is unknown"
    note = f"try {instance.number} was lost ({outcome.reason}): {unknown}"
    run.note(instance, "TryLost", note, outcome.reason or "Lost")
    schedule(run, instance, now, last_try="Lost")


def _within_budget(run: RunState, instance: TaskInstance, outcome: Outcome) -> Outcome:
    if not outcome.has_output:
        return outcome
    size = output_size(outcome.output, instance.index)
    if run.output_bytes + size > OUTPUT_BUDGET:
        message = f"the outputs of the run's tasks exceed {OUTPUT_BUDGET} bytes; write larger data to storage"
        return Outcome(TaskState.FAILED, "OutputTooLarge", message, retry=False)
    run.output_bytes += size
    return outcome


def fire(run: RunState, instance: TaskInstance, now: datetime) -> None:
    """Handle a due timer of the current attempt; the current state decides what it means."""
    message = run.stuck.take_event(instance, now)
    if message is not None:
        run.note(None, "TaskWaiting", message, instance.reason)
    if instance.state is TaskState.UP_FOR_RETRY:
        if instance.retry_at and instance.retry_at <= now:
            schedule(run, instance, now)
    elif instance.postponed_until is not None:
        if instance.postponed_until <= now:
            instance.postponed_until = instance.reason = instance.message = None
            if instance.state is TaskState.SCHEDULED:
                run.queue.add(instance)
            else:
                run.poke(instance)
            run.instance_changed(instance)
    elif instance.task.kind.waits or instance.next_poke_at is not None:
        waiting.wake(run, instance, now)
    elif instance.stop is None and instance.state in (TaskState.QUEUED, TaskState.RUNNING):
        why = limit_reached(instance, now)
        if why:
            if instance.container_started_at is not None:
                message = stopping_message(run, instance, why, now)
                instance.reason, instance.message = why.reason, message
                run.instance_changed(instance)
            instance.stop = why
            run.stop(instance, why)
