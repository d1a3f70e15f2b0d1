"""suspend of a DagRun: running tasks continue, no new tasks start."""

from tradewind.engine.limits.limit import Blocks, Reached
from tradewind.engine.run.state import RunState
from tradewind.engine.run.task_node import TaskNode


def suspend(run: RunState, _: TaskNode) -> Reached | None:
    """Reached while the run is suspended."""
    return Reached("waiting: the run is suspended", Blocks.RUN) if run.suspended else None
