"""Granting slots to the ready task instances of a run."""

from collections.abc import Iterator

from tradewind.engine.limits import Blocks, why_not
from tradewind.engine.run.state import RunState
from tradewind.engine.run.task_instance import TaskInstance


def grant(run: RunState, *, one: bool) -> Iterator[TaskInstance]:
    """Grant slots to the ready tasks of the highest priority (or to one instance) up to the limits; yield each instance
    that got its slots. Call it between run.queue.begin() and end(), as long as there are slots.

    A task that waits for slots of a pool blocks later tasks in the same pool, so that many narrow tasks do not starve a
    wide one. A task that needs more slots than the pool has, or that reached a limit of its own, does not.
    """
    queue = run.queue
    weight: int | None = None
    while (node := queue.head) is not None and weight in (None, node.weight):
        weight = node.weight
        limit = why_not(run, node)
        if limit is not None:
            if limit.scope is Blocks.RUN:
                queue.block(limit.reason)
            elif limit.scope is Blocks.POOL:
                queue.block_pool(node.task.pool, limit.reason)
            else:
                queue.block_task(node, limit.reason)
            continue
        instance = node.get(node.ready.first if node.count else None)
        if instance is None:
            raise RuntimeError(f"{node.task.name} has no instance {node.ready}")
        queue.discard(instance)
        run.hold(instance)
        instance.touch()
        yield instance
        if one:
            return
