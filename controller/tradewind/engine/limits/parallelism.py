"""parallelism: how many task instances the controller has queued or running in all."""

from tradewind.engine.limits.limit import Blocks, Reached
from tradewind.engine.run.state import RunState
from tradewind.engine.run.task_node import TaskNode


def parallelism(run: RunState, _: TaskNode) -> Reached | None:
    """Reached when that many instances of all runs hold slots; 0 means no limit."""
    limit = run.slots.parallelism
    if limit and run.slots.active >= limit:
        return Reached(f"waiting for the controller's parallelism ({limit} task instances)", Blocks.RUN)
    return None
