"""Wait for a condition with a time limit, and fail early if its process exits."""

import time
from collections.abc import Callable
from pathlib import Path

from localkube.errors import LocalkubeError
from localkube.processes import Process
from localkube.shell import tail_of

_INTERVAL_SECONDS = 0.1


def until(condition: Callable[[], bool], what: str, *, limit: float, log: Path, process: Process | None = None) -> None:
    """Return when `condition()` holds.

    Raises LocalkubeError after `limit` seconds, or at once if `process` has
    exited, with the last lines of `log`.
    """
    end = time.monotonic() + limit
    while not condition():
        if process is not None and not process.alive():
            raise LocalkubeError(f"waiting for {what}: the process has exited{tail_of(log)}")
        if time.monotonic() > end:
            raise LocalkubeError(f"timed out after {limit:.0f} s waiting for {what}{tail_of(log)}")
        time.sleep(_INTERVAL_SECONDS)
