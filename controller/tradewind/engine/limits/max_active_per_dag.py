"""maxActivePerDag of a task: how many of its instances may be queued or running over all runs of the Dag."""

from tradewind.engine.limits.limit import Blocks, Reached
from tradewind.engine.run.state import RunState
from tradewind.engine.run.task_node import TaskNode


def max_active_per_dag(run: RunState, node: TaskNode) -> Reached | None:
    """Reached when that many instances of the task hold slots in all runs of the Dag."""
    limit = node.task.max_active_per_dag
    if limit is None or run.slots.by_task.get((run.info.namespace, run.info.dag, node.task.name), 0) < limit:
        return None
    return Reached(f"waiting for maxActivePerDag of the task ({limit})", Blocks.TASK)
