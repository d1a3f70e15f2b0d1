"""The Python base image (not made yet)."""

from pathlib import Path

from localkube.errors import LocalkubeError
from localkube.progress import Progress


def cached() -> list[Path]:
    """The archive, if it was made."""
    return []


def ensure(progress: Progress) -> Path:
    """The archive, made first."""
    raise LocalkubeError("not yet")
