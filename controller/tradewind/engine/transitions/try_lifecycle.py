"""What reports and time do to the current try of a task instance."""

from dataclasses import replace
from datetime import datetime

from tradewind.api.duration import format_duration
from tradewind.engine.kinds import kind_of
from tradewind.engine.kinds.kind import NeedsSlots
from tradewind.engine.rules.branches import check_decision
from tradewind.engine.rules.moments import believable
from tradewind.engine.rules.outcome import OUTPUT_BUDGET, Outcome, as_it_counts, judge, output_size
from tradewind.engine.rules.retries import postpone_delay, retry_delay
from tradewind.engine.rules.time_limits import (
    SENSOR_TIMEOUT,
    being_stopped,
    given_up,
    limit_reached,
    overdue,
    start_by,
    told_when_ended,
)
from tradewind.engine.run.index_set import IndexSet
from tradewind.engine.run.known_tries import instance_of, is_to_come
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import FINISHED_STATES, TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.task_node import TaskNode
from tradewind.engine.run.tries import PREEMPTED, HeldBy, StopReason, TryEvent, TryReport
from tradewind.engine.transitions import waiting
from tradewind.engine.transitions.endings import finish

_BETWEEN = frozenset({TaskState.NONE, TaskState.UP_FOR_RETRY, TaskState.UP_FOR_RESCHEDULE})


def report(run: RunState, told: TryReport, now: datetime) -> None:
    """Take in what happened to a try. Call run_lifecycle.advance() after the last report."""
    if run.finished:
        return
    position = run.graph.position.get(told.task)
    if position is None:
        return
    node = run.nodes[position]
    attempt = (told.number, told.poke)
    told = as_it_counts(node.task, told)
    if node.state_of(told.index) in FINISHED_STATES:
        return
    known = instance_of(node, told.key)
    if known is None:
        # An instance of a mapped task whose items are not known again yet.
        if is_to_come(node, told.key):
            run.early.keep(told)
            run.recheck(position)
        return
    if attempt < known.attempt or told.number <= known.tries_before:
        return
    in_try = known.task.kind.waits and known.state is TaskState.UP_FOR_RESCHEDULE
    between = (known.state in _BETWEEN and not in_try) or known.next_poke_at is not None
    if attempt > known.attempt or (between and not kind_of(node.task).found_after_all(known, told)):
        # A try that this state does not know yet: its Pod was made by a controller that died before it wrote
        # status. It is kept until the run comes to that try, and then taken for what it is.
        if attempt > known.attempt:
            run.early.keep(told)
            run.recheck(position, told.index)
        return
    instance = node.get(told.index)
    if instance is not None:
        _apply(run, instance, told, now)


def catch_up(run: RunState, instance: TaskInstance, now: datetime) -> None:
    """Reports on a later attempt show that the current one is over, whatever status says."""
    if not run.early or not run.early.later_than(instance.key):
        return
    if instance.state is TaskState.UP_FOR_RETRY:
        schedule(run, instance, now)
    elif instance.next_poke_at is not None and not instance.task.kind.waits:
        waiting.look(run, instance, now, known=run.early.has(replace(instance.key, poke=instance.pokes + 1)))
        _take_early(run, instance, now)
    else:
        waits_for_slots = instance.state is TaskState.SCHEDULED and not instance.holds_slots
        under_way = instance.state in (TaskState.QUEUED, TaskState.RUNNING)
        if waits_for_slots or (under_way and run.early.later_try_than(instance.key)):
            _make_way(run, instance, now)


def schedule(run: RunState, instance: TaskInstance, now: datetime, *, last_try: str = "Failed") -> None:
    """Ready for its next try, or already in it when a report on that try came early."""
    instance.begin_try(now, last_try)
    run.moves(run.nodes[instance.position])
    answer = kind_of(instance.task).start(run, instance, now)
    if not isinstance(answer, NeedsSlots):
        waiting.begin(run, instance, answer, now)
    elif not _take_early(run, instance, now):
        run.queue.add(instance)
        if run.early.later_than(instance.key):
            _make_way(run, instance, now)


def schedule_all(run: RunState, node: TaskNode, indexes: IndexSet, now: datetime) -> None:
    """Many instances of a mapped task are ready for their next try."""
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
        _date_back(run, instance, early.created_at)
        _apply(run, instance, early, now)
    return early is not None


