"""Standard streams that may be closed, on a full disk, without a reader, or in an encoding with few characters.

None of that causes a traceback. A stream that cannot be written is reported once, in one line. A pipe without a reader
makes the command exit silently, as it does for every program in a pipeline.
"""

import contextlib
import errno
import io
import os
import sys
from typing import IO, Any

from tradewind.cli.errors import CliError


class OutputError(CliError):
    """Stdout cannot be written any more; further output is lost."""


class ReaderExitedError(OutputError):
    """Stdout is a pipe whose reader exited: not a failure of the command, so nothing is reported."""

    exit_code = 141  # the exit code that a shell reports after SIGPIPE

    def show(self, file: IO[Any] | None = None) -> None:
        """Print nothing."""


class _Stream(io.TextIOWrapper):
    """A standard stream that is redirected to /dev/null once it cannot be written."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        """Redirect to /dev/null, since buffered text would make every later flush fail, including that at exit."""
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
        self.lost(error)

    def lost(self, error: OSError) -> None:
        """Called once, when the stream cannot be written any more."""


class _Output(_Stream):
    def lost(self, error: OSError) -> None:
        if error.errno == errno.EPIPE:
            raise ReaderExitedError("the reader of the output exited") from error
        raise OutputError(f"cannot write to stdout: {(error.strerror or str(error)).lower()}") from error


def wrap_standard_streams() -> None:
    """Replace stdin, stdout and stderr of this process by such streams."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor, which is this number
    sys.stdin = sys.stdin or open(0)  # noqa: SIM115 - it stays open
    sys.stdout = _wrapped(_Output, sys.stdout, 1)
    sys.stderr = _wrapped(_Stream, sys.stderr, 2)


def flush() -> None:
    """Flush stdout and stderr. Raises OutputError."""
    sys.stdout.flush()
    sys.stderr.flush()


def _wrapped(kind: type[_Stream], stream: Any, number: int) -> Any:
    buffer = getattr(stream, "buffer", None) or open(number, "wb")  # noqa: SIM115 - it stays open
    # An ASCII locale is usually just unset, so use UTF-8. In other encodings, missing characters become question marks.
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if encoding.lower().replace("-", "") in ("ascii", "usascii", "ansix3.41968", "646"):
        encoding = "utf-8"
    return kind(buffer, encoding=encoding, errors="replace", line_buffering=number == 2 or os.isatty(number))
