"""The ledger of pool slots: what there is, what is used, and what must be said to those who wait."""

from dataclasses import dataclass, field

from tradewind.api.pool import DEFAULT_POOL, DEFAULT_POOL_SLOTS

UNLIMITED = -1
PoolKey = tuple[str, str]
"""(namespace, pool name)"""


@dataclass(slots=True)
class Slots:
    """Slots by pool, and the total of task instances that hold some, against the controller-wide `parallelism` (0 for
    no limit)."""

    parallelism: int = 0
    active: int = 0
    limits: dict[PoolKey, int] = field(default_factory=dict)
    used: dict[PoolKey, int] = field(default_factory=dict)
    freed: bool = False
    """Set when there may be room for those who were told to wait."""

    def limit(self, namespace: str, pool: str) -> int | None:
        """Slots of a pool, -1 for unlimited, None where there is no such pool."""
        implicit = DEFAULT_POOL_SLOTS if pool == DEFAULT_POOL else None
        return self.limits.get((namespace, pool), implicit)

    def why_not(self, namespace: str, pool: str, slots: int) -> str | None:
        """The reason that a task cannot have `slots` of the pool now, or None when it can."""
        if self.parallelism and self.active >= self.parallelism:
            return f"waits for the controller's parallelism ({self.parallelism} task instances)"
        limit = self.limit(namespace, pool)
        if limit is None:
            return f"waits for pool {pool!r}, which does not exist in namespace {namespace!r}"
        if limit == UNLIMITED or self.used.get((namespace, pool), 0) + slots <= limit:
            return None
        return self.never_fits(namespace, pool, slots) or f"waits for a slot of pool {pool!r} ({limit} slots)"

    def never_fits(self, namespace: str, pool: str, slots: int) -> str | None:
        """The reason that a task can never have `slots` of the pool, though others can have some."""
        limit = self.limit(namespace, pool)
        if limit is not None and 0 < limit < slots:
            return f"needs {slots} slots of pool {pool!r}, which has only {limit}"
        return None

    def set_limit(self, namespace: str, pool: str, slots: int | None) -> None:
        """A pool has come, changed or (None) gone. What holds its slots keeps them."""
        if slots is None:
            self.limits.pop((namespace, pool), None)
        else:
            self.limits[namespace, pool] = slots
        self.freed = True

    def take(self, namespace: str, pool: str, slots: int) -> None:
        """Count one more active task instance."""
        self.active += 1
        self.used[namespace, pool] = self.used.get((namespace, pool), 0) + slots

    def give_back(self, namespace: str, pool: str, slots: int) -> None:
        """Count one active task instance less."""
        self.active -= 1
        self.freed = True
        left = self.used.get((namespace, pool), 0) - slots
        if left > 0:
            self.used[namespace, pool] = left
        else:
            self.used.pop((namespace, pool), None)