def _date_back(run: RunState, instance: TaskInstance, created: datetime | None) -> None:
    """Its Pod had been made before we knew that it was ready: so it was ready then."""
    if created is None or instance.scheduled_at is None or created >= instance.scheduled_at:
        return
    node = run.nodes[instance.position]
    instance.scheduled_at = max(created, run.started_at or created)
    if node.scheduled_at is not None:
        node.scheduled_at = min(node.scheduled_at, instance.scheduled_at)


def _make_way(
    run: RunState, instance: TaskInstance, now: datetime, reason: str | None = None, message: str | None = None
) -> None:
    """A later try was made, so this one has ended, though status does not have it and its Pod is gone. However it ended
    (it may also have had its time), another one was to follow."""
    run.queue.discard(instance)
    run.give_back(instance)
    instance.exit_code, instance.finished_at, instance.stop = None, now, None
    message = message or f"its Pod is gone, and try {instance.number + 1} was made"
    outcome = Outcome(TaskState.FAILED, reason or "PodVanished", message, lost=True)
    if _may_be_lost_again(instance, outcome):
        _try_again(run, instance, outcome, now)
        return
    instance.reason, instance.message = outcome.reason, outcome.message
    schedule(run, instance, now)


def _apply(run: RunState, instance: TaskInstance, told: TryReport, now: datetime) -> None:
    """A report on the current try of an instance that is Scheduled, Queued or Running, or waits for something."""
    match told.event:
        case TryEvent.CREATED | TryEvent.RUNNING:
            _progress(run, instance, told, now)
        case TryEvent.POSTPONED:
            _postpone(run, instance, told, now)
        case TryEvent.LOST if run.early and run.early.later_try_than(instance.key):
            _make_way(run, instance, now, told.reason, told.message)
        case _:
            _end_try(run, instance, told, now)


def _progress(run: RunState, instance: TaskInstance, told: TryReport, now: datetime) -> None:
    task = instance.task
    if task.kind.waits:
        waiting.progress(run, instance, told)
        return
    if not instance.holds_slots:
        run.queue.discard(instance)
        run.hold(instance)
    due_before = start_by(instance)
    if instance.queued_at is None:
        instance.queued_at = believable(told.created_at, instance.scheduled_at, now)
        instance.message, instance.postponed_until = None, None
        if instance.state is TaskState.SCHEDULED:
            instance.state = TaskState.QUEUED
        run.mark(instance)
    if told.event is TryEvent.RUNNING:
        if instance.container_started_at is None:
            started = believable(told.started_at, instance.queued_at, now)
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
            run.mark(instance)
    elif instance.container_started_at is None:
        _note_held(instance, told, now)
        due = start_by(instance)
        if due is not None and due != due_before:
            run.timers.set(due, instance)
        if (instance.reason, instance.message) != (told.reason, told.message):
            instance.reason, instance.message = told.reason, told.message
            run.mark(instance)
        run.stuck.note(instance, run.timers, now)


def _note_held(instance: TaskInstance, told: TryReport, now: datetime) -> None:
    """A report says what keeps a Pod from starting."""
    if instance.held_by is HeldBy.GATES and told.held_by is not HeldBy.GATES:
        instance.queued_at = now
        instance.touch()
    instance.held_by = told.held_by
    if told.held_by is not None:
        instance.held_by_itself_since = None
    elif instance.held_by_itself_since is None:
        instance.held_by_itself_since = min(told.held_since or now, now)


def _postpone(run: RunState, instance: TaskInstance, told: TryReport, now: datetime) -> None:
    if instance.queued_at is not None:
        return
    instance.postponed_since = instance.postponed_since or now
    if not told.retry and instance.postponed_since + instance.task.queued_timeout <= now:
        _end_try(run, instance, replace(told, event=TryEvent.REFUSED), now)
        return
    if instance.state is TaskState.SCHEDULED:
        run.give_back(instance)
        run.queue.discard(instance)
    instance.postponed += 1
    instance.postponed_until = now + postpone_delay(instance.postponed)
    instance.reason, instance.message = told.reason, told.message
    if told.reason != "Suspended":
        run.stuck.note(instance, run.timers, now)
    run.timers.set(instance.postponed_until, instance)
    run.mark(instance)


