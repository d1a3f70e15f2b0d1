"""What moves a task that waits: a decision upstream, its trigger rule, an earlier run, the items it is mapped over."""

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
from tradewind.engine.transitions.counting import alike, counts_of
from tradewind.engine.transitions.endings import finish, finish_resting
from tradewind.engine.transitions.expansion import expand, make_items
from tradewind.engine.trigger_rules import evaluate


def consider(run: RunState, node: TaskNode, index: int | None, now: datetime) -> None:
    """Move a task, or one instance of it, if what it waits for has come."""
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
    elif isinstance(verdict, Run) and not _held_back(run, node) and _has_room(run, node, now):
        begin(run, instance, now)


def _verdict(run: RunState, node: TaskNode, index: int | None, counts: UpstreamCounts) -> Outcome | Run | Wait:
    """What is to become of an instance that has not begun; an Outcome is the end of one that never will."""
    outcome = skipped_by(run, node, index)
    if outcome is None:
        verdict = evaluate(node.task.trigger_rule, counts)
        if not isinstance(verdict, End):
            return verdict
        outcome = Outcome(verdict.state, "TriggerRule", verdict.reason)
    if run.early and run.early.tells_of(node.task.name, index):
        # It has begun: what is upstream of it had ended otherwise, and was made again since, for that was lost.
        return Run()
    return outcome


def _held_back(run: RunState, node: TaskNode) -> bool:
    """Whether dependsOnPast keeps the task from starting, or spec.suspend one that needs no slots to start."""
    if run.suspended and not node.task.kind.makes_pods:
        return True
    why = run.past.why_not(node.task) if run.past is not None and node.task.depends_on_past else None
    run.hold_back(node, why)
    return why is not None


def _has_room(run: RunState, node: TaskNode, now: datetime) -> bool:
    """Whether a task may begin in this plan; where not, it is looked at again in the next."""
    if not node.task.kind.waits or run.room.take():
        return True
    run.timers.set_for_more(now, node)
    return False


def begin(run: RunState, instance: TaskInstance, now: datetime) -> None:
    """All that the instance waited for has come."""
    node, alike = run.nodes[instance.position], kind_of(instance.task).alike
    if not instance.task.kind.makes_pods:
        node.started_at = node.started_at or now
    if isinstance(alike, Finish):
        instance.started_at = now
        finish(run, instance, alike.outcome, now)
        return
    node.scheduled_at = node.scheduled_at or now
    try_lifecycle.schedule(run, instance, now)


# Mapped tasks -------------------------------------------------------------------------------------------------------


def _consider_unexpanded(run: RunState, node: TaskNode, now: datetime) -> None:
    """End a mapped task before it has instances, or make them: those of a group as soon as their items are known, lest
    a task of it that does not wait for the first ones begins without."""
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
        if may_start and not _held_back(run, node):
            expand(run, [node], now)
        return
    if group not in run.group_sizes:
        members = [run.node(name) for name in run.dag.groups[group].tasks]
        run.group_sizes[group] = expand(run, [node, *(other for other in members if other is not node)], now)
    if run.group_sizes[group] == 0 and may_start:
        finish(run, node.whole, make_items(run, node)[1], now)


def _consider_all(run: RunState, node: TaskNode, now: datetime) -> None:
    """All instances of a mapped task that have not begun, and those that there are early reports on."""
    for index in run.early.indexes_of(node.task.name) if run.early else ():
        _consider_index(run, node, index, now)
    for index in _decided(run, node):
        _consider_index(run, node, index, now)
    for indexes, counts in alike(run, node, node.untouched):
        # What happened to others may have ended these.
        _consider_alike(run, node, indexes & node.untouched, counts, now)


def _decided(run: RunState, node: TaskNode) -> IndexSet:
    """Instances that a branch or short circuit of the same mapped group may have decided about, each for itself."""
    found = IndexSet()
    for position in run.graph.deciders[node.position]:
        decider = run.nodes[position]
        if decider.count and decider.task.mapped_group == node.task.mapped_group:
            found |= node.untouched & decider.ended().get(TaskState.SUCCEEDED, IndexSet())
    return found


def _consider_alike(run: RunState, node: TaskNode, indexes: IndexSet, counts: UpstreamCounts, now: datetime) -> None:
    """Instances that have not begun, and of which holds for all what holds for one."""
    if not indexes:
        return
    verdict, alike = _verdict(run, node, indexes.first, counts), kind_of(node.task).alike
    if isinstance(verdict, Outcome):
        finish_resting(run, node, indexes, verdict, now)
    elif not isinstance(verdict, Run) or _held_back(run, node):
        return
    elif isinstance(alike, Finish):
        node.started_at = node.started_at or now
        finish_resting(run, node, indexes, alike.outcome, now)
    elif isinstance(alike, NeedsSlots):
        node.scheduled_at = node.scheduled_at or now
        node.move(indexes, TaskState.NONE, TaskState.SCHEDULED)
        run.queue.add_all(node, indexes)
        run.moves(node)
    else:
        for index in indexes:
            if run.room.left < 1:
                run.timers.set_for_more(now, node)
                break
            _consider_index(run, node, index, now)


def _consider_index(run: RunState, node: TaskNode, index: int, now: datetime) -> None:
    """One instance of a mapped task; it stays a number if it only goes on waiting."""
    instance = node.live.get(index)
    if instance is None and node.state_of(index) is TaskState.NONE:
        verdict = _verdict(run, node, index, counts_of(run, node, index))
        if isinstance(verdict, Wait):
            return
        if isinstance(verdict, Run) and (_held_back(run, node) or not _has_room(run, node, now)):
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
