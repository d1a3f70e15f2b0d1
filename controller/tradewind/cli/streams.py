"""Standard streams as they may be: on a full disk, closed, read by nobody, or in an encoding with few characters.

None of that ends in a traceback. What cannot be written is said once, in one line; what nobody reads ends the command
without a word, as it ends every program of a pipeline.
"""

import contextlib
import errno
import io
import os
import sys
from typing import IO, Any

from tradewind.cli.errors import CliError


class OutputError(CliError):
    """Stdout cannot be written any more; what is written to it from now on is lost."""


class NobodyReadsError(OutputError):
    """As OutputError, because who was to read it has ended: no failure of ours, and nothing to say."""

    exit_code = 141  # what a shell says of a program that was ended by SIGPIPE

    def show(self, file: IO[Any] | None = None) -> None:
        """Nothing."""


class _Stream(io.TextIOWrapper):
    """A standard stream that goes to nowhere once it cannot be written."""

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
        """What is buffered is written to nowhere, or else each later flush would fail again, the last one too."""
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
        self.lost(error)

    def lost(self, error: OSError) -> None:
        """Called once, when it cannot be written any more."""


class _Output(_Stream):
    def lost(self, error: OSError) -> None:
        if error.errno == errno.EPIPE:
            raise NobodyReadsError("nobody reads the output any more") from error
        raise OutputError(f"cannot write to stdout: {(error.strerror or str(error)).lower()}") from error


def settle() -> None:
    """Make stdin, stdout and stderr of this process such streams."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdin = sys.stdin or open(0)  # noqa: SIM115 - it stays open
    sys.stdout = _wrapped(_Output, sys.stdout, 1)
    sys.stderr = _wrapped(_Stream, sys.stderr, 2)


def flush() -> None:
    """Write what is left. Raises OutputError."""
    sys.stdout.flush()
    sys.stderr.flush()


def _wrapped(kind: type[_Stream], stream: Any, number: int) -> Any:
    buffer = getattr(stream, "buffer", None) or open(number, "wb")  # noqa: SIM115 - it stays open
    # An ASCII locale says nothing of the terminal; in any other what it lacks becomes a question mark.
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if encoding.lower().replace("-", "") in ("ascii", "usascii", "ansix3.41968", "646"):
        encoding = "utf-8"
    return kind(buffer, encoding=encoding, errors="replace", line_buffering=number == 2 or os.isatty(number))
