"""Creating the instances of mapped tasks once their items are known."""

from datetime import datetime
from typing import Any

from tradewind.engine.rules.mapping import ForEachError, for_each_of, items_of
from tradewind.engine.rules.outcome import Outcome
from tradewind.engine.rules.rendering import item_values
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_node import TaskNode
from tradewind.engine.transitions.counting import count_more, pair
from tradewind.engine.transitions.endings import finish


def make_items(run: RunState, node: TaskNode) -> tuple[list[Any], Outcome]:
    """The items of a mapped task, and its outcome if there are none."""
    try:
        items = items_of(run, for_each_of(run, node.task), item_values(run, node.task))
    except ForEachError as error:
        return [], Outcome(TaskState.FAILED, "InvalidForEach", f"forEach: {error}")
    return items, Outcome(TaskState.SKIPPED, "NoItems", "forEach has no items")


def expand(run: RunState, nodes: list[TaskNode], now: datetime) -> int:
    """Create the instances of a task, or of all tasks of a mapped group. Return the number of instances of each.

    Without items a single task finishes; each task of a group first waits for its upstream tasks.
    """
    items, none = make_items(run, nodes[0])
    if not items and nodes[0].task.mapped_group is None:
        finish(run, nodes[0].whole, none, now)
    if not items:
        for each in nodes:
            run.recheck(each.position)
        return 0
    for each in nodes:
        if not each.whole.finished:
            each.items = items
            set_count(run, each, len(items))
            run.recheck(each.position)
    return len(items)


def set_count(run: RunState, node: TaskNode, count: int) -> None:
    """Create `count` instances (one or more) of a mapped task."""
    node.expand(count)
    run.total += count - 1
    run.unfinished += count - 1
    count_more(run, node, count - 1)
    pair(run, node)
    run.early.forget_from(node.task.name, count)
    run.changed = True
