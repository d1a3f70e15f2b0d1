"""Waits with a time limit: nothing in the bench may wait forever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class TookTooLong(Exception):  # noqa: N818
    """A timeout; the message names the condition."""


async def until(holds: Callable[[], Awaitable[T]], what: str, seconds: float, every: float = 0.05) -> T:
    """Return the first true value of `holds()`, called at this interval in seconds."""
    deadline = time.monotonic() + seconds
    while True:
        if value := await holds():
            return value
        if time.monotonic() > deadline:
            raise TookTooLong(f"timed out after {seconds:g} s: {what}")
        await asyncio.sleep(every)
