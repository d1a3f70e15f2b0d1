"""Limits of the kernel that are too low for several clusters on one machine."""

import contextlib
from pathlib import Path

from localkube.progress import Progress

_INOTIFY_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
ENOUGH_INOTIFY_INSTANCES = 1024
"""A cluster takes some twenty; with the common limit of 128 the kubelet of the sixth one exits with "too many open
files"."""


def raise_limits(progress: Progress) -> None:
    """Raise limits that are too low, until the next boot; do nothing if that is not allowed."""
    with contextlib.suppress(OSError):
        now = int(_INOTIFY_INSTANCES.read_text())
        if now < ENOUGH_INOTIFY_INSTANCES:
            _INOTIFY_INSTANCES.write_text(f"{ENOUGH_INOTIFY_INSTANCES}\n")
            progress.say(f"raised fs.inotify.max_user_instances from {now} to {ENOUGH_INOTIFY_INSTANCES}")
