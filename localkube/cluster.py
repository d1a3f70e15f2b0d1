"""`Cluster`: a local Kubernetes cluster by name, for tests, scripts and the command line."""

import os
import signal
from pathlib import Path
from types import TracebackType

from localkube import files, images, kernel, kind, paths, python_image, storage
from localkube.errors import LocalkubeError
from localkube.layout import Layout, Profile, Record
from localkube.native import ComponentStatus, NativeCluster, sweep
from localkube.progress import Progress

# Someone else's `up` may be building Kubernetes.
_LOCK_LIMIT_SECONDS = 1800.0


class Cluster:
    """A cluster that exists, or will after `up()`.

    As a context manager it is up inside the block and taken down after it.
    All methods raise LocalkubeError.
    """

    def __init__(self, name: str = "tradewind", *, profile: Profile = "real", nodes: int = 1,
                 progress: Progress | None = None) -> None:  # fmt: skip
        """`nodes` counts the fake nodes of profile `kwok`; a real cluster has one."""
        self.name = name
        self.profile: Profile = profile
        self._nodes = nodes
        self._layout = Layout(name)
        self._progress = progress or Progress()
        paths.cluster_folder(name)

    def __enter__(self) -> "Cluster":
        try:
            self.up()
        except BaseException:
            if self._layout.read() is not None:
                self.down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, self-contained."""
        return self._layout.kubeconfig

    @property
    def folder(self) -> Path:
        """Everything of this cluster; `logs/COMPONENT.log` is in it."""
        return self._layout.folder

    @property
    def host_address(self) -> str:
        """This machine's address as Pods and the API server see it (for webhooks run by a test)."""
        record = self._record()
        if record.engine == "kind":
            raise LocalkubeError("a kind cluster does not know its host's address")
        return record.network.host_address

    @property
    def audit_log(self) -> Path:
        """The requests of service accounts to the API server, as audit events, one on each line."""
        return self._layout.audit_log

    @property
    def etcd_url(self) -> str:
        """The cluster's etcd, for tests that compact it; a real cluster's can only be reached from inside."""
        record = self._record()
        if record.engine == "kind" or record.network.private:
            raise LocalkubeError("the etcd of a real cluster cannot be reached from outside; use profile kwok")
        return f"http://127.0.0.1:{record.network.port('etcd')}"

    def up(self) -> None:
        """Start the cluster, unless it is running; the remains of a broken one are removed first."""
        with files.locked(paths.lock_file(self.name), limit=_LOCK_LIMIT_SECONDS):
            if self._is_up():
                self._progress.say(f"cluster {self.name} is up: KUBECONFIG={self.kubeconfig}")
                return
            if self.folder.exists():
                self._progress.say(f"removing the remains of a broken cluster {self.name}")
                self._remove()
            by_kind = self.profile == "real" and kind.is_preferred()
            if self.profile == "real" and not by_kind and os.geteuid() != 0:
                raise LocalkubeError(
                    f"cluster {self.name}: profile real runs containers, which needs root without a Docker "
                    "engine: run it as root, or start Docker, or use profile kwok (fake nodes, nothing is executed)"
                )
            self._progress.say(f"starting cluster {self.name} (profile {self.profile}, a few seconds)")
            kernel.raise_limits(self._progress)
            if by_kind:
                kind.create(self._layout, self._progress)
            else:
                NativeCluster.allot(self._layout, self.profile, self._progress).up(nodes=self._nodes)
            self._layout.mark_complete()
            self._progress.say(f"cluster {self.name} is ready: KUBECONFIG={self.kubeconfig}")

    def down(self, *, force: bool = False) -> None:
        """Remove the cluster and all its data; nothing happens if there is none.

        With `force` also objects with its name but without a folder in
        `$LOCALKUBE_HOME`: that may be a cluster of another home.
        """
        with files.locked(paths.lock_file(self.name), limit=_LOCK_LIMIT_SECONDS):
            if self.folder.exists() or force:
                self._remove()
                self._progress.say(f"cluster {self.name} is deleted")
            else:
                self._progress.say(f"no cluster named {self.name}")
            paths.lock_file(self.name).unlink(missing_ok=True)

    def status(self) -> list[ComponentStatus]:
        """The components and their state; empty without a cluster (or if it is kind's)."""
        record = self._layout.read()
        if record is None or record.engine == "kind":
            return []
        return NativeCluster(self._layout, record, self._progress).status()

    def nodes(self) -> dict[str, bool]:
        """The nodes' names, and whether each is Ready; empty if the API server does not answer."""
        return self._native().nodes()

    def kill_component(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a component; after SIGKILL, return once it has exited."""
        self._native().kill(name, number)

    def start_component(self, name: str) -> None:
        """Start a component that was stopped, and wait until it is healthy."""
        self._native().start(name)

    def load_image(self, archive: Path) -> None:
        """Import the image(s) of a tar archive, for Pods to use without pulling."""
        if self._record().engine == "kind":
            kind.load(self.name, archive, self._progress)
        else:
            images.load(archive, self._layout.containerd_socket)

    def ensure_python_image(self) -> None:
        """Load the Python base image, created first if necessary (about a minute, once)."""
        self.load_image(python_image.ensure(self._progress))

    def _native(self) -> NativeCluster:
        record = self._record()
        if record.engine == "kind":
            raise LocalkubeError("single components can be stopped only if localkube runs them itself")
        return NativeCluster(self._layout, record, self._progress)

    def _record(self) -> Record:
        record = self._layout.read()
        if record is None:
            raise LocalkubeError(f"no cluster named {self.name!r}; `up` creates it")
        return record

    def _is_up(self) -> bool:
        record = self._layout.read()
        if record is None or not self._layout.complete:
            return False
        if record.engine == "kind":
            return kind.exists(self.name)
        native = NativeCluster(self._layout, record, self._progress)
        if not native.running():
            return False
        if record.profile != self.profile:
            raise LocalkubeError(
                f"cluster {self.name} is up with profile {record.profile}, not {self.profile}: "
                "delete it first, or choose another name"
            )
        native.await_api()
        if storage.recycle(native.client, self._layout.volumes):
            self._progress.say("emptied the volumes that were released")
        return True

    def _remove(self) -> None:
        record = self._layout.read()
        if record is not None and record.engine == "kind":
            kind.delete(self._layout, self._progress)
        else:
            sweep(self._layout, record)
