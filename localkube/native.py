"""A cluster of processes on this machine: start, inspect, break and delete it.

Profile `real` runs a kubelet with containerd in a network namespace of its own;
profile `kwok` runs no containers and needs no root.
"""

import contextlib
import os
import signal
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from localkube import (
    components,
    files,
    images,
    leftovers,
    network,
    packages,
    paths,
    processes,
    python_image,
    storage,
    tools,
    waiting,
)  # fmt: skip
from localkube.client import ApiError, Client, Json
from localkube.errors import LocalkubeError
from localkube.layout import Layout, Profile, Record, existing
from localkube.progress import Progress

_START_LIMIT_SECONDS = 90.0
# Of 107 bytes; components append suffixes of their own.
_LONGEST_SOCKET_PATH = 95
_CONTAINER_LOG_LINKS = Path("/var/log/containers")


@dataclass(frozen=True)
class ComponentStatus:
    """The state of a component."""

    name: str
    pid: int | None
    healthy: bool
    log: Path


class NativeCluster:
    """One cluster, whose record exists already."""

    def __init__(self, layout: Layout, record: Record, progress: Progress) -> None:
        self._layout = layout
        self._profile = record.profile
        self._network = record.network
        self._progress = progress

    @classmethod
    def allot(cls, layout: Layout, profile: Profile, progress: Progress) -> "NativeCluster":
        """Install and build what is needed, choose a network and write the record.

        Raises LocalkubeError if this machine or user cannot run such a cluster.
        """
        if profile == "real":
            _check_possible(layout)
            packages.ensure(packages.NODE, progress)
        else:
            tools.ensure("kwok", progress)
        tools.ensure("kube-apiserver", progress)
        with files.locked(paths.home_folder() / ".networks.lock", limit=60):
            taken = {other.network.number for other in existing().values()}
            allot = network.allot_private if profile == "real" else network.allot_ports
            record = Record(profile, "native", allot(taken))
            layout.write(record)
        return cls(layout, record, progress)

    @property
    def client(self) -> Client:
        """A client of the API server as administrator."""
        keys = components.Credentials.at(self._layout.pki)
        return Client(self._network.server, keys.authority.certificate, keys.administrator)

    def up(self, *, nodes: int) -> None:
        """Start everything and wait until Pods can be created; raises LocalkubeError."""
        components.write_configuration(self._layout, self._profile, self._network)
        if self._profile == "real":
            self._up_real()
        else:
            self._start_control_plane()
            self.start("kwok")
            self._create_fake_nodes(nodes)
        storage.create(self.client, self._layout.volumes)
        self._progress.say("waiting for the node and the default service account")
        self._await_usable("kubelet" if self._profile == "real" else "kwok")

    def start(self, name: str) -> None:
        """Start one component and wait until it is healthy; raises LocalkubeError."""
        self._launch(name)
        self._await_healthy(name)

    def kill(self, name: str, number: signal.Signals) -> None:
        """Send a signal to one component, and wait for its exit if that is SIGKILL."""
        process = processes.read(self._layout.pid_file(name))
        if name not in components.NAMES[self._profile] or process is None:
            raise LocalkubeError(f"cluster {self._layout.name} has no component {name!r}")
        process.signal(number)
        if number == signal.SIGKILL:
            processes.kill_all([process])

    def status(self) -> list[ComponentStatus]:
        """All components, running or not."""
        found = []
        for name in components.NAMES[self._profile]:
            process = processes.read(self._layout.pid_file(name))
            pid = process.pid if process and process.alive() else None
            healthy = pid is not None and self._is_healthy(name)
            found.append(ComponentStatus(name, pid, healthy, self._layout.log(name)))
        return found

    def nodes(self) -> dict[str, bool]:
        """The nodes' names, and True for those that are Ready and accept Pods."""
        try:
            nodes = self.client.get("/api/v1/nodes")["items"]
        except ApiError:
            return {}
        return {node["metadata"]["name"]: _is_ready(node) for node in nodes}

    def running(self) -> bool:
        """True if all components' processes run, healthy or not."""
        recorded = [processes.read(self._layout.pid_file(name)) for name in components.NAMES[self._profile]]
        return all(process is not None and process.alive() for process in recorded)

    def await_api(self) -> None:
        """Wait until the API server answers; raises LocalkubeError."""
        self._await_healthy("kube-apiserver")

    def _up_real(self) -> None:
        network.create(self._layout.name, self._network)
        leftovers.CgroupTree(self._layout.name).create()
        with ThreadPoolExecutor(max_workers=1) as beside:
            loading = beside.submit(self._start_runtime)
            self._start_control_plane()
            self._launch("kube-proxy")
            waiting.until(
                self._layout.containerd_socket.exists,
                "containerd's socket",
                limit=_START_LIMIT_SECONDS,
                log=self._layout.log("containerd"),
            )
            self._launch("kubelet")
            loading.result()
        for name in ("kubelet", "kube-proxy"):
            self._await_healthy(name)

    def _start_runtime(self) -> None:
        self.start("containerd")
        archives = [*images.small_images(self._progress), *python_image.cached()]
        for archive in archives:
            images.load(archive, self._layout.containerd_socket)
        self._progress.say(f"containerd runs and has {len(archives)} images")

    def _start_control_plane(self) -> None:
        self._launch("etcd")
        self._launch("kube-apiserver")
        self._await_healthy("etcd")
        self._await_healthy("kube-apiserver")
        self._progress.say(f"the API server answers at {self._network.server}")
        for name in ("kube-controller-manager", "kube-scheduler"):
            self._launch(name)

    def _launch(self, name: str) -> None:
        if name not in components.NAMES[self._profile]:
            raise LocalkubeError(f"cluster {self._layout.name} has no component {name!r}")
        before = processes.read(self._layout.pid_file(name))
        if before is not None and before.alive():
            raise LocalkubeError(f"{name} of cluster {self._layout.name} runs already, as process {before.pid}")
        words = components.command(name, self._layout, self._network, self._progress)
        private = self._network.private
        processes.start(
            [*network.enter(self._layout.name), *words] if private else words,
            pid_file=self._layout.pid_file(name),
            log=self._layout.log(name),
            cwd=self._layout.folder,
            cgroup=leftovers.CgroupTree(self._layout.name).components if private else None,
        )

    def _await_healthy(self, name: str) -> None:
        waiting.until(
            lambda: self._is_healthy(name),
            f"{name} to be healthy",
            limit=_START_LIMIT_SECONDS,
            log=self._layout.log(name),
            process=processes.read(self._layout.pid_file(name)),
        )

    def _is_healthy(self, name: str) -> bool:
        url = components.health_url(name, self._network)
        if url is not None:
            return self.client.healthy(url)
        return images.runtime_answers(self._layout.containerd_socket)

    def _create_fake_nodes(self, count: int) -> None:
        for number in range(count):
            self.client.create("/api/v1/nodes", _fake_node(f"{self._layout.name}-{number}"))

    def _await_usable(self, node_component: str) -> None:
        def usable() -> bool:
            try:
                self.client.get("/api/v1/namespaces/default/serviceaccounts/default")
            except ApiError:
                return False
            nodes = self.nodes()
            return bool(nodes) and all(nodes.values())

        log = self._layout.log(node_component)
        waiting.until(usable, "a node to be Ready", limit=_START_LIMIT_SECONDS, log=log)


