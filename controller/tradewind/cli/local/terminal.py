"""Settings of the terminal while a table is redrawn in it."""

import contextlib
import os
import sys
import termios
from typing import Any

_LOCAL_FLAGS = 3
"""Index of the local modes in the attributes of a terminal."""


class ControlEcho:
    """Turns off the echo of Ctrl-C as ^C, which moves the cursor: the table would then be drawn one line too low."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None

    def off(self) -> None:
        """Turn off the echo of control characters, if this process may change the terminal."""
        with contextlib.suppress(OSError, ValueError, AttributeError, termios.error):
            number = sys.stdin.fileno()
            # A background process that changes its terminal is stopped.
            if os.isatty(number) and os.tcgetpgrp(number) == os.getpgrp():
                before = termios.tcgetattr(number)
                changed = list(before)
                changed[_LOCAL_FLAGS] &= ~termios.ECHOCTL
                termios.tcsetattr(number, termios.TCSANOW, changed)
                self._before = before

    def restore(self) -> None:
        """Restore the settings."""
        with contextlib.suppress(OSError, ValueError, AttributeError, termios.error):
            number = sys.stdin.fileno()
            if self._before is not None and os.tcgetpgrp(number) == os.getpgrp():
                termios.tcsetattr(number, termios.TCSANOW, self._before)
        self._before = None