def _end_try(run: RunState, instance: TaskInstance, told: TryReport, now: datetime) -> None:
    task, kind = instance.task, kind_of(instance.task)
    again = kind.on_end(instance, told)
    if again is not None:
        waiting.look_again_later(run, instance, again, told, now)
        return
    run.queue.discard(instance)
    run.give_back(instance)
    instance.exit_code = told.exit_code
    finished = _note_times(instance, told, now)
    stopped = instance.stop or overdue(instance, told, now)
    if stopped is not None:
        stopped = told_when_ended(instance, stopped, finished)
    outcome = judge(task, told, stopped)
    is_final = outcome.state is TaskState.SKIPPED or not outcome.retry
    if is_final and run.early and run.early.later_try_than(instance.key):
        # Its end had been asked for, which status did not tell: then its exit code means nothing.
        message = f"was asked to end, with exit code {told.exit_code}, and try {instance.number + 1} was made"
        outcome = judge(task, told, StopReason("Timeout", message))
    if stopped is not None and stopped.reason == SENSOR_TIMEOUT and outcome.state is TaskState.FAILED:
        outcome = given_up(instance, stopped)
    outcome = check_decision(run, instance, _within_budget(run, instance, outcome))
    if outcome.lost and _may_be_lost_again(instance, outcome):
        _try_again(run, instance, outcome, now)
        return
    if outcome.state is TaskState.FAILED and outcome.retry and instance.failures <= task.retries.limit:
        instance.state, instance.reason, instance.message = TaskState.UP_FOR_RETRY, outcome.reason, outcome.message
        identity = f"{run.info.uid}/{instance.name}"
        instance.retry_at = finished + retry_delay(task.retries, identity, instance.failures)
        run.mark(instance)
        run.wait_for_retry(instance, instance.retry_at)
        run.recheck(instance.position, instance.index)
        wait = format_duration(instance.retry_at - finished)
        note = f"try {instance.number} failed ({outcome.why()}); the next is due in {wait}"
        run.note(instance, "TryFailed", note, outcome.reason or "Error")
        return
    finish(run, instance, kind.soften(task, outcome), finished)


def _note_times(instance: TaskInstance, told: TryReport, now: datetime) -> datetime:
    """When the container of a try that has ended started, and when it ended, which is returned."""
    earliest = instance.queued_at or instance.scheduled_at
    if told.started_at is not None and instance.container_started_at is None:
        instance.container_started_at = believable(told.started_at, earliest, now)
    started = instance.container_started_at
    if started is not None and (instance.task.kind.rests or instance.started_at is None):
        instance.started_at = started
    instance.finished_at = finished = believable(told.finished_at, started or earliest, now)
    return finished


def _may_be_lost_again(instance: TaskInstance, outcome: Outcome) -> bool:
    """Whether another try follows one that was lost: as retries.onLost says, and always where it was preempted."""
    return outcome.reason in PREEMPTED or instance.lost - instance.preempted < instance.task.retries.on_lost


def _try_again(run: RunState, instance: TaskInstance, outcome: Outcome, now: datetime) -> None:
    """A try was lost: the next begins at once, and does not use up a try."""
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
        message = f"the outputs of all tasks of a run may have {OUTPUT_BUDGET} bytes together; use storage"
        return Outcome(TaskState.FAILED, "OutputTooLarge", message, retry=False)
    run.output_bytes += size
    return outcome


def fire(run: RunState, instance: TaskInstance, now: datetime) -> None:
    """A timer of the current attempt is due: whichever it was set for, the state says what it means now."""
    waits = run.stuck.tell(instance, now)
    if waits is not None:
        run.note(None, "TaskWaiting", waits, instance.reason)
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
            run.mark(instance)
    elif instance.task.kind.waits or instance.next_poke_at is not None:
        waiting.wake(run, instance, now)
    elif instance.stop is None and instance.state in (TaskState.QUEUED, TaskState.RUNNING):
        why = limit_reached(instance, now)
        if why:
            if instance.container_started_at is not None:
                message = being_stopped(run, instance, why, now)
                instance.reason, instance.message = why.reason, message
                run.mark(instance)
            instance.stop = why
            run.stop(instance, why)
