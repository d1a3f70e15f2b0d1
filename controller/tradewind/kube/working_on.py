"""The object that a thread is working on, by kind and name.

Work that blocks an event loop for long is work on one object. Another thread that watches the loop can name it:

    with working_on("DagRun", key):
        state = understand(found)          # no await here: other tasks would run under this name

It costs less than a microsecond, and does not affect other threads.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType

from tradewind.kube.objects import Key

SLOW = 0.1
"""Finished work that took at least this many seconds is remembered until it is read."""

_current: dict[int, working_on] = {}
"""The innermost work of each thread, by thread identifier."""
_slowest: dict[int, tuple[float, working_on]] = {}


class working_on:  # noqa: N801 - a context manager that reads as a phrase
    """Mark the work within as work on an object; `key` is its namespace and name."""

    __slots__ = ("_finished", "_outer", "_started", "_thread", "_within", "key", "kind")

    def __init__(self, kind: str, key: Key) -> None:
        self.kind, self.key = kind, key

    def __enter__(self) -> None:
        self._thread, self._finished, self._within = threading.get_ident(), False, 0.0
        self._outer: working_on | None = _current.get(self._thread)
        self._started = time.monotonic()
        _current[self._thread] = self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        took = time.monotonic() - self._started
        own = took - self._within
        if self._outer is not None:
            self._outer._within += took
        if own >= SLOW and own > _slowest.get(self._thread, (0.0,))[0]:
            _slowest[self._thread] = own, self
        self._finished = True
        if _current.get(self._thread) is not self:
            return  # an await let other work start in between, which continues
        left = self._outer
        while left is not None and left._finished:
            left = left._outer
        if left is None:
            del _current[self._thread]
        else:
            _current[self._thread] = left

    def __str__(self) -> str:
        namespace, name = self.key
        return f"{self.kind} {namespace}/{name}" if namespace else f"{self.kind} {name}"


def current(thread: int) -> working_on | None:
    """Return the current work of a thread."""
    return _current.get(thread)


def take_slowest(thread: int) -> working_on | None:
    """Return and reset the slowest finished work of a thread since the last call."""
    found = _slowest.pop(thread, None)
    return found[1] if found is not None else None
