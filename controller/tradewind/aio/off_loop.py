"""Checks of what users write, which may take long, such that the event loop goes on meanwhile.

A little is done at once. What turns out to be more is begun anew in a thread: Python's threads take turns every 5 ms,
and few of them leave the loop its share however much there is to check. Namespaces take turns in those.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tradewind.aio.turns import Turns
from tradewind.api.validation.work import MAX_BLOCKING_WORK, TooMuchWork, Work

T = TypeVar("T")

_AT_ONCE = 2
_THREADS = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="check")
_TURNS = Turns(lambda: _AT_ONCE)


async def off_loop(namespace: str, check: Callable[[Work | None], T]) -> T:
    """The result of `check` of an object there, which raises TooMuchWork where the work that it is given does not
    suffice."""
    try:
        return check(Work(MAX_BLOCKING_WORK))
    except TooMuchWork:
        return await in_thread(namespace, lambda: check(None))


async def in_thread(namespace: str, work: Callable[[], T]) -> T:
    """The result of what is known to take long."""
    async with _TURNS.take((namespace,)):
        return await asyncio.get_running_loop().run_in_executor(_THREADS, work)
