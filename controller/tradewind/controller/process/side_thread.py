"""A thread with an event loop of its own, for what must go on whatever the loop that works is doing.

It renews the Lease, answers probes, serves metrics, and watches that other loop.
"""

import asyncio
import contextlib
import faulthandler
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tradewind.controller.process.controller import ElectionHost
from tradewind.kube.client import KubeClient
from tradewind.kube.errors import KubeError
from tradewind.kube.lease import LeaderElection

T = TypeVar("T")

ARM_EVERY = 5.0
EXIT_AFTER = 120.0
"""Seconds without a turn of this thread after which the process prints where all threads are, and ends. Its Lease is
over long before: what does that is code that keeps the interpreter to itself, which leaves no other way."""
END_WITHIN = 4.0
"""Seconds for whatever is ended: a Lease is given back so that nobody has to wait for its end, and no longer than that
would take."""


class ThreadEnded(KubeError):  # noqa: N818 - it is an end, not an error
    """The side thread is no more: nobody renews the Lease."""


class SideThread:
    """`start()` it, `call` coroutines on it from another loop, `stop()` it."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._work, name="side", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self._started.wait()

    async def stop(self) -> None:
        """End it, and all that still goes on there."""
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._stop.set)
        await asyncio.to_thread(self._thread.join, END_WITHIN)

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the thread's loop to its end. Whoever is cancelled cancels it, and waits until it has ended,
        for END_WITHIN at most. ThreadEnded if the thread has ended before it."""
        here = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = here.create_future()
        tasks: list[asyncio.Task[T]] = []

        def begin() -> None:
            tasks.append(self._loop.create_task(work))
            tasks[0].add_done_callback(ended)

        def ended(task: asyncio.Task[T]) -> None:
            with contextlib.suppress(RuntimeError):  # nobody is there any more who could be told
                here.call_soon_threadsafe(_settle, outcome, task)

        try:
            self._loop.call_soon_threadsafe(begin)
        except RuntimeError as error:
            work.close()
            raise ThreadEnded("the side thread has ended") from error
        try:
            return await asyncio.shield(outcome)
        except asyncio.CancelledError:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(lambda: tasks[0].cancel())
            await asyncio.wait([outcome], timeout=END_WITHIN)
            raise
        finally:
            if outcome.done() and not outcome.cancelled():
                outcome.exception()  # it was cancelled before it failed: nobody asks any more

    def _work(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._stay())

    async def _stay(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._started.set()
        try:
            while not self._stop.is_set():
                faulthandler.dump_traceback_later(EXIT_AFTER, exit=True)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ARM_EVERY):
                        await self._stop.wait()
        finally:
            faulthandler.cancel_dump_traceback_later()


def _settle(outcome: asyncio.Future[T], task: asyncio.Task[T]) -> None:
    if outcome.done():
        return
    if task.cancelled():
        outcome.set_exception(ThreadEnded("the side thread has ended"))
    elif (error := task.exception()) is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(task.result())


class ElectionThread(ElectionHost):
    """On a thread of its own, with a client of its own: the loop that works may be busy, and its requests wait for each
    other, as long as they like. To be made on the loop that works."""

    def __init__(self, client: KubeClient, thread: SideThread) -> None:
        super().__init__(client)
        self._thread, self._working = thread, asyncio.get_running_loop()

    def tell(self, act: Callable[[], None]) -> None:
        """Called on the side thread; the loop that works gets to it when it can."""
        with contextlib.suppress(RuntimeError):  # it has ended, and its leadership with it: see `unfit`
            self._working.call_soon_threadsafe(act)

    async def run(self, election: LeaderElection) -> None:
        await self._thread.call(election.run())
