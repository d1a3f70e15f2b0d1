"""Background tasks of the leader. None of them fails unnoticed, and no object is given up because of an error."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from tradewind.kube.backoff import Backoff

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds before a failed task is retried."""


class Spawn(Protocol):
    """Start a background task."""

    def __call__(
        self, work: Coroutine[Any, Any, None], name: str, again: Callable[[], object] | None = None
    ) -> asyncio.Task[None]:
        """`again` requeues the work; it is called after a delay if the task fails unexpectedly."""
        ...


class OnFailure(Protocol):
    """Handle an unexpected error of the task with that name."""

    def __call__(self, name: str, error: BaseException, again: Callable[[], object] | None = None) -> None:
        """`again` is called after a delay."""
        ...


class Background:
    """The background tasks of one term, which are cancelled at its end."""

    def __init__(self, on_failure: Callable[[], None]) -> None:
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[None]] = set()
        self._failing: dict[str, Backoff] = {}
        self._cancelled = False

    def spawn(
        self, work: Coroutine[Any, Any, None], name: str, again: Callable[[], object] | None = None
    ) -> asyncio.Task[None]:
        """Start a background task; see Spawn."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._done(done, name, again))
        if self._cancelled:
            task.cancel()
        return task

    def failed(self, name: str, error: BaseException, again: Callable[[], object] | None = None) -> None:
        """Handle an unexpected error of the task with that name: it is logged and counted, and `again` is called after
        a delay, which grows with each consecutive failure."""
        self._on_failure()
        log.error("%s failed", name, exc_info=error)
        if again is not None:
            pause = self._failing.setdefault(name, Backoff(FIRST_PAUSE, LONGEST_PAUSE)).next()
            self.spawn(_after(pause, again), f"{name}, again")

    def cancel(self) -> None:
        """Cancel all tasks at the end of the term; later ones are cancelled at once."""
        self._cancelled = True
        for task in list(self._tasks):
            task.cancel()

    def _done(self, task: asyncio.Task[None], name: str, again: Callable[[], object] | None) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._failing.pop(name, None)
        else:
            self.failed(name, error, again)


async def _after(seconds: float, call: Callable[[], object]) -> None:
    await asyncio.sleep(seconds)
    call()
