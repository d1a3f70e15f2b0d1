"""What a run knows of the tries that there are in the cluster."""

from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.task_node import TaskNode
from tradewind.engine.run.tries import TryKey


def instance_of(node: TaskNode, key: TryKey) -> TaskInstance | None:
    """The instance that a try is of, to look at only. None where there is none: a try may be of a time when its task
    was mapped and is not now, or the other way round."""
    return node.peek(key.index) if node.mapped == (key.index is not None) else None


def is_to_come(node: TaskNode, key: TryKey) -> bool:
    """Whether a try may be one of an instance that a mapped task does not have yet."""
    return node.awaits_items and key.index is not None and key.number > node.tries_before.get(key.index)


def is_news(run: RunState, key: TryKey) -> bool:
    """Whether status does not tell of a try: it was made after status was last written."""
    position = run.graph.position.get(key.task)
    if position is None:
        return False
    node = run.nodes[position]
    known = instance_of(node, key)
    if known is None:
        return is_to_come(node, key)
    return not known.finished and key.number > known.tries_before and (key.number, key.poke) > known.attempt


def is_over(run: RunState, key: TryKey) -> bool:
    """Whether nobody waits for a try any more, even if its container still runs: its task was run again, or marked, or
    is no longer there."""
    position = run.graph.position.get(key.task)
    if position is None or run.finished:
        return True
    node = run.nodes[position]
    known = instance_of(node, key)
    if known is None:
        return not is_to_come(node, key)
    return known.finished or key.number <= known.tries_before or (key.number, key.poke) < known.attempt


def has_result(run: RunState, key: TryKey) -> bool:
    """Whether status tells how a try ended (or will never need it)."""
    position = run.graph.position.get(key.task)
    if position is None or run.finished:
        return True
    node = run.nodes[position]
    instance = instance_of(node, key)
    if instance is None:
        return not is_to_come(node, key)
    if key.number <= instance.tries_before:
        return True
    if instance.finished:
        return key.number <= instance.number
    waits = instance.state in (TaskState.SCHEDULED, TaskState.QUEUED, TaskState.RUNNING)
    if (key.number, key.poke) != instance.attempt:
        return (key.number, key.poke) < instance.attempt
    return not waits or instance.next_poke_at is not None
