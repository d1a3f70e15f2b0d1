"""Limits the objects that Python's garbage collector scans, since everything waits while it does.

By default it scans all objects each time their number has grown by a quarter: 250 ms for 10,000 queued runs, measured.
Nearly all of those objects stay, and nothing large is in a cycle, so that the rest is freed without a scan. Therefore
objects that survive a full collection are frozen: the next one scans only the objects created since.
"""

import asyncio
import gc
from typing import Any

SCAN_ALL_EVERY = 24 * 3600.0
"""Seconds between scans of all objects, for the few frozen ones that have become garbage."""
_OLDEST = 2


async def freeze_survivors() -> None:
    """Freeze objects that survive a full collection, until cancelled."""
    gc.callbacks.append(_freeze_after_full)
    try:
        while True:
            gc.unfreeze()
            gc.collect()
            await asyncio.sleep(SCAN_ALL_EVERY)
    finally:
        gc.callbacks.remove(_freeze_after_full)


def _freeze_after_full(phase: str, info: dict[str, Any]) -> None:
    if phase == "stop" and info["generation"] == _OLDEST:
        gc.freeze()
