"""When a run has to be looked at again though nothing happens: the timers of its task instances, and its own.

A timer is never taken back. When it fires, the state of what it was set for says what it means: most often nothing.
"""

import heapq
import math
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.task_node import TaskNode

_RUN = -1
"""Position of the timer of the run itself."""
_NO_INDEX = -1
_DUE = -2
"""Index of the timer of all resting instances that are due together."""
_MORE = -3
"""Index of the timer of instances of a task that waits, which there was no room for in a plan."""
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

    @property
    def of_more(self) -> bool:
        """Whether it is about instances that are still to begin to wait."""
        return self.place == _MORE


class Room:
    """For how many waits there is room in one plan, of all runs together: a mapped task that waits has thousands that
    begin or come due at once."""

    def __init__(self, at_once: float = math.inf) -> None:
        self._at_once = self.left = at_once

    def renew(self) -> None:
        """Another plan begins."""
        self.left = self._at_once

    def take(self) -> bool:
        """Whether there was room for one more."""
        there = self.left >= 1
        self.left -= there
        return there


class Timers:
    """Those of one run, the earliest first."""

    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._waits: list[Timer] = []
        """Those of tasks that wait, of which only so many are dealt with in one plan."""

    def set(self, when: datetime, instance: TaskInstance) -> None:
        """Look at the current attempt of an instance again at that time."""
        index = _NO_INDEX if instance.index is None else instance.index
        heap = self._waits if instance.task.kind.waits else self._heap
        heapq.heappush(heap, Timer(when, instance.position, index, instance.attempt))

    def set_for_resting(self, when: datetime, node: TaskNode) -> None:
        """Resting instances of a mapped task go on at that time."""
        heapq.heappush(self._heap, Timer(when, node.position, _DUE, _NO_ATTEMPT))

    def set_for_more(self, when: datetime, node: TaskNode) -> None:
        """Instances of a task that waits are still to begin: as soon as there is room."""
        heapq.heappush(self._waits, Timer(when, node.position, _MORE, _NO_ATTEMPT))

    def set_for_run(self, when: datetime) -> None:
        """The run itself has had its time then."""
        heapq.heappush(self._heap, Timer(when, _RUN, _NO_INDEX, _NO_ATTEMPT))

    @property
    def next(self) -> datetime | None:
        """When the first one is due."""
        return min((heap[0].when for heap in (self._heap, self._waits) if heap), default=None)

    @property
    def of_tasks(self) -> bool:
        """Whether any of them is about a task."""
        return bool(self._waits) or any(not timer.of_run for timer in self._heap)

    def due(self, now: datetime, room: Room) -> Iterator[Timer]:
        """Those that are due, one after the other, as far as there is room for waits; they are gone then."""
        while True:
            heaps = (self._heap, self._waits) if room.left >= 1 else (self._heap,)
            first = min((heap for heap in heaps if heap and heap[0].when <= now), default=None, key=_first)
            if first is None:
                return
            timer = heapq.heappop(first)
            if first is self._waits and not timer.of_more:
                room.take()
            yield timer


def _first(heap: list[Timer]) -> Timer:
    return heap[0]
