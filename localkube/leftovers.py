"""Remains of a node in the kernel: cgroups, the processes in them, and mounts.

All of a cluster's processes (the components, containerd's shims, the Pods'
containers) live below the cgroup `/localkube/NAME`, and all of its mounts
below the cluster's folder; so both can be found and removed without a
record, however the cluster was stopped.
"""

import contextlib
import ctypes
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from localkube import processes
from localkube.errors import LocalkubeError

_PARENT = "localkube"
_MNT_DETACH = 2


@dataclass(frozen=True)
class _Mount:
    point: Path
    kind: str
    options: frozenset[str]


class CgroupTree:
    """The cgroup `/localkube/NAME` in every hierarchy of this machine, v1 or v2."""

    def __init__(self, name: str) -> None:
        self.path = f"/{_PARENT}/{name}"

    def create(self) -> None:
        """Create it in each hierarchy, with a leaf for the components.

        On a machine with both, runc uses v2's hierarchy beside v1's.
        """
        for hierarchy in _hierarchies():
            root = hierarchy.point / _PARENT
            root.mkdir(exist_ok=True)
            _inherit_cpuset(root)
            folder = hierarchy.point / self.path[1:]
            folder.mkdir(exist_ok=True)
            _inherit_cpuset(folder)
        self.components.mkdir(exist_ok=True)

    @property
    def components(self) -> Path:
        """The cgroup of the components' processes (of v1's hierarchies, only in `pids`)."""
        return _tracking_hierarchy().point / self.path[1:] / "components"

    def processes(self) -> list[processes.Process]:
        """All processes anywhere below it."""
        pids = {
            int(pid)
            for hierarchy in _hierarchies()
            for procs in (hierarchy.point / self.path[1:]).rglob("cgroup.procs")
            for pid in _read_lines(procs)
        }
        return [process for pid in sorted(pids) if (process := processes.identify(pid))]

    def remove(self, *, limit: float = 20.0) -> None:
        """Kill all processes below it, then remove it from each hierarchy."""
        end = time.monotonic() + limit
        while members := self.processes():
            processes.kill_all(members, limit=limit)
            if time.monotonic() > end:
                raise LocalkubeError(f"new processes keep appearing in cgroup {self.path}")
        for hierarchy in _hierarchies():
            folder = hierarchy.point / self.path[1:]
            for cgroup in [*sorted(_subfolders(folder), reverse=True), folder]:
                _remove_cgroup(cgroup, end)
            _remove_if_empty(folder.parent)


def unmount_below(folder: Path) -> None:
    """Unmount all that is mounted below a folder; raises LocalkubeError if something stays.

    Called before the folder is deleted: deleting through a mount that stayed
    would delete what is mounted.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for _ in range(20):
        mounts = _mounts_below(folder)
        if not mounts:
            return
        for point in sorted(mounts, key=lambda path: len(path.parts), reverse=True):
            libc.umount2(os.fsencode(point), _MNT_DETACH)
    raise LocalkubeError(f"cannot unmount {', '.join(map(str, _mounts_below(folder)[:5]))}")


def mounts_below(folder: Path) -> list[Path]:
    """The mount points below a folder."""
    return _mounts_below(folder)


def _mounts_below(folder: Path) -> list[Path]:
    return [mount.point for mount in _mounts() if folder in mount.point.parents]


def _mounts() -> Iterator[_Mount]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        fields = after.split(" ", 2)
        point = before.split()[4].encode().decode("unicode_escape")
        yield _Mount(Path(point), fields[0], frozenset(fields[2].split(",")))


def _hierarchies() -> list[_Mount]:
    return [mount for mount in _mounts() if mount.kind in ("cgroup", "cgroup2")]


def _tracking_hierarchy() -> _Mount:
    hierarchies = _hierarchies()
    if not hierarchies:
        raise LocalkubeError("no cgroup hierarchy is mounted on this machine (looked in /proc/self/mountinfo)")
    return next((mount for mount in hierarchies if "pids" in mount.options), hierarchies[0])


def _inherit_cpuset(folder: Path) -> None:
    """A v1 cpuset accepts no process before it has cpus and memory nodes."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        file, parent = folder / name, folder.parent / name
        if file.exists() and parent.exists() and not file.read_text().strip():
            file.write_text(parent.read_text())


def _subfolders(folder: Path) -> list[Path]:
    return [Path(path) for path, _, _ in os.walk(folder) if Path(path) != folder]


def _read_lines(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _remove_cgroup(folder: Path, end: float) -> None:
    while True:
        try:
            folder.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if time.monotonic() > end:
                raise LocalkubeError(f"cannot remove cgroup {folder}: {error.strerror}") from error
            time.sleep(0.02)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
