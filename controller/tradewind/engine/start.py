"""What moves a task that waits: a decision upstream, its trigger rule, an earlier run, the items it is mapped over."""

from datetime import datetime
from typing import TYPE_CHECKING

from tradewind.engine import try_life
from tradewind.engine.index_set import IndexSet
from tradewind.engine.mapping import ForEachError, NoItems, for_each_of, items_of
from tradewind.engine.outcome import Outcome
from tradewind.engine.rendering import item_values
from tradewind.engine.skips import skipped_by
from tradewind.engine.states import TaskState
from tradewind.engine.trigger_rules import UpstreamCounts, evaluate
from tradewind.engine.trigger_rules.upstream import End, Run, Verdict

if TYPE_CHECKING:
    from tradewind.engine.run import RunState
    from tradewind.engine.task_instance import TaskInstance
    from tradewind.engine.task_node import TaskNode


def consider(run: "RunState", node: "TaskNode", index: int | None, now: datetime) -> None:
    """Move a task, or one instance of it, if what it waits for has come."""
    if node.mapped and not node.expanded and not node.whole.finished:
        _consider_unexpanded(run, node, now)
    if not node.count:
        if not node.mapped:
            _consider_one(run, node, node.whole, now)
    elif index is not None:
        _consider_index(run, node, index, now)
    else:
        _consider_all(run, node, now)


def rule_of(node: "TaskNode", counts: UpstreamCounts) -> Verdict:
    """What the task's trigger rule says of these counts."""
    return evaluate(node.task.trigger_rule, counts)


def _consider_one(run: "RunState", node: "TaskNode", instance: "TaskInstance", now: datetime) -> None:
    try_life.catch_up(run, instance, now)
    if instance.state is not TaskState.NONE:
        return
    outcome = _end_without_running(run, node, instance.index)
    if outcome is not None:
        run.finish(instance, outcome, now)
    elif _may_start(run, node, instance.index):
        begin(run, instance, now)


def _end_without_running(run: "RunState", node: "TaskNode", index: int | None) -> Outcome | None:
    """The end of an instance that will never start, or None."""
    skipped = skipped_by(run, node, index)
    if skipped is not None:
        return skipped
    verdict = rule_of(node, node.counts_of(index))
    return Outcome(verdict.state, "TriggerRule", verdict.reason) if isinstance(verdict, End) else None


def _may_start(run: "RunState", node: "TaskNode", index: int | None) -> bool:
    return isinstance(rule_of(node, node.counts_of(index)), Run) and not _held_by_past(run, node)


def _held_by_past(run: "RunState", node: "TaskNode") -> bool:
    """Whether dependsOnPast keeps the task from starting."""
    before = node.past
    node.past = run.past.why_not(node.task) if run.past is not None and node.task.depends_on_past else None
    run.changed = run.changed or before != node.past
    return node.past is not None


def begin(run: "RunState", instance: "TaskInstance", now: datetime) -> None:
    """All that the instance waited for has come."""
    node = run.nodes[instance.position]
    node.started_at = node.started_at or now
    if instance.task.noop:
        instance.started_at = now
        run.finish(instance, Outcome(TaskState.SUCCEEDED), now)
    else:
        try_life.schedule(run, instance, now)


# Mapped tasks -------------------------------------------------------------------------------------------------------


def _consider_unexpanded(run: "RunState", node: "TaskNode", now: datetime) -> None:
    """End a mapped task before it has instances, or make them."""
    whole = node.whole
    outcome = _end_without_running(run, node, None)
    if outcome is not None:
        run.finish(whole, outcome, now)
        return
    group = node.task.mapped_group
    may_start = isinstance(rule_of(node, node.upstream), Run)
    if group is None:
        if may_start and not _held_by_past(run, node):
            _expand(run, node, [node], now)
    elif group not in run.group_sizes:
        if _sources_ready(run, node, may_start=may_start):
            members = [run.node(name) for name in run.dag.groups[group].tasks]
            _expand(run, node, [member for member in members if not member.whole.finished], now)
    elif may_start:
        # The group has no items, or they could not be known.
        run.finish(whole, Outcome(TaskState.SKIPPED, "NoItems", f"group {group!r} has no items"), now)


