"""Files that appear whole or not at all, and locks between processes."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from localkube.errors import LocalkubeError


@contextmanager
def locked(path: Path, *, limit: float) -> Iterator[None]:
    """Hold the exclusive lock of a file; the kernel releases it however this process exits.

    The holder may delete the file. Raises LocalkubeError if another
    process still holds it after `limit` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + limit
    while True:
        with path.open("a") as file:
            if _try_lock(file, path):
                yield
                return
        if time.monotonic() > end:
            raise LocalkubeError(f"another process has held {path} for {limit:.0f} s")
        time.sleep(0.1)


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`; rename it to `target` if the block succeeds.

    The block creates a file or a folder at this path.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    _remove(temporary)
    try:
        yield temporary
        temporary.replace(target)
    finally:
        _remove(temporary)


def write(path: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Write a whole file atomically, and create the folders above it."""
    with appearing(path) as temporary:
        temporary.touch(mode=mode)
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def _try_lock(file: TextIO, path: Path) -> bool:
    """True if this file is still the lock; one that its last holder has deleted is not."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
