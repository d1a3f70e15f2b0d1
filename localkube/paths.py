"""Where localkube keeps its files: a cache shared by all clusters, a folder per cluster.

Both are outside the checkout. The cache holds results of slow builds that are safe
to delete (binaries, images); a cluster's folder holds everything of that cluster
and is deleted with it.
"""

import os
import re
from pathlib import Path

from localkube.errors import LocalkubeError

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


def cache_folder() -> Path:
    """`$LOCALKUBE_CACHE`, else `~/.cache/localkube`."""
    return Path(os.environ.get("LOCALKUBE_CACHE") or Path.home() / ".cache" / "localkube").resolve()


def home_folder() -> Path:
    """`$LOCALKUBE_HOME`, else `~/.local/state/localkube`; each cluster is a folder in it."""
    # Resolved, because mounts below it are looked for by the paths that the kernel shows.
    return Path(os.environ.get("LOCALKUBE_HOME") or Path.home() / ".local" / "state" / "localkube").resolve()


def cluster_folder(name: str) -> Path:
    """The folder of one cluster, whether or not it exists.

    Raises LocalkubeError if the name could not be a network namespace, a node
    name and a folder at once.
    """
    if not _NAME.fullmatch(name):
        raise LocalkubeError(
            f"cluster name {name!r}: use at most 32 of a-z, 0-9 and '-', with a letter or digit at both ends"
        )
    return home_folder() / name


def lock_file(name: str) -> Path:
    """The file whose lock serialises all operations on one cluster; it outlives the cluster."""
    return home_folder() / f".{name}.lock"
