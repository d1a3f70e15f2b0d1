"""A real cluster for tests, kubectl as a user runs it, and the official client as an independent observer.

`$TRADEWIND_TEST_KUBECONFIG` names a cluster to use. Without it localkube creates one for each test session, named
after the checkout and the worker of pytest-xdist so that they do not share one; `$TRADEWIND_TEST_KEEP=1` uses a
running one, and leaves it running.
"""

import hashlib
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kubernetes
import yaml

from localkube import Cluster, tools

REPOSITORY = Path(__file__).resolve().parent.parent
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
CLUSTER = "-".join(filter(None, ["test", hashlib.sha256(str(REPOSITORY).encode()).hexdigest()[:6], WORKER]))
GROUP, VERSION = "tradewind.dev", "v1alpha1"
KINDS = ("dags", "dagruns", "pools", "backfills")
Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RealCluster:
    """A running cluster. `local` is None for one that already existed."""

    kubeconfig: Path
    local: Cluster | None

    def load_image(self, archive: Path) -> None:
        """Make an image archive usable by Pods."""
        assert self.local is not None, "images can be loaded only into clusters of localkube"
        self.local.load_image(archive)


@contextmanager
def real_cluster() -> Iterator[RealCluster]:
    """The cluster to test on, with the CRDs of this checkout."""
    given = os.environ.get("TRADEWIND_TEST_KUBECONFIG")
    keep = os.environ.get("TRADEWIND_TEST_KEEP") == "1"
    local = None if given else Cluster(CLUSTER, profile="real")
    if local is not None:
        if not keep:
            local.down()
        local.up()
        local.ensure_python_image()
    cluster = RealCluster(Path(given) if given else local.kubeconfig, local)  # type: ignore[union-attr]
    try:
        apply_crds(cluster.kubeconfig)
        yield cluster
    finally:
        if local is not None and not keep:
            local.down()


def apply_crds(kubeconfig: Path) -> None:
    """Install the CRDs of this checkout; return once the API server serves them."""
    kubectl = Kubectl(kubeconfig)
    kubectl.run("apply", "--server-side", "--force-conflicts", "-f", str(REPOSITORY / "crds"))
    for kind in KINDS:
        eventually(lambda kind=kind: kubectl.attempt("get", kind).returncode == 0, f"{kind} are served", 60)


class Kubectl:
    """kubectl on one cluster, in one namespace."""

    def __init__(self, kubeconfig: Path, namespace: str = "default") -> None:
        self.kubeconfig = kubeconfig
        self._command = [str(tools.ensure("kubectl")), f"--kubeconfig={kubeconfig}", f"--namespace={namespace}"]

    def run(self, *words: str, stdin: str = "", timeout: float = 60) -> str:
        """Return its output. AssertionError with kubectl's own message when it fails."""
        done = self.attempt(*words, stdin=stdin, timeout=timeout)
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    def attempt(self, *words: str, stdin: str = "", timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run it, however it ends."""
        command = [*self._command, *words]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)

    def apply(self, *manifests: Manifest) -> None:
        """`kubectl apply` of objects."""
        self.run("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))


class Witness:
    """The official client. Custom resources are dicts, the others are its own models."""

    def __init__(self, kubeconfig: Path) -> None:
        api = kubernetes.config.new_client_from_config(str(kubeconfig))  # type: ignore[no-untyped-call]
        self.core: Any = kubernetes.client.CoreV1Api(api)
        self.apps: Any = kubernetes.client.AppsV1Api(api)
        self.leases: Any = kubernetes.client.CoordinationV1Api(api)
        self.admission: Any = kubernetes.client.AdmissionregistrationV1Api(api)
        self.extensions: Any = kubernetes.client.ApiextensionsV1Api(api)
        self.rbac: Any = kubernetes.client.RbacAuthorizationV1Api(api)
        self._custom: Any = kubernetes.client.CustomObjectsApi(api)

    def create(self, namespace: str, plural: str, body: Manifest, **options: Any) -> Manifest:
        """Make one of our objects."""
        made: Manifest = self._custom.create_namespaced_custom_object(
            GROUP, VERSION, namespace, plural, body, **options
        )
        return made

    def get(self, namespace: str, plural: str, name: str) -> Manifest:
        """One of our objects; ApiException where there is none."""
        found: Manifest = self._custom.get_namespaced_custom_object(GROUP, VERSION, namespace, plural, name)
        return found

    def list(self, namespace: str, plural: str, **selectors: str) -> list[Manifest]:
        """Our objects of one kind in a namespace."""
        found = self._custom.list_namespaced_custom_object(GROUP, VERSION, namespace, plural, **selectors)
        items: list[Manifest] = found["items"]
        return items

    def watch(self, namespace: str, plural: str, name: str, seconds: float) -> Iterator[Manifest]:
        """One of our objects as it is now, and then after each change, for so long."""
        watch: Any = kubernetes.watch.Watch()  # type: ignore[no-untyped-call]
        listing = self._custom.list_namespaced_custom_object
        selector = f"metadata.name={name}"
        words = {"field_selector": selector, "timeout_seconds": round(seconds)}
        for event in watch.stream(listing, GROUP, VERSION, namespace, plural, **words):
            yield event["object"]

    def patch(self, namespace: str, plural: str, name: str, body: Manifest) -> Manifest:
        """Merge something into one of our objects."""
        patched: Manifest = self._custom.patch_namespaced_custom_object(GROUP, VERSION, namespace, plural, name, body)
        return patched

    def patch_status(self, namespace: str, plural: str, name: str, body: Manifest) -> None:
        """Merge something into the status of one of our objects."""
        self._custom.patch_namespaced_custom_object_status(GROUP, VERSION, namespace, plural, name, body)

    def delete(self, namespace: str, plural: str, name: str, **options: Any) -> None:
        """Delete one of our objects."""
        self._custom.delete_namespaced_custom_object(GROUP, VERSION, namespace, plural, name, **options)


def eventually(holds: Callable[[], Any], what: str, seconds: float, explain: Callable[[], str] = str) -> Any:
    """The first true value of `holds()`; AssertionError with `explain()` when there is none for so long."""
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}\n{explain()}"
        time.sleep(0.1)
    return value


def moment(text: str) -> datetime:
    """A time as Kubernetes writes it."""
    return datetime.fromisoformat(text).astimezone(UTC)


def none_of(items: Iterable[Any]) -> bool:
    """Whether there is nothing: reads better in a wait than `not list(…)`."""
    return not list(items)
