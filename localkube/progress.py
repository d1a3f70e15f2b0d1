"""Progress lines: the step, its duration so far, its estimate.

Written to stderr so that scripts can use a command's stdout.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_HEARTBEAT_SECONDS = 30.0


class Progress:
    """Prints one line per step, each with the seconds since this object was created."""

    def __init__(self, *, stream: TextIO | None = None, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._start = time.monotonic()

    def say(self, message: str) -> None:
        """Print one line, unless quiet."""
        if not self._quiet:
            elapsed = time.monotonic() - self._start
            print(f"[{elapsed:6.1f}s] {message}", file=self._stream or sys.stderr, flush=True)

    @contextmanager
    def long_step(self, what: str, *, estimate: str) -> Iterator[None]:
        """Announce a long step with its estimate, and repeat that it still runs every 30 s."""
        self.say(f"{what}: {estimate}")
        begun = time.monotonic()
        ended = threading.Event()

        def heartbeat() -> None:
            while not ended.wait(_HEARTBEAT_SECONDS):
                self.say(f"{what}: {time.monotonic() - begun:.0f} s so far ({estimate})")

        thread = threading.Thread(target=heartbeat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
        self.say(f"{what}: done in {time.monotonic() - begun:.1f} s")
