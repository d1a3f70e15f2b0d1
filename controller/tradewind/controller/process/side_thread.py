"""A thread with its own event loop, for work that must continue while the controller's loop is busy.

It renews the Lease, answers probes, serves metrics, and watches the controller's loop.
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
"""Seconds without a turn of this thread after which the process prints the stacks of all threads and exits. Only code
that never releases the interpreter can cause that, and nothing else can stop it; the Lease has expired long before."""
END_WITHIN = 4.0
"""Seconds to wait for cancelled work. The Lease is released so that a standby need not wait until it expires; waiting
longer here would defeat that."""


class ThreadEnded(KubeError):  # noqa: N818 - it is an end, not an error
    """The side thread has exited: the Lease is not renewed any more."""


class SideThread:
    """A thread that runs coroutines for another event loop: `start()`, `call(…)`, `stop()`."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._work, name="side", daemon=True)

    def start(self) -> None:
        """Start the thread and wait until its loop runs."""
        self._thread.start()
        self._started.wait()

    async def stop(self) -> None:
        """Stop the thread and all work on it."""
        with contextlib.suppress(RuntimeError):  # the thread has exited already
            self._loop.call_soon_threadsafe(self._stop.set)
        await asyncio.to_thread(self._thread.join, END_WITHIN)

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the thread's loop and return its result. Cancelling the caller cancels the coroutine and
        waits for it, at most END_WITHIN. Raises ThreadEnded if the thread ends first."""
        here = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = here.create_future()
        tasks: list[asyncio.Task[T]] = []

        def start() -> None:
            tasks.append(self._loop.create_task(work))
            tasks[0].add_done_callback(done)

        def done(task: asyncio.Task[T]) -> None:
            with contextlib.suppress(RuntimeError):  # the caller's loop is closed
                here.call_soon_threadsafe(_copy_result, outcome, task)

        try:
            self._loop.call_soon_threadsafe(start)
        except RuntimeError as error:
            work.close()
            raise ThreadEnded("the side thread has exited") from error
        try:
            return await asyncio.shield(outcome)
        except asyncio.CancelledError:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(lambda: tasks[0].cancel())
            await asyncio.wait([outcome], timeout=END_WITHIN)
            raise
        finally:
            if outcome.done() and not outcome.cancelled():
                outcome.exception()  # mark it as retrieved: the caller was cancelled before the failure

    def _work(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._wait_for_stop())

    async def _wait_for_stop(self) -> None:
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


def _copy_result(outcome: asyncio.Future[T], task: asyncio.Task[T]) -> None:
    if outcome.done():
        return
    if task.cancelled():
        outcome.set_exception(ThreadEnded("the side thread has exited"))
    elif (error := task.exception()) is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(task.result())


class ElectionThread(ElectionHost):
    """Runs the election on the side thread, with its own client, independent of the controller's loop and requests.
    Create it on the controller's loop."""

    def __init__(self, client: KubeClient, thread: SideThread) -> None:
        super().__init__(client)
        self._thread, self._working = thread, asyncio.get_running_loop()

    def call_in_loop(self, act: Callable[[], None]) -> None:
        """Called on the side thread; runs `act` on the controller's loop."""
        with contextlib.suppress(RuntimeError):  # that loop is closed, and this process leads no more: see `unfit`
            self._working.call_soon_threadsafe(act)

    async def run(self, election: LeaderElection) -> None:
        await self._thread.call(election.run())
