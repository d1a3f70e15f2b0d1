"""What a thread is working on right now: an object, by its kind and name.

Whatever holds an event loop for long is work on one object. Another thread, which watches that loop, can name it:

    with working_on("DagRun", key):
        state = understand(found)          # no await in here: others would work under this name

It costs less than a microsecond, changes nothing, and says nothing of what is done in other threads.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType

from tradewind.kube.objects import Key

SLOW = 0.1
"""Seconds from which on work that is over is remembered, until somebody asks."""

_current: dict[int, working_on] = {}
"""The innermost work of each thread, by its identifier."""
_slowest: dict[int, tuple[float, working_on]] = {}


class working_on:  # noqa: N801 - a context manager that reads as a phrase
    """Mark the work that is done within as being on an object; `key` is its namespace and name."""

    __slots__ = ("_began", "_outer", "_over", "_thread", "_within", "key", "kind")

    def __init__(self, kind: str, key: Key) -> None:
        self.kind, self.key = kind, key

    def __enter__(self) -> None:
        self._thread, self._over, self._within = threading.get_ident(), False, 0.0
        self._outer: working_on | None = _current.get(self._thread)
        self._began = time.monotonic()
        _current[self._thread] = self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        took = time.monotonic() - self._began
        own = took - self._within
        if self._outer is not None:
            self._outer._within += took
        if own >= SLOW and own > _slowest.get(self._thread, (0.0,))[0]:
            _slowest[self._thread] = own, self
        self._over = True
        if _current.get(self._thread) is not self:
            return  # there was an await in it after all, and what came in between goes on
        left = self._outer
        while left is not None and left._over:
            left = left._outer
        if left is None:
            del _current[self._thread]
        else:
            _current[self._thread] = left

    def __str__(self) -> str:
        namespace, name = self.key
        return f"{self.kind} {namespace}/{name}" if namespace else f"{self.kind} {name}"


def current(thread: int) -> working_on | None:
    """What a thread is working on now."""
    return _current.get(thread)


def take_slowest(thread: int) -> working_on | None:
    """What took a thread longest, of the slow work that is over since this was last asked."""
    found = _slowest.pop(thread, None)
    return found[1] if found is not None else None
