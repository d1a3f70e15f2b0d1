"""parallelism: how many task instances the controller has queued or running in all."""

from tradewind.engine.limits.limit import Reached, Scope
from tradewind.engine.run.state import RunState
from tradewind.engine.run.task_node import TaskNode


def parallelism(run: RunState, _: TaskNode) -> Reached | None:
    """Reached when as many instances of any runs hold slots; 0 is no limit."""
    limit = run.slots.parallelism
    if limit and run.slots.active >= limit:
        return Reached(f"waits for the controller's parallelism ({limit} task instances)", Scope.RUN)
    return None
