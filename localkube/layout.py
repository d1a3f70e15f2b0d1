"""The files in a cluster's folder, and the record of the cluster among them."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from localkube import files, paths
from localkube.errors import LocalkubeError
from localkube.network import Network

Profile = Literal["real", "kwok"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
Engine = Literal["native", "kind"]


@dataclass(frozen=True)
class Record:
    """The data to find a cluster's parts again; written before any of them is created."""

    profile: Profile
    engine: Engine
    network: Network


@dataclass(frozen=True)
class Layout:
    """The paths in the folder of one cluster."""

    name: str

    @property
    def folder(self) -> Path:
        return paths.cluster_folder(self.name)

    @property
    def audit_log(self) -> Path:
        """The requests of service accounts to the API server, an event on each line."""
        return self.folder / "audit.log"

    @property
    def kubeconfig(self) -> Path:
        """Of the cluster's administrator."""
        return self.folder / "kubeconfig"

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def volumes(self) -> Path:
        """The data of PersistentVolumes."""
        return self.folder / "volumes"

    @property
    def containerd_state(self) -> Path:
        return self.folder / "containerd" / "state"

    @property
    def containerd_socket(self) -> Path:
        return self.folder / "containerd" / "containerd.sock"

    def log(self, component: str) -> Path:
        """A component's log file."""
        return self.folder / "logs" / f"{component}.log"

    def pid_file(self, component: str) -> Path:
        """The record of a component's process."""
        return self.folder / "pids" / component

    def component_kubeconfig(self, component: str) -> Path:
        """The kubeconfig that a component uses."""
        return self.config / f"{component}.kubeconfig"

    def read(self) -> Record | None:
        """The cluster's record, or None if there is no such cluster."""
        try:
            stored = json.loads((self.folder / "cluster.json").read_text())
        except FileNotFoundError:
            return None
        return Record(stored["profile"], stored["engine"], Network(**stored["network"]))

    def write(self, record: Record) -> None:
        """Store the cluster's record."""
        files.write(self.folder / "cluster.json", json.dumps(asdict(record), indent=2))

    @property
    def complete(self) -> bool:
        """True if `up` has completed; otherwise the cluster is broken."""
        return (self.folder / "complete").exists()

    def mark_complete(self) -> None:
        """Record that `up` has completed."""
        (self.folder / "complete").touch()

    def delete(self) -> None:
        """Delete the folder; nothing may still be mounted in it."""
        if not self.folder.exists():
            return
        try:
            shutil.rmtree(self.folder)
        except OSError as error:
            raise LocalkubeError(f"cannot delete {self.folder}: {error}") from error


def existing() -> dict[str, Record]:
    """All clusters of this user that have a folder."""
    found: dict[str, Record] = {}
    if paths.home_folder().exists():
        for file in paths.home_folder().glob("*/cluster.json"):
            record = Layout(file.parent.name).read()
            if record is not None:
                found[file.parent.name] = record
    return found
