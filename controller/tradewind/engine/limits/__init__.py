"""The limits that keep a ready task instance from getting slots: one file per limit, listed in order of evaluation."""

from tradewind.engine.limits.limit import Blocks, Limit, Reached
from tradewind.engine.limits.max_active_per_dag import max_active_per_dag
from tradewind.engine.limits.max_active_per_run import max_active_per_run
from tradewind.engine.limits.max_active_tasks import max_active_tasks
from tradewind.engine.limits.parallelism import parallelism
from tradewind.engine.limits.pool import pool
from tradewind.engine.limits.suspend import suspend
from tradewind.engine.run.state import RunState
from tradewind.engine.run.task_node import TaskNode

LIMITS: tuple[Limit, ...] = (suspend, max_active_tasks, parallelism, max_active_per_run, max_active_per_dag, pool)

__all__ = ["LIMITS", "Blocks", "Limit", "Reached", "why_not"]


def why_not(run: RunState, node: TaskNode) -> Reached | None:
    """The first limit that one more active instance of the task would exceed, or None if it can get its slots."""
    for limit in LIMITS:
        reached = limit(run, node)
        if reached is not None:
            return reached
    return None