def _sources_ready(run: "RunState", node: "TaskNode", *, may_start: bool) -> bool:
    """Whether the items of the task's group can be known: at once, but for those that are outputs."""
    names = [source.output_task for source in for_each_of(run, node.task).sources if source.output_task]
    sources = [run.node(name) for name in names]
    if not all(source.finished for source in sources):
        return False
    return may_start or all(source.state is TaskState.SUCCEEDED for source in sources)


def _expand(run: "RunState", node: "TaskNode", nodes: list["TaskNode"], now: datetime) -> None:
    """Make the instances of a task, or of all tasks of a mapped group."""
    group = node.task.mapped_group
    try:
        items = items_of(run, for_each_of(run, node.task), item_values(run, node.task))
        none = Outcome(TaskState.SKIPPED, "NoItems", "forEach has no items")
    except NoItems as error:
        items, none = [], Outcome(TaskState.SKIPPED, "NoItems", f"forEach has no items: {error}")
    except ForEachError as error:
        items, none = [], Outcome(TaskState.FAILED, "InvalidForEach", f"forEach: {error}")
    if group is not None:
        run.group_sizes[group] = len(items)
    if not items and none.state is TaskState.FAILED:
        run.finish(node.whole, none, now)
        return
    for each in nodes:
        if items:
            each.items = items
            run.expanded(each, len(items))
            run.recheck(each.position)
        else:
            each.count = 0
            run.finish(each.whole, none, now)


def _consider_all(run: "RunState", node: "TaskNode", now: datetime) -> None:
    """All instances of a mapped task that have not begun."""
    for index in [index for index in node.paired if index in node.resting.get(TaskState.NONE, ())]:
        _consider_index(run, node, index, now)
    for instance in list(node.live.values()):
        _consider_one(run, node, instance, now)
    untouched = node.resting.get(TaskState.NONE)
    if not untouched:
        return
    if _decided_by_index(run, node) or node.paired:
        for index in list(untouched):
            _consider_index(run, node, index, now)
        return
    # Nothing has happened to any of them yet: what holds for one holds for all.
    indexes = IndexSet.parse(str(untouched))
    outcome = _end_without_running(run, node, indexes.first)
    if outcome is not None:
        run.finish_resting(node, indexes, outcome, now)
    elif _may_start(run, node, indexes.first):
        node.started_at = node.started_at or now
        if node.task.noop:
            run.finish_resting(node, indexes, Outcome(TaskState.SUCCEEDED), now)
        elif node.task.wait_for is not None or run.early:
            for index in indexes:
                _consider_index(run, node, index, now)
        else:
            node.scheduled_at = now
            node.move(indexes, TaskState.NONE, TaskState.SCHEDULED)
            run.queue.add_all(node, indexes)
            run.changed = True


def _decided_by_index(run: "RunState", node: "TaskNode") -> bool:
    """Whether a branch or short circuit in the same mapped group decides about each instance by itself."""
    return any(
        run.nodes[position].task.mapped_group == node.task.mapped_group and node.task.mapped_group is not None
        for position in run.graph.deciders[node.position]
    )


def _consider_index(run: "RunState", node: "TaskNode", index: int, now: datetime) -> None:
    """One instance of a mapped task; it stays a number if it only goes on waiting."""
    instance = node.live.get(index)
    if instance is None:
        if node.state_of(index) is not TaskState.NONE:
            return
        outcome = _end_without_running(run, node, index)
        if outcome is None and not _may_start(run, node, index):
            return
        instance = node.get(index)
        if instance is None:
            return
    _consider_one(run, node, instance, now)
