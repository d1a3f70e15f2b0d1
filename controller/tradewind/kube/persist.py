"""The one retry loop: it repeats an attempt until it succeeds or is no longer needed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tradewind.kube.backoff import Backoff
from tradewind.kube.errors import KubeError, SteppedDown

T = TypeVar("T")

log = logging.getLogger(__name__)


async def keep_trying(
    attempt: Callable[[], Awaitable[T]],
    what: str,
    pause: Backoff | float,
    *,
    wanted: Callable[[], bool] = lambda: True,
    on_error: Callable[[KubeError], None] | None = None,
) -> T | None:
    """Await `attempt()` until it raises no KubeError; return its result.

    Each failure is logged as "cannot `what`: …" and passed to `on_error`. `pause` is in seconds; a Backoff is reset
    after a success. Returns None if it gives up: `wanted()` is false after a pause, or this process has stepped down,
    which is not logged. Other errors are raised.
    """
    while True:
        try:
            result = await attempt()
        except SteppedDown:
            return None
        except KubeError as error:
            log.warning("cannot %s: %s", what, error)
            if on_error is not None:
                on_error(error)
        else:
            if isinstance(pause, Backoff):
                pause.reset()
            return result
        await asyncio.sleep(pause.next() if isinstance(pause, Backoff) else pause)
        if not wanted():
            return None
