"""Waits with a time limit: nothing in the bench may wait for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class TookTooLong(Exception):  # noqa: N818
    """Something did not come in time; the message says what."""


async def until(holds: Callable[[], Awaitable[T]], what: str, seconds: float, every: float = 0.05) -> T:
    """The first true value of `holds()`, asked again every so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        if value := await holds():
            return value
        if time.monotonic() > deadline:
            raise TookTooLong(f"waited {seconds:g} s in vain: {what}")
        await asyncio.sleep(every)
