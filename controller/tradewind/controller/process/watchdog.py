"""Watches the event loop that works from another thread: how long what is ready has to wait there, and for what.

What holds a loop is one callback, nearly always work on one object. Which one is told by `working_on`; where nothing is
marked, by the task's name and the place in the code.
"""

import asyncio
import logging
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from tradewind.controller.metrics.instrumentation import Metrics
from tradewind.kube.working_on import current, take_slowest, working_on

log = logging.getLogger(__name__)

TICK = 0.1
STALL = 0.1
"""Seconds of delay from which on a log line says what it was for."""
LONG_STALL = 1.0
"""Seconds from which on that is a warning, which comes while it lasts, and a metric."""
TELL_EVERY = 5.0
"""Seconds between two lines about stalls that were short."""
_PACKAGE = str(Path(__file__).parents[1])


class Watchdog:
    """`run()` it on another loop than the one that it is made on, which it watches."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._answered = 0.0
        self._told = float("-inf")
        self._seen: tuple[working_on | None, str] = None, ""

    async def run(self) -> None:
        """Ask every tick for a turn of the loop, and wait until it comes; until there is no such loop any more."""
        due = time.monotonic() + TICK
        while True:
            await asyncio.sleep(due - time.monotonic())
            asked = time.monotonic()
            # Code that keeps the interpreter to itself holds this thread up as well.
            late = asked - due
            self._seen = (self._look() if late >= STALL else None) or (None, "")
            try:
                self._loop.call_soon_threadsafe(self._answer)
            except RuntimeError:
                return
            delay = max(await self._wait_for_answer(asked), late)
            self._metrics.loop_delay.observe(delay)
            slowest = take_slowest(self._thread)
            if delay >= STALL:
                self._tell(delay, slowest)
            due = max(due + TICK, time.monotonic())

    def busy_with(self) -> str:
        """What the loop is at, as far as that can be seen; empty if it is at nothing. From any thread."""
        return _told(*self._look() or self._seen)

    def _answer(self) -> None:
        self._answered = time.monotonic()

    async def _wait_for_answer(self, asked: float) -> float:
        """Seconds until the loop had a turn."""
        pause = TICK / 10
        while True:
            await asyncio.sleep(pause)
            if self._answered >= asked:
                return self._answered - asked
            self._seen, waited = self._look() or self._seen, time.monotonic() - asked
            if waited >= LONG_STALL:
                self._metrics.show_stall(self._seen[0], waited)
                if pause < TICK:
                    pause = TICK
                    log.warning("the event loop has been held for %.1f s, and still is: %s", waited, _told(*self._seen))

    def _look(self) -> tuple[working_on | None, str] | None:
        """What the loop is at; None if that is nothing of ours."""
        work, task = current(self._thread), asyncio.current_task(self._loop)
        place = _place(sys._current_frames().get(self._thread))
        where = ", ".join(filter(None, [task.get_name() if task is not None else "", place]))
        return (work, where) if work is not None or where else None

    def _tell(self, delay: float, slowest: working_on | None) -> None:
        now, (seen, where) = time.monotonic(), self._seen
        what = _told(slowest or seen, where)
        if delay >= LONG_STALL:
            self._metrics.show_stall(slowest or seen, delay)
            log.warning("the event loop was held for %.1f s: %s", delay, what)
        elif now - self._told >= TELL_EVERY:
            self._told = now
            log.info("the event loop was held for %.0f ms: %s", delay * 1000, what)


def _told(what: working_on | None, where: str) -> str:
    if what is None:
        return where or "not known by what"
    return f"{what} ({where})" if where else str(what)


def _place(frame: FrameType | None) -> str:
    """The innermost line of our own that a thread is at."""
    while frame is not None:
        code = frame.f_code
        if code.co_filename.endswith("asyncio/runners.py"):
            return ""  # beyond it there is only who runs the loop
        if code.co_filename.startswith(_PACKAGE):
            return f"{code.co_filename.removeprefix(_PACKAGE).lstrip('/')}:{frame.f_lineno} {code.co_name}"
        frame = frame.f_back
    return ""
