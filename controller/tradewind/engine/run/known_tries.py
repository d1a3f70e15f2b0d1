"""Queries about a try with a Pod in the cluster: whether its run knows it, waits for it, or has its result."""

from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.task_node import TaskNode
from tradewind.engine.run.tries import TryKey


def instance_of(node: TaskNode, key: TryKey) -> TaskInstance | None:
    """The instance of a try, read-only. None if there is none: the task may have been mapped when the try was created
    and not be mapped now, or the other way round."""
    return node.peek(key.index) if node.mapped == (key.index is not None) else None


def may_come(node: TaskNode, key: TryKey) -> bool:
    """True if a try may belong to an instance that a mapped task does not have yet."""
    return node.awaits_items and key.index is not None and key.number > node.tries_before.get(key.index)


def is_unrecorded(run: RunState, key: TryKey) -> bool:
    """True if status does not have a try yet: it was created after the last status write."""
    position = run.graph.position.get(key.task)
    if position is None:
        return False
    node = run.nodes[position]
    known = instance_of(node, key)
    if known is None:
        return may_come(node, key)
    return not known.finished and key.number > known.tries_before and (key.number, key.poke) > known.attempt


def is_obsolete(run: RunState, key: TryKey) -> bool:
    """True if the run does not wait for a try, even if its container still runs: its task was rerun, marked or
    removed."""
    position = run.graph.position.get(key.task)
    if position is None or run.finished:
        return True
    node = run.nodes[position]
    known = instance_of(node, key)
    if known is None:
        return not may_come(node, key)
    return known.finished or key.number <= known.tries_before or (key.number, key.poke) < known.attempt


def has_result(run: RunState, key: TryKey) -> bool:
    """True if status has the result of a try, or will never need it."""
    position = run.graph.position.get(key.task)
    if position is None or run.finished:
        return True
    node = run.nodes[position]
    instance = instance_of(node, key)
    if instance is None:
        return not may_come(node, key)
    if key.number <= instance.tries_before:
        return True
    if instance.finished:
        return key.number <= instance.number
    waits = instance.state in (TaskState.SCHEDULED, TaskState.QUEUED, TaskState.RUNNING)
    if (key.number, key.poke) != instance.attempt:
        return (key.number, key.poke) < instance.attempt
    return not waits or instance.next_poke_at is not None
