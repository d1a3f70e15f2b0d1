"""The instances of a run that wait for nothing but slots, and why they have none."""

import weakref
from collections.abc import Iterable, Iterator
from typing import Protocol

from tradewind.engine.run.index_set import IndexSet
from tradewind.engine.run.ready_queue import ReadyQueue
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.task_node import TaskNode


class QueueOwner(Protocol):
    """What the queue needs of its run."""

    changed: bool

    @property
    def nodes(self) -> list[TaskNode]:
        """Its tasks, by position."""


class SlotQueue:
    """Whose turn it is when slots are handed out (transitions/grant.py), from begin() to end()."""

    def __init__(self, run: QueueOwner) -> None:
        self._run: QueueOwner = weakref.proxy(run)
        """Not by a cycle: a run of thousands of tasks that has finished is gone at once."""
        self._ready = ReadyQueue()
        self._blocked_run: str | None = None
        self._blocked: dict[str, str] = {}
        self._blocked_tasks: dict[int, str] = {}
        self._told: tuple[str | None, dict[str, str], dict[int, str]] = (None, {}, {})
        """Why no more slots were granted, to the run, by pool, and by task; the last is what was so before."""

    def __bool__(self) -> bool:
        """Whether any task waits for nothing but slots."""
        return bool(self._ready)

    def begin(self) -> None:
        """Slots are about to be handed out: all that is ready has a chance again."""
        self._told = self._blocked_run, self._blocked, self._blocked_tasks
        self._blocked_run, self._blocked, self._blocked_tasks = None, {}, {}

    @property
    def head(self) -> TaskNode | None:
        """The task whose turn it is; None when no task can have slots now."""
        if self._blocked_run is not None:
            return None
        head = self._ready.head(self._blocked)
        return None if head is None else self._run.nodes[head[0][1]]

    def block(self, why: str) -> None:
        """No task of the run gets slots until the next begin()."""
        self._blocked_run = why

    def block_pool(self, pool: str, why: str) -> None:
        """No task of the run in this pool does."""
        self._blocked[pool] = why

    def block_task(self, node: TaskNode, why: str) -> None:
        """The task, whose turn it is, does not."""
        self._blocked_tasks[node.position] = why
        self._ready.put_aside(node.task.pool)

    def end(self) -> None:
        """Slots have been handed out; what waits knows why."""
        self._ready.take_back()
        if self._told != (self._blocked_run, self._blocked, self._blocked_tasks):
            self._run.changed = True

    def waiting(self) -> Iterator[TaskNode]:
        """The tasks with instances that wait for nothing but slots (`node.ready`)."""
        return (self._run.nodes[position] for position in self._ready)

    def waits_for(self, node: TaskNode) -> str | None:
        """Why a ready task had no slots when they were last handed out."""
        return self._blocked_tasks.get(node.position) or self._blocked.get(node.task.pool) or self._blocked_run

    def add(self, instance: TaskInstance) -> None:
        """The instance waits for nothing but slots."""
        self.add_all(self._run.nodes[instance.position], (instance.index or 0,))

    def add_all(self, node: TaskNode, indexes: Iterable[int]) -> None:
        """Instances that wait for nothing but slots."""
        if node.ready and isinstance(indexes, IndexSet):
            node.ready |= indexes
        elif node.ready:
            for index in indexes:
                node.ready.add(index)
        else:
            node.ready = indexes.copy() if isinstance(indexes, IndexSet) else IndexSet(indexes)
        self._ready.add(node.task.pool, node.weight, node.position)

    def discard(self, instance: TaskInstance) -> None:
        """The instance does not wait for slots, if it did."""
        node = self._run.nodes[instance.position]
        if node.ready:
            node.ready.discard(instance.index or 0)
            if not node.ready:
                self._ready.discard(node.position)

    def discard_all(self, node: TaskNode) -> None:
        """No instance of the task waits for slots any more."""
        node.ready = IndexSet()
        self._ready.discard(node.position)
