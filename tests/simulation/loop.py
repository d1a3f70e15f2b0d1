"""An asyncio event loop in virtual time: when nothing is ready the clock jumps to the next timer.

One callback runs at a time, in an order that follows from nothing but the program and its seeds, so a run can be
repeated exactly. What runs belongs to an owner (a simulated process), which can be frozen: its callbacks then wait.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

OWNER: contextvars.ContextVar[Owner | None] = contextvars.ContextVar("OWNER", default=None)
"""Whose callback runs; tasks and timers inherit it from what makes them."""


class Owner:
    """One process: its tasks, and its callbacks while it is frozen."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tasks: dict[_Task, None] = {}
        self.frozen = False
        self.held: deque[asyncio.Handle] = deque()


class NothingToDo(Exception):  # noqa: N818
    """Deadlock: no callback is ready and no timer is set."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Run it with `run_until_complete`; `steps` counts the callbacks so far."""

    def __init__(self, now: float = 0.0) -> None:
        super().__init__()
        self.steps = 0
        self._now = now
        self._at_steps: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.set_task_factory(_make_task)  # type: ignore[arg-type]

    def time(self) -> float:
        return self._now

    def at_step(self, step: int, act: Callable[[], None]) -> None:
        """Do something between two callbacks, when so many have run: at any await of whoever waits then."""
        heapq.heappush(self._at_steps, (step, next(self._order), act))

    def thaw(self, owner: Owner) -> None:
        """Resume a frozen process: it handles missed events first."""
        owner.frozen = False
        self._ready.extendleft(reversed(owner.held))  # type: ignore[attr-defined]
        owner.held.clear()

    def _run_once(self) -> None:
        while self._at_steps and self._at_steps[0][0] <= self.steps:
            heapq.heappop(self._at_steps)[2]()
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not ready:
            if not scheduled:
                raise NothingToDo
            self._now = max(self._now, scheduled[0]._when)
        while scheduled and (scheduled[0]._when <= self._now or scheduled[0]._cancelled):
            timer = heapq.heappop(scheduled)
            timer._scheduled = False
            ready.append(timer)
        handle = ready.popleft()
        if handle._cancelled:
            return
        owner = handle._context.get(OWNER)
        if owner is not None and owner.frozen:
            owner.held.append(handle)
            return
        self.steps += 1
        handle._run()

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """There are no threads."""


_serial = itertools.count()


class _Task(asyncio.Task[Any]):
    """A task whose place in a set does not depend on its address."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._serial = next(_serial)
        super().__init__(*arguments, **options)

    def __hash__(self) -> int:
        return self._serial


def _make_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], context: contextvars.Context | None = None
) -> _Task:
    task = _Task(coroutine, loop=loop, context=context)
    owner = context.get(OWNER) if context is not None else OWNER.get()
    if owner is not None:
        owner.tasks[task] = None
        task.add_done_callback(owner.tasks.pop)
    return task
