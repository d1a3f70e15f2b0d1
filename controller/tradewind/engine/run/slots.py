"""The ledger of pool slots: the limits and the slots in use."""

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
    """Slots by pool, and the number of active task instances, which the controller-wide `parallelism` limits (0 means
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
    """True if slots may be available again for waiting tasks."""

    def limit(self, namespace: str, pool: str) -> int | None:
        """The slots of a pool, -1 for unlimited, None if the pool does not exist."""
        implicit = DEFAULT_POOL_SLOTS if pool == DEFAULT_POOL else None
        return self.limits.get((namespace, pool), implicit)

    def set_limit(self, namespace: str, pool: str, slots: int | None) -> None:
        """Set the slots of a pool; None if it was deleted. Active instances keep their slots."""
        if slots is None:
            self.limits.pop((namespace, pool), None)
        else:
            self.limits[namespace, pool] = slots
        self.freed = True

    def take(self, run: RunInfo, task: ResolvedTask) -> None:
        """Take the slots of one more active instance of a task."""
        self.active += 1
        _count(self.by_dag, (run.namespace, run.dag), 1)
        _count(self.used, (run.namespace, task.pool), task.pool_slots)
        if task.max_active_per_dag is not None:
            _count(self.by_task, (run.namespace, run.dag, task.name), 1)

    def give_back(self, run: RunInfo, task: ResolvedTask) -> None:
        """Give back the slots of one active instance of a task."""
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
