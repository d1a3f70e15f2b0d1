"""The folder in which a task's process starts, with the volume mounts of its Pod as folders of this machine."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from tradewind.api.names import TASK_CONTAINER
from tradewind.api.resolve import ResolvedDag, ResolvedTask
from tradewind.cli.local.environment import LocalRunError
from tradewind.cli.local.folder import RunFolder
from tradewind.engine.run.tries import TryKey

DEFAULT_GRACE = timedelta(seconds=30)
"""Kubernetes' default of terminationGracePeriodSeconds."""
LONGEST_GRACE = timedelta(days=365)
"""Limit for numbers that datetime cannot add to a time."""


@dataclass(frozen=True, slots=True)
class Place:
    """The folder in which a try starts, with a note for the user if it differs from the Pod's."""

    directory: Path
    note: str | None = None


def place_of(dag: ResolvedDag, task: ResolvedTask, key: TryKey, folder: RunFolder, here: Path | None) -> Place:
    """Create and return the folder in which a try starts. An empty folder, or `here`, replaces the folders of the
    image, which is not used.

    Raises LocalRunError for a working directory in a volume that a local run does not support, OSError for a folder
    that cannot be created.
    """
    if task.working_dir is None:
        return Place(here or _create(folder.work(key)))
    directory = PurePosixPath(task.working_dir)
    mounts = [mount for mount in _mounts(dag, task) if directory.is_relative_to(mount.get("mountPath", ""))]
    if not mounts:
        instead = here or "an empty folder"
        note = f"workingDir {directory} is a folder of the image: tasks start in {instead} instead"
        return Place(here or _create(folder.work(key)), note)
    mount = max(mounts, key=lambda mount: len(PurePosixPath(mount["mountPath"]).parts))
    root = _folder_of(_volume(dag, task, str(mount.get("name"))), task, key, folder)
    path = root / str(mount.get("subPath") or "").lstrip("/") / directory.relative_to(mount["mountPath"])
    if not path.resolve().is_relative_to(root.resolve()):
        raise LocalRunError(f"workingDir {directory} leads out of its volume")
    return Place(_create(path))


def _create(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path.absolute()


def grace_of(dag: ResolvedDag, task: ResolvedTask) -> timedelta:
    """Return the time that a process may take to stop after SIGTERM."""
    for template in (task.pod_template, dag.pod_template):
        seconds = (template.get("spec") or {}).get("terminationGracePeriodSeconds")
        if isinstance(seconds, int | float):
            return timedelta(seconds=max(0, min(seconds, LONGEST_GRACE // timedelta(seconds=1))))
    return DEFAULT_GRACE


def _folder_of(volume: Mapping[str, Any], task: ResolvedTask, key: TryKey, folder: RunFolder) -> Path:
    name = str(volume.get("name"))
    claim = volume.get("persistentVolumeClaim")
    if isinstance(claim, Mapping) and claim.get("claimName"):
        return folder.volume(_plain(str(claim["claimName"]))).absolute()
    if "emptyDir" in volume:
        return folder.scratch(key, _plain(name)).absolute()
    kind = next((key for key in volume if key != "name"), "unknown")
    raise LocalRunError(
        f"workingDir {task.working_dir} is in the {kind} volume {name!r}: a local run supports only "
        "persistentVolumeClaim and emptyDir volumes"
    )


def _plain(name: str) -> str:
    """Return a name of an object as the name of a folder. Raises LocalRunError for an invalid name."""
    if "/" in name or "\0" in name or name in (".", ".."):
        raise LocalRunError(f"{name!r} is not a valid name of a volume or claim")
    return name


def _mounts(dag: ResolvedDag, task: ResolvedTask) -> list[Mapping[str, Any]]:
    """Return the volume mounts of the task's container; the task's override the Dag's at the same path."""
    merged: dict[str, Mapping[str, Any]] = {}
    for template in (dag.pod_template, task.pod_template):
        for container in _list(template, "containers"):
            if container.get("name") == TASK_CONTAINER:
                for mount in container.get("volumeMounts") or ():
                    merged[str(mount.get("mountPath"))] = mount
    return list(merged.values())


def _volume(dag: ResolvedDag, task: ResolvedTask, name: str) -> Mapping[str, Any]:
    for template in (task.pod_template, dag.pod_template):
        for volume in _list(template, "volumes"):
            if volume.get("name") == name:
                return volume
    raise LocalRunError(f"podTemplate mounts volume {name!r}, which is not in its volumes")


def _list(template: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    yield from (template.get("spec") or {}).get(key) or ()
