"""maxActiveTasks: how many task instances of one run may be queued or running."""

from tradewind.engine.limits.limit import Blocks, Reached
from tradewind.engine.run.state import RunState
from tradewind.engine.run.task_node import TaskNode


def max_active_tasks(run: RunState, _: TaskNode) -> Reached | None:
    """Reached when that many instances of the run hold slots."""
    limit = run.dag.max_active_tasks
    return Reached(f"waiting for maxActiveTasks of the Dag ({limit})", Blocks.RUN) if run.active >= limit else None
