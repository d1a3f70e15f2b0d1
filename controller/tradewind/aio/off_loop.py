"""Long checks of user input, without blocking the event loop.

A small check runs at once. One that turns out to be larger is restarted in a thread: Python's threads switch every 5
ms, so a few threads leave the loop its share however much there is to check. Namespaces take turns in them.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tradewind.aio.fair_queue import FairQueue
from tradewind.api.validation.work import MAX_BLOCKING_WORK, TooMuchWork, Work

T = TypeVar("T")

_AT_ONCE = 2
_THREADS = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="check")
_QUEUE = FairQueue(lambda: _AT_ONCE)


async def off_loop(namespace: str, check: Callable[[Work | None], T]) -> T:
    """Return the result of `check` of an object in that namespace. `check` raises TooMuchWork if its limit of work is
    exceeded."""
    try:
        return check(Work(MAX_BLOCKING_WORK))
    except TooMuchWork:
        return await in_thread(namespace, lambda: check(None))


async def in_thread(namespace: str, work: Callable[[], T]) -> T:
    """Return the result of work that is known to take long."""
    async with _QUEUE.acquire((namespace,)):
        return await asyncio.get_running_loop().run_in_executor(_THREADS, work)
