"""What the leader does beside its loop. Nothing of it ends unnoticed, and no object is given up because of an error."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from tradewind.kube.backoff import Backoff

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds until what has failed is done again."""


class Spawn(Protocol):
    """Begin something beside the loop."""

    def __call__(
        self, work: Coroutine[Any, Any, None], name: str, again: Callable[[], object] | None = None
    ) -> asyncio.Task[None]:
        """`again` asks for it anew, and is called a while after an error that nobody has foreseen."""
        ...


class OnFailure(Protocol):
    """Take an error that nobody has foreseen, of something with that name."""

    def __call__(self, name: str, error: BaseException, again: Callable[[], object] | None = None) -> None:
        """`again` is called a while later."""
        ...


class Background:
    """The tasks of one term, which end with it."""

    def __init__(self, on_failure: Callable[[], None]) -> None:
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[None]] = set()
        self._failing: dict[str, Backoff] = {}
        self._over = False

    def spawn(
        self, work: Coroutine[Any, Any, None], name: str, again: Callable[[], object] | None = None
    ) -> asyncio.Task[None]:
        """Begin something; see Spawn."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._done(done, name, again))
        if self._over:
            task.cancel()
        return task

    def failed(self, name: str, error: BaseException, again: Callable[[], object] | None = None) -> None:
        """An error that nobody has foreseen, in something with that name: it is logged and counted, and `again` is
        called a while later, each time that it fails in succession after a longer one."""
        self._on_failure()
        log.error("%s failed", name, exc_info=error)
        if again is not None:
            pause = self._failing.setdefault(name, Backoff(FIRST_PAUSE, LONGEST_PAUSE)).next()
            self.spawn(_after(pause, again), f"{name}, again")

    def cancel(self) -> None:
        """The term is over: nothing goes on, and nothing begins any more."""
        self._over = True
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
