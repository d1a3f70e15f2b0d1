"""Limits of the kernel that are too low for several clusters on one machine."""

import contextlib
from pathlib import Path

from localkube.progress import Progress

_INOTIFY_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
ENOUGH_INOTIFY_INSTANCES = 1024
"""A cluster takes some twenty; where the limit is 128, as is common, a kubelet of the sixth one dies of "too many open
files"."""


def raise_limits(progress: Progress) -> None:
    """Raise what is too low, until the machine starts anew; nothing happens where that is not allowed."""
    with contextlib.suppress(OSError):
        now = int(_INOTIFY_INSTANCES.read_text())
        if now < ENOUGH_INOTIFY_INSTANCES:
            _INOTIFY_INSTANCES.write_text(f"{ENOUGH_INOTIFY_INSTANCES}\n")
            progress.say(f"raised fs.inotify.max_user_instances from {now} to {ENOUGH_INOTIFY_INSTANCES}")
