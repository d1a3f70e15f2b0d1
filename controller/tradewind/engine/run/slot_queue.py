"""The instances of a run that wait only for slots, and the limits that block them."""

import weakref
from collections.abc import Iterable, Iterator
from typing import Protocol

from tradewind.engine.run.index_set import IndexSet
from tradewind.engine.run.ready_queue import ReadyQueue
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.task_node import TaskNode


class QueueOwner(Protocol):
    """The part of a run that the queue needs."""

    changed: bool

    @property
    def nodes(self) -> list[TaskNode]:
        """Its tasks, by position."""


class SlotQueue:
    """The order in which tasks get slots between begin() and end() (transitions/grant.py)."""

    def __init__(self, run: QueueOwner) -> None:
        self._run: QueueOwner = weakref.proxy(run)
        """A weak reference avoids a cycle, so that a finished run of thousands of tasks is freed at once."""
        self._ready = ReadyQueue()
        self._blocked_run: str | None = None
        self._blocked: dict[str, str] = {}
        self._blocked_tasks: dict[int, str] = {}
        self._blocked_before: tuple[str | None, dict[str, str], dict[int, str]] = (None, {}, {})
        """The reasons why no more slots were granted, for the run, by pool and by task, and the same before begin()."""

    def __bool__(self) -> bool:
        """True if any task waits only for slots."""
        return bool(self._ready)

    def begin(self) -> None:
        """Start granting slots: nothing is blocked."""
        self._blocked_before = self._blocked_run, self._blocked, self._blocked_tasks
        self._blocked_run, self._blocked, self._blocked_tasks = None, {}, {}

    @property
    def head(self) -> TaskNode | None:
        """The next task; None if no task can get slots now."""
        if self._blocked_run is not None:
            return None
        head = self._ready.head(self._blocked)
        return None if head is None else self._run.nodes[head[0][1]]

    def block(self, why: str) -> None:
        """Block the whole run until the next begin()."""
        self._blocked_run = why

    def block_pool(self, pool: str, why: str) -> None:
        """Block the tasks of the run in this pool."""
        self._blocked[pool] = why

    def block_task(self, node: TaskNode, why: str) -> None:
        """Block the task at the head."""
        self._blocked_tasks[node.position] = why
        self._ready.put_aside(node.task.pool)

    def end(self) -> None:
        """Finish granting slots; status changes if a reason for waiting has changed."""
        self._ready.take_back()
        if self._blocked_before != (self._blocked_run, self._blocked, self._blocked_tasks):
            self._run.changed = True

    def waiting(self) -> Iterator[TaskNode]:
        """The tasks with instances that wait only for slots (`node.ready`)."""
        return (self._run.nodes[position] for position in self._ready)

    def waits_for(self, node: TaskNode) -> str | None:
        """The reason why a ready task got no slots the last time."""
        return self._blocked_tasks.get(node.position) or self._blocked.get(node.task.pool) or self._blocked_run

    def add(self, instance: TaskInstance) -> None:
        """Add an instance that waits only for slots."""
        self.add_all(self._run.nodes[instance.position], (instance.index or 0,))

    def add_all(self, node: TaskNode, indexes: Iterable[int]) -> None:
        """Add instances that wait only for slots."""
        if node.ready and isinstance(indexes, IndexSet):
            node.ready |= indexes
        elif node.ready:
            for index in indexes:
                node.ready.add(index)
        else:
            node.ready = indexes.copy() if isinstance(indexes, IndexSet) else IndexSet(indexes)
        self._ready.add(node.task.pool, node.weight, node.position)

    def discard(self, instance: TaskInstance) -> None:
        """Remove an instance, if it is in the queue."""
        node = self._run.nodes[instance.position]
        if node.ready:
            node.ready.discard(instance.index or 0)
            if not node.ready:
                self._ready.discard(node.position)

    def discard_all(self, node: TaskNode) -> None:
        """Remove all instances of a task."""
        node.ready = IndexSet()
        self._ready.discard(node.position)
