"""Watches the controller's event loop from another thread: how long ready callbacks wait, and for which object.

A loop is held by one callback, nearly always working on one object. `working_on` names the object; without that, the
report has the name of the task and the line of code.
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
"""Delays of at least so many seconds are logged."""
LONG_STALL = 1.0
"""Delays of at least so many seconds are logged as a warning, while they last, and shown as a metric."""
REPORT_EVERY = 5.0
"""Seconds between two log lines about short stalls."""
_PACKAGE = str(Path(__file__).parents[1])


class Watchdog:
    """Watches the loop on which it is created; `run()` it on another one."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._answered = 0.0
        self._reported_at = float("-inf")
        self._seen: tuple[working_on | None, str] = None, ""

    async def run(self) -> None:
        """Schedule a callback on the loop every tick and measure its delay, until the loop is closed."""
        due = time.monotonic() + TICK
        while True:
            await asyncio.sleep(due - time.monotonic())
            asked = time.monotonic()
            # Code that does not release the interpreter delays this thread as well.
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
                self._report(delay, slowest)
            due = max(due + TICK, time.monotonic())

    def busy_with(self) -> str:
        """Describe what the loop is working on. Callable from any thread."""
        return _describe(*self._look() or self._seen)

    def _answer(self) -> None:
        self._answered = time.monotonic()

    async def _wait_for_answer(self, asked: float) -> float:
        """Return the seconds until the loop ran the callback."""
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
                    held_by = _describe(*self._seen)
                    log.warning("the event loop has been blocked for %.1f s, and still is, by %s", waited, held_by)

    def _look(self) -> tuple[working_on | None, str] | None:
        """Return the loop's current object and place in the code; None if it runs no code of ours."""
        work, task = current(self._thread), asyncio.current_task(self._loop)
        place = _place(sys._current_frames().get(self._thread))
        where = ", ".join(filter(None, [task.get_name() if task is not None else "", place]))
        return (work, where) if work is not None or where else None

    def _report(self, delay: float, slowest: working_on | None) -> None:
        now, (seen, where) = time.monotonic(), self._seen
        what = _describe(slowest or seen, where)
        if delay >= LONG_STALL:
            self._metrics.show_stall(slowest or seen, delay)
            log.warning("the event loop was blocked for %.1f s by %s", delay, what)
        elif now - self._reported_at >= REPORT_EVERY:
            self._reported_at = now
            log.info("the event loop was blocked for %.0f ms by %s", delay * 1000, what)


def _describe(what: working_on | None, where: str) -> str:
    if what is None:
        return where or "unknown work"
    return f"{what} ({where})" if where else str(what)


def _place(frame: FrameType | None) -> str:
    """Return the innermost line of our own code that a thread executes."""
    while frame is not None:
        code = frame.f_code
        if code.co_filename.endswith("asyncio/runners.py"):
            return ""  # the frames outside it only run the loop
        if code.co_filename.startswith(_PACKAGE):
            return f"{code.co_filename.removeprefix(_PACKAGE).lstrip('/')}:{frame.f_lineno} {code.co_name}"
        frame = frame.f_back
    return ""
