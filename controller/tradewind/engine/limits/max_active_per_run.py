"""maxActivePerRun of a task: how many of its instances may be queued or running in one run."""

from tradewind.engine.limits.limit import Blocks, Reached
from tradewind.engine.run.state import RunState
from tradewind.engine.run.task_node import TaskNode


def max_active_per_run(_: RunState, node: TaskNode) -> Reached | None:
    """Reached when that many instances of the task hold slots in this run."""
    limit = node.task.max_active_per_run
    if limit is not None and node.active >= limit:
        return Reached(f"waiting for maxActivePerRun of the task ({limit})", Blocks.TASK)
    return None
