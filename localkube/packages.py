"""Install Debian packages that are missing, through the machine's own apt.

Serialised by a lock, because several clusters may start at once; apt's own
lock is waited for, because another user may be installing too.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from localkube import files, paths
from localkube.errors import LocalkubeError
from localkube.progress import Progress
from localkube.shell import run

_SEARCHED = ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/lib/cni")

# Each package with one program in it, whose presence means that it is installed.
NODE: Mapping[str, str] = {
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "ptp",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "iproute2": "ip",
    "busybox-static": "busybox",
}
BASE_IMAGE: Mapping[str, str] = {"debootstrap": "debootstrap"}
IMAGE_BUILD: Mapping[str, str] = {"buildah": "buildah"}


def find_program(name: str) -> Path | None:
    """A program's path, also in folders outside of a plain user's PATH."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *_SEARCHED]))
    return Path(found) if found else None


def program(name: str) -> Path:
    """A program's path; raises LocalkubeError if it is not installed."""
    found = find_program(name)
    if found is None:
        raise LocalkubeError(f"the program `{name}` is not installed")
    return found


def ensure(wanted: Mapping[str, str], progress: Progress) -> None:
    """Install those of the packages whose program is missing.

    Raises LocalkubeError if apt is missing or fails.
    """
    if all(find_program(name) for name in wanted.values()):
        return
    with files.locked(paths.cache_folder() / "apt.lock", limit=900):
        missing = [package for package, name in wanted.items() if not find_program(name)]
        if not missing:
            return
        if not find_program("apt-get"):
            raise LocalkubeError(f"install these first (apt-get is missing): {', '.join(missing)}")
        if os.geteuid() != 0:
            raise LocalkubeError(f"install these first (or run as root): apt-get install {' '.join(missing)}")
        with progress.long_step(f"installing {', '.join(missing)}", estimate="about 20 s, once"):
            _install(missing)


def _install(packages: list[str]) -> None:
    log = paths.cache_folder() / "logs" / "apt.log"
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    wait = ["-o", "DPkg::Lock::Timeout=600"]
    run(["apt-get", *wait, "update"], limit=300, env=env, log=log)
    run(
        ["apt-get", *wait, "install", "--yes", "--no-install-recommends", *packages],
        limit=900,
        env=env,
        log=log,
    )