def sweep(layout: Layout, record: Record | None) -> None:
    """Kill all processes of a cluster and remove all of its remains, however it was stopped.

    Uses only the record and names, so it works for a half-created or
    broken cluster too; raises LocalkubeError if something cannot be removed.
    """
    recorded = [processes.read(file) for file in (layout.folder / "pids").glob("*")]
    processes.kill_all(process for process in recorded if process is not None)
    if os.geteuid() == 0:
        leftovers.CgroupTree(layout.name).remove()
        _remove_shim_sockets(layout)
        leftovers.unmount_below(layout.folder)
        _remove_links(_CONTAINER_LOG_LINKS, layout.folder)
        private = record.network if record is not None and record.network.private else None
        if private is not None or network.exists(layout.name):
            network.remove(layout.name, private)
    layout.delete()


def _remove_shim_sockets(layout: Layout) -> None:
    """containerd's shims put their sockets in a folder that all of them share."""
    for file in layout.containerd_state.glob("io.containerd.runtime.v2.task/*/*/address"):
        with contextlib.suppress(OSError):
            Path(file.read_text().strip().removeprefix("unix://")).unlink()


def _remove_links(folder: Path, target: Path) -> None:
    """The kubelet links each container's log in a folder with a fixed name."""
    for link in folder.glob("*.log") if folder.exists() else ():
        if link.is_symlink() and target in link.readlink().parents:
            link.unlink()


def _check_possible(layout: Layout) -> None:
    name, socket = layout.name, layout.containerd_socket
    if os.geteuid() != 0:
        raise LocalkubeError("a cluster with real containers needs root; --profile kwok does not")
    if len(str(socket)) > _LONGEST_SOCKET_PATH:
        raise LocalkubeError(f"{socket} is too long a path for a socket: set $LOCALKUBE_HOME to a shorter one")
    if network.exists(name):
        raise LocalkubeError(
            f"there is a network namespace {network.namespace(name)} of a cluster without a folder in "
            f"{paths.home_folder()}; if it is not needed, `python -m localkube down --force --name {name}` removes it"
        )


def _is_ready(node: Json) -> bool:
    conditions: Iterable[Json] = node.get("status", {}).get("conditions", [])
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return ready and not node["spec"].get("taints")


def _fake_node(name: str) -> Json:
    resources = {"cpu": "10k", "memory": "100Ti", "ephemeral-storage": "100Ti", "pods": "100000"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "status": {"allocatable": resources, "capacity": resources},
    }
