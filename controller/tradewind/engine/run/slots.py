"""The ledger of pool slots: what there is, what is used, and what must be said to those who wait."""

from dataclasses import dataclass, field
from typing import TypeVar

from tradewind.api.pool import DEFAULT_POOL, DEFAULT_POOL_SLOTS
from tradewind.api.resolve import ResolvedTask
from tradewind.engine.run.run_info import RunInfo

Key = TypeVar("Key")
UNLIMITED = -1
PoolKey = tuple[str, str]
"""(namespace, pool name)"""
TaskKey = tuple[str, str, str]
"""(namespace, Dag, task)"""


@dataclass(slots=True)
class Slots:
    """Slots by pool, and the total of task instances that hold some, against the controller-wide `parallelism` (0 for
    no limit)."""

    parallelism: int = 0
    active: int = 0
    limits: dict[PoolKey, int] = field(default_factory=dict)
    used: dict[PoolKey, int] = field(default_factory=dict)
    by_task: dict[TaskKey, int] = field(default_factory=dict)
    """Active instances of the tasks that have a maxActivePerDag, over all runs of their Dag."""
    by_dag: dict[tuple[str, str], int] = field(default_factory=dict)
    """Active task instances by (namespace, Dag)."""
    freed: bool = False
    """Set when there may be room for those who were told to wait."""

    def limit(self, namespace: str, pool: str) -> int | None:
        """Slots of a pool, -1 for unlimited, None where there is no such pool."""
        implicit = DEFAULT_POOL_SLOTS if pool == DEFAULT_POOL else None
        return self.limits.get((namespace, pool), implicit)

    def set_limit(self, namespace: str, pool: str, slots: int | None) -> None:
        """A pool has come, changed or (None) gone. What holds its slots keeps them."""
        if slots is None:
            self.limits.pop((namespace, pool), None)
        else:
            self.limits[namespace, pool] = slots
        self.freed = True

    def take(self, run: RunInfo, task: ResolvedTask) -> None:
        """Count one more active instance of a task."""
        self.active += 1
        _count(self.by_dag, (run.namespace, run.dag), 1)
        _count(self.used, (run.namespace, task.pool), task.pool_slots)
        if task.max_active_per_dag is not None:
            _count(self.by_task, (run.namespace, run.dag, task.name), 1)

    def give_back(self, run: RunInfo, task: ResolvedTask) -> None:
        """Count one active instance of a task less."""
        self.active -= 1
        _count(self.by_dag, (run.namespace, run.dag), -1)
        self.freed = True
        _count(self.used, (run.namespace, task.pool), -task.pool_slots)
        if task.max_active_per_dag is not None:
            _count(self.by_task, (run.namespace, run.dag, task.name), -1)


def _count(counts: dict[Key, int], key: Key, more: int) -> None:
    counts[key] = counts.get(key, 0) + more
    if counts[key] <= 0:
        del counts[key]
