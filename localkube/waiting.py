"""Wait for something with a time limit, watching that its process does not die meanwhile."""

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
    ended, with the last lines of `log`.
    """
    end = time.monotonic() + limit
    while not condition():
        if process is not None and not process.alive():
            raise LocalkubeError(f"waiting for {what}: the process has ended{tail_of(log)}")
        if time.monotonic() > end:
            raise LocalkubeError(f"waited {limit:.0f} s in vain for {what}{tail_of(log)}")
        time.sleep(_INTERVAL_SECONDS)
