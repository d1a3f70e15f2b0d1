"""Re-evaluating a waiting task: decisions of upstream tasks, its trigger rule, a previous run, the items of forEach."""

from datetime import datetime

from tradewind.engine.kinds import kind_of
from tradewind.engine.kinds.kind import Finish, NeedsSlots
from tradewind.engine.rules.branches import skipped_by
from tradewind.engine.rules.mapping import end_without_items, sources_of
from tradewind.engine.rules.outcome import Outcome
from tradewind.engine.run.index_set import IndexSet
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.task_node import TaskNode
from tradewind.engine.run.upstream import End, Run, UpstreamCounts, Wait
from tradewind.engine.transitions import try_lifecycle
from tradewind.engine.transitions.counting import by_counts, counts_of
from tradewind.engine.transitions.endings import finish, finish_resting
from tradewind.engine.transitions.expansion import expand, make_items
from tradewind.engine.trigger_rules import evaluate


def consider(run: RunState, node: TaskNode, index: int | None, now: datetime) -> None:
    """Re-evaluate a task, or one instance of it, and start or finish it if it no longer waits."""
    if node.awaits_items:
        _consider_unexpanded(run, node, now)
    if not node.count:
        if not node.mapped:
            _consider_one(run, node, node.whole, now)
    elif index is not None:
        _consider_index(run, node, index, now)
    else:
        _consider_all(run, node, now)


def _consider_one(run: RunState, node: TaskNode, instance: TaskInstance, now: datetime) -> None:
    try_lifecycle.catch_up(run, instance, now)
    if instance.state is not TaskState.NONE:
        return
    verdict = _verdict(run, node, instance.index, counts_of(run, node, instance.index))
    if isinstance(verdict, Outcome):
        finish(run, instance, verdict, now)
    elif isinstance(verdict, Run) and not _is_blocked(run, node) and _has_room(run, node, now):
        begin(run, instance, now)


def _verdict(run: RunState, node: TaskNode, index: int | None, counts: UpstreamCounts) -> Outcome | Run | Wait:
    """The verdict about an instance that has not started; an Outcome if it never will."""
    outcome = skipped_by(run, node, index)
    if outcome is None:
        verdict = evaluate(node.task.trigger_rule, counts)
        if not isinstance(verdict, End):
            return verdict
        outcome = Outcome(verdict.state, "TriggerRule", verdict.reason)
    if run.early and run.early.has_any(node.task.name, index):
        # It has started already: its upstream tasks had other results, which were lost with a try that ran again.
        return Run()
    return outcome


def _is_blocked(run: RunState, node: TaskNode) -> bool:
    """True if dependsOnPast keeps the task from starting, or spec.suspend a task that needs no slots."""
    if run.suspended and not node.task.kind.makes_pods:
        return True
    why = run.past.why_not(node.task) if run.past is not None and node.task.depends_on_past else None
    run.set_blocked(node, why)
    return why is not None


def _has_room(run: RunState, node: TaskNode, now: datetime) -> bool:
    """True if a task may start in this plan; otherwise the next plan re-evaluates it."""
    if not node.task.kind.waits or run.room.take():
        return True
    run.timers.set_for_more(now, node)
    return False


def begin(run: RunState, instance: TaskInstance, now: datetime) -> None:
    """Start an instance that no longer waits."""
    node, start = run.nodes[instance.position], kind_of(instance.task).common_start
    if not instance.task.kind.makes_pods:
        node.started_at = node.started_at or now
    if isinstance(start, Finish):
        instance.started_at = now
        finish(run, instance, start.outcome, now)
        return
    node.scheduled_at = node.scheduled_at or now
    try_lifecycle.schedule(run, instance, now)


# Mapped tasks -------------------------------------------------------------------------------------------------------


def _consider_unexpanded(run: RunState, node: TaskNode, now: datetime) -> None:
    """Finish a mapped task without instances, or create the instances. Those of a group are created as soon as the
    items are known, because not every task of the group waits for the group's first tasks."""
    verdict = _verdict(run, node, None, node.upstream)
    outcome = verdict if isinstance(verdict, Outcome) else end_without_items(run, node.task)
    if outcome is not None:
        finish(run, node.whole, outcome, now)
        return
    if not all(source.finished for source in sources_of(run, node.task)):
        return
    may_start = isinstance(verdict, Run)
    group = node.task.mapped_group
    if group is None:
        if may_start and not _is_blocked(run, node):
            expand(run, [node], now)
        return
    if group not in run.group_sizes:
        members = [run.node(name) for name in run.dag.groups[group].tasks]
        run.group_sizes[group] = expand(run, [node, *(other for other in members if other is not node)], now)
    if run.group_sizes[group] == 0 and may_start:
        finish(run, node.whole, make_items(run, node)[1], now)


def _consider_all(run: RunState, node: TaskNode, now: datetime) -> None:
    """Re-evaluate all instances of a mapped task that have not started, and those with early reports."""
    for index in run.early.indexes_of(node.task.name) if run.early else ():
        _consider_index(run, node, index, now)
    for index in _decided(run, node):
        _consider_index(run, node, index, now)
    for indexes, counts in by_counts(run, node, node.untouched):
        # Earlier instances in this loop may have finished some of these.
        _consider_together(run, node, indexes & node.untouched, counts, now)


def _decided(run: RunState, node: TaskNode) -> IndexSet:
    """The instances that a branch or short circuit of the same mapped group may skip, each by its own output."""
    found = IndexSet()
    for position in run.graph.deciders[node.position]:
        decider = run.nodes[position]
        if decider.count and decider.task.mapped_group == node.task.mapped_group:
            found |= node.untouched & decider.finished_indexes().get(TaskState.SUCCEEDED, IndexSet())
    return found


def _consider_together(run: RunState, node: TaskNode, indexes: IndexSet, counts: UpstreamCounts, now: datetime) -> None:
    """Re-evaluate instances that have not started and share one verdict."""
    if not indexes:
        return
    verdict, start = _verdict(run, node, indexes.first, counts), kind_of(node.task).common_start
    if isinstance(verdict, Outcome):
        finish_resting(run, node, indexes, verdict, now)
    elif not isinstance(verdict, Run) or _is_blocked(run, node):
        return
    elif isinstance(start, Finish):
        node.started_at = node.started_at or now
        finish_resting(run, node, indexes, start.outcome, now)
    elif isinstance(start, NeedsSlots):
        node.scheduled_at = node.scheduled_at or now
        node.move(indexes, TaskState.NONE, TaskState.SCHEDULED)
        run.queue.add_all(node, indexes)
        run.node_changed(node)
    else:
        for index in indexes:
            if run.room.left < 1:
                run.timers.set_for_more(now, node)
                break
            _consider_index(run, node, index, now)


def _consider_index(run: RunState, node: TaskNode, index: int, now: datetime) -> None:
    """Re-evaluate one instance of a mapped task; no object is created if it keeps waiting."""
    instance = node.live.get(index)
    if instance is None and node.state_of(index) is TaskState.NONE:
        verdict = _verdict(run, node, index, counts_of(run, node, index))
        if isinstance(verdict, Wait):
            return
        if isinstance(verdict, Run) and (_is_blocked(run, node) or not _has_room(run, node, now)):
            return
        instance = node.get(index)
        if instance is None:
            return
        if isinstance(verdict, Outcome):
            finish(run, instance, verdict, now)
        else:
            begin(run, instance, now)
        return
    known = node.peek(index) if instance is None and run.early else None
    if known is not None and run.early.later_than(known.key):
        instance = node.get(index)
    if instance is not None:
        try_lifecycle.catch_up(run, instance, now)
