"""The times at which a run must be requeued: the timers of its task instances, and its own.

A timer is never cancelled. When it fires, the current state decides what it means: most often nothing.
"""

import heapq
import math
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.task_node import TaskNode

_RUN = -1
"""Position of a timer of the run itself."""
_NO_INDEX = -1
_DUE = -2
"""Index of a timer of all resting instances that are due together."""
_MORE = -3
"""Index of the timer of instances of a task that waits, which there was no room for in a plan."""
_NO_ATTEMPT = (0, 0)


class Timer(NamedTuple):
    """A time, and its subject: the run, resting instances of a task, or one attempt of an instance."""

    when: datetime
    position: int
    place: int
    """Index of the instance, if the task is mapped."""
    attempt: tuple[int, int]

    @property
    def of_run(self) -> bool:
        """True if it is about the run as a whole."""
        return self.position == _RUN

    @property
    def of_resting(self) -> bool:
        """True if it is about resting instances of a mapped task."""
        return self.place == _DUE

    @property
    def of_more(self) -> bool:
        """True if it is about instances that have not started to wait for lack of room."""
        return self.place == _MORE


class Room:
    """The number of waits that one plan may start or finish, over all runs: a mapped task that waits may have thousands
    of instances."""

    def __init__(self, at_once: float = math.inf) -> None:
        self._at_once = self.left = at_once

    def renew(self) -> None:
        """Reset the room for the next plan."""
        self.left = self._at_once

    def take(self) -> bool:
        """Take the room of one wait. Return False if there is none left."""
        has_room = self.left >= 1
        self.left -= has_room
        return has_room


class Timers:
    """The timers of one run, the earliest first."""

    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._waits: list[Timer] = []
        """The timers of tasks that wait, which the room of a plan limits."""

    def set(self, when: datetime, instance: TaskInstance) -> None:
        """Set a timer for the current attempt of an instance."""
        index = _NO_INDEX if instance.index is None else instance.index
        heap = self._waits if instance.task.kind.waits else self._heap
        heapq.heappush(heap, Timer(when, instance.position, index, instance.attempt))

    def set_for_resting(self, when: datetime, node: TaskNode) -> None:
        """Set a timer for resting instances of a mapped task."""
        heapq.heappush(self._heap, Timer(when, node.position, _DUE, _NO_ATTEMPT))

    def set_for_more(self, when: datetime, node: TaskNode) -> None:
        """Set a timer for instances that have not started to wait: they start as soon as there is room."""
        heapq.heappush(self._waits, Timer(when, node.position, _MORE, _NO_ATTEMPT))

    def set_for_run(self, when: datetime) -> None:
        """Set the timer for runTimeout."""
        heapq.heappush(self._heap, Timer(when, _RUN, _NO_INDEX, _NO_ATTEMPT))

    @property
    def next(self) -> datetime | None:
        """When the first timer is due."""
        return min((heap[0].when for heap in (self._heap, self._waits) if heap), default=None)

    @property
    def of_tasks(self) -> bool:
        """True if any timer is about a task."""
        return bool(self._waits) or any(not timer.of_run for timer in self._heap)

    def due(self, now: datetime, room: Room) -> Iterator[Timer]:
        """Remove and yield the due timers in order; those of waits only while there is room."""
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
