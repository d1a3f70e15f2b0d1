"""File locks between local runs: a lock is released when its process exits, for whatever reason."""

import fcntl
import os
from pathlib import Path
from urllib.parse import quote

NO_LOCKS = -1
"""Returned instead of a descriptor if the file system has no locks: runs then do not wait for each other."""


def take(path: Path) -> int | None:
    """Lock a file, creating it if needed. Returns None if another process has locked it. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        return NO_LOCKS
    return descriptor


def release(descriptor: int) -> None:
    """Release a lock."""
    if descriptor != NO_LOCKS:
        os.close(descriptor)


class Slots:
    """The slots of a Dag's maxActiveRuns, shared by all processes that use a folder."""

    def __init__(self, folder: Path, namespace: str, dag: str, number: int) -> None:
        self._folder = folder / "locks"
        self._names = [quote(f"{namespace}.{dag}.{place}", safe="") for place in range(number)]

    def take(self) -> int | None:
        """Take a slot. Returns None if all are taken. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in self._names:
            descriptor = take(self._folder / name)
            if descriptor is not None:
                return descriptor
        return None
