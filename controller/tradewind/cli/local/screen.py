"""Writes the display of a run in a thread, so that neither a log of gigabytes nor a stalled reader blocks the
scheduler."""

import io
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tradewind.cli.local.folder import open_plain
from tradewind.cli.streams import OutputError, ReaderExitedError

_CHUNK = 1024 * 1024
_QUOTE = b"\n  \xe2\x94\x82 "
"""A bar before each line of a log."""
_ESCAPE = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[PX^_][^\x1b\n]*(?:\x1b\\)?|[ -/]*[0-~])?"
)
_COLOUR = re.compile(rb"\x1b\[[0-9;:]*m")
_MORE_CONTROLS = re.compile(rb"\xc2[\x80-\x9f]")
"""Control characters beyond ASCII, in UTF-8."""
_CONTROLS = bytes({*range(32), 127} - {*b"\t\n\x1b"})
_RESET = b"\x1b[0m"


class Screen(io.TextIOBase):
    """A text file for rich's Console, which writes to a stream."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._queue: SimpleQueue[str | Callable[[], Iterator[str]] | None] = SimpleQueue()
        self._lost: OutputError | None = None
        self._thread = threading.Thread(target=self._write_all, name="screen", daemon=True)
        self._thread.start()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return str(self._stream.encoding)

    def isatty(self) -> bool:
        return bool(self._stream.isatty())

    def fileno(self) -> int:
        return int(self._stream.fileno())

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._queue.put(text)
        return len(text)

    def write_log(self, title: str, log: Path, *, colours: bool) -> None:
        """Write a title and a log, with a bar before each line and without control sequences."""
        self._queue.put(lambda: quoted(title, log, colours=colours))

    @property
    def is_behind(self) -> bool:
        """True if some output is not written yet."""
        return not self._queue.empty()

    @property
    def lost(self) -> OutputError | None:
        """The error after which nothing more is written; None if there is none."""
        return self._lost

    @property
    def exit_code(self) -> int:
        """The exit code for the output: 0 if it is complete, or if its reader exited early."""
        return 0 if self._lost is None or isinstance(self._lost, ReaderExitedError) else self._lost.exit_code

    def finish(self) -> None:
        """Wait until all output is written."""
        self._queue.put(None)
        while self._thread.is_alive():
            self._thread.join(0.1)  # in steps, so that Ctrl-C is handled

    def _write_all(self) -> None:
        while (each := self._queue.get()) is not None:
            for text in (each,) if isinstance(each, str) else each():
                try:
                    self._stream.write(text)
                    if self._queue.empty():
                        self._stream.flush()
                except OutputError as error:
                    self._lost = error
        try:
            self._stream.flush()
        except OutputError as error:
            self._lost = error


def quoted(title: str, log: Path, *, colours: bool) -> Iterator[str]:
    """Yield a log with bars, a megabyte at a time."""
    yield title
    try:
        with open_plain(log) as file:
            # Each line is written with the line break before it.
            rest = b"\n"
            while chunk := file.read(_CHUNK):
                lines, end, last = (rest + chunk).rpartition(b"\n")
                if end and lines:
                    yield _clean(lines.removesuffix(b"\r"), colours)
                # A character or an escape sequence may span two chunks of a long line.
                rest = end + last
                if len(rest) > _CHUNK:
                    yield _clean(rest[:-64], colours)
                    rest = rest[-64:]
            if rest != b"\n":
                yield _clean(rest.removesuffix(b"\r"), colours)
    except OSError as error:
        yield f"\n  (its log cannot be read: {(error.strerror or str(error)).lower()})"
    yield (_RESET.decode() if colours else "") + "\n"


def _clean(text: bytes, colours: bool) -> str:
    """Return lines of a log with a bar before each, and without control sequences."""
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"\x1b" in text:
        text = _ESCAPE.sub(_colour_only if colours else b"", text)
    text = text.translate(None, _CONTROLS)
    if b"\xc2" in text:
        text = _MORE_CONTROLS.sub(b"", text)
    return text.replace(b"\n", _QUOTE).decode(errors="replace")


def _colour_only(found: re.Match[bytes]) -> bytes:
    return found[0] if _COLOUR.fullmatch(found[0]) else b""
