"""When a run has to be looked at again though nothing happens: the timers of its task instances, and its own.

A timer is never taken back. When it fires, the state of what it was set for says what it means: most often nothing.
"""

import heapq
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tradewind.engine.task_instance import TaskInstance
    from tradewind.engine.task_node import TaskNode

_RUN = -1
"""Position of the timer of the run itself."""
_NO_INDEX = -1
_DUE = -2
"""Index of the timer of all resting instances that are due together."""
_NO_ATTEMPT = (0, 0)


class Timer(NamedTuple):
    """When, and for what: the run, resting instances of a task, or one attempt of an instance."""

    when: datetime
    position: int
    place: int
    """Index of the instance, if the task is mapped."""
    attempt: tuple[int, int]

    @property
    def of_run(self) -> bool:
        """Whether it is about the run as a whole."""
        return self.position == _RUN

    @property
    def of_resting(self) -> bool:
        """Whether it is about instances of a mapped task that are at rest until then."""
        return self.place == _DUE


class Timers:
    """Those of one run, the earliest first."""

    def __init__(self) -> None:
        self._heap: list[Timer] = []

    def set(self, when: datetime, instance: "TaskInstance") -> None:
        """Look at the current attempt of an instance again at that time."""
        index = _NO_INDEX if instance.index is None else instance.index
        heapq.heappush(self._heap, Timer(when, instance.position, index, instance.attempt))

    def set_for_resting(self, when: datetime, node: "TaskNode") -> None:
        """Resting instances of a mapped task go on at that time."""
        heapq.heappush(self._heap, Timer(when, node.position, _DUE, _NO_ATTEMPT))

    def set_for_run(self, when: datetime) -> None:
        """The run itself has had its time then."""
        heapq.heappush(self._heap, Timer(when, _RUN, _NO_INDEX, _NO_ATTEMPT))

    @property
    def next(self) -> datetime | None:
        """When the first one is due."""
        return self._heap[0].when if self._heap else None

    @property
    def of_tasks(self) -> bool:
        """Whether any of them is about a task."""
        return any(not timer.of_run for timer in self._heap)

    def due(self, now: datetime) -> Iterator[Timer]:
        """Those that are due, one after the other; they are gone then."""
        while self._heap and self._heap[0].when <= now:
            yield heapq.heappop(self._heap)
