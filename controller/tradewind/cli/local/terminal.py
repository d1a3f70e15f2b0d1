"""What a terminal does by itself, and may not do while a table is redrawn in it."""

import contextlib
import os
import sys
import termios
from typing import Any

_LOCAL_FLAGS = 3
"""Place of the local modes among the attributes of a terminal."""


class ControlEcho:
    """Ctrl-C is echoed as ^C, which moves the cursor: the table would be drawn one line too low from then on."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None

    def off(self) -> None:
        """Echo no control characters, where there is a terminal that this process may change."""
        with contextlib.suppress(OSError, ValueError, AttributeError, termios.error):
            number = sys.stdin.fileno()
            # In the background a process that changes its terminal is stopped.
            if os.isatty(number) and os.tcgetpgrp(number) == os.getpgrp():
                before = termios.tcgetattr(number)
                changed = list(before)
                changed[_LOCAL_FLAGS] &= ~termios.ECHOCTL
                termios.tcsetattr(number, termios.TCSANOW, changed)
                self._before = before

    def back(self) -> None:
        """As it was."""
        with contextlib.suppress(OSError, ValueError, AttributeError, termios.error):
            number = sys.stdin.fileno()
            if self._before is not None and os.tcgetpgrp(number) == os.getpgrp():
                termios.tcsetattr(number, termios.TCSANOW, self._before)
        self._before = None
