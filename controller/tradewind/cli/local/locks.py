"""What local runs tell each other by locked files: a lock goes with its process, however that ends."""

import fcntl
import os
from pathlib import Path
from urllib.parse import quote

NO_LOCKS = -1
"""Instead of a descriptor, where the file system has no locks: then nobody waits for anybody."""


def take(path: Path) -> int | None:
    """Lock a file, which is made if need be; None where another process has it. Raises OSError."""
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
    """Give a lock back."""
    if descriptor != NO_LOCKS:
        os.close(descriptor)


class Slots:
    """As many runs of a Dag at once as its maxActiveRuns says, over all processes that share a folder."""

    def __init__(self, folder: Path, namespace: str, dag: str, number: int) -> None:
        self._folder = folder / "locks"
        self._names = [quote(f"{namespace}.{dag}.{place}", safe="") for place in range(number)]

    def take(self) -> int | None:
        """A slot; None where all are taken. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in self._names:
            descriptor = take(self._folder / name)
            if descriptor is not None:
                return descriptor
        return None
