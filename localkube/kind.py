"""Clusters by `kind`, if a Docker engine can run them.

That is the better local cluster then: it is common elsewhere, and images can be pulled.
"""

import os
import subprocess
from pathlib import Path

from localkube import tools
from localkube.layout import Layout, Record
from localkube.network import Network
from localkube.progress import Progress
from localkube.shell import run

_LIMIT_SECONDS = 600.0


def is_preferred() -> bool:
    """True if `docker info` answers; `$LOCALKUBE_ENGINE` (native or kind) overrules it."""
    chosen = os.environ.get("LOCALKUBE_ENGINE")
    if chosen:
        return chosen == "kind"
    try:
        command = ["docker", "info"]
        return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def create(layout: Layout, progress: Progress) -> None:
    """Create a cluster and write its kubeconfig; raises LocalkubeError."""
    layout.write(Record("real", "kind", Network(0, private=False)))
    program = tools.ensure("kind", progress)
    with progress.long_step(f"kind creates cluster {layout.name}", estimate="1 to 3 min"):
        run(
            [program, "create", "cluster", "--name", layout.name, "--kubeconfig", layout.kubeconfig,
             "--wait", "180s"],
            limit=_LIMIT_SECONDS,
            log=layout.log("kind"),
        )  # fmt: skip


def exists(name: str) -> bool:
    """True if kind has a cluster with this name."""
    return name in run([tools.ensure("kind"), "get", "clusters"], limit=60).split()


def load(name: str, archive: Path, progress: Progress) -> None:
    """Import an image archive into the cluster's node."""
    run([tools.ensure("kind", progress), "load", "image-archive", archive, "--name", name], limit=300)


def delete(layout: Layout, progress: Progress) -> None:
    """Delete the cluster and its folder."""
    command = ["delete", "cluster", "--name", layout.name, "--kubeconfig", str(layout.kubeconfig)]
    run([tools.ensure("kind", progress), *command], limit=_LIMIT_SECONDS)
    layout.delete()
