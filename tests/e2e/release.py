"""The chart, installed as users install it."""

import os
import secrets
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from localkube import tools
from tests.cluster import REPOSITORY, Kubectl, RealCluster, Witness, eventually
from tests.e2e.spaces import PATIENCE_SECONDS, RESTRICTED

CHART = REPOSITORY / "helm" / "tradewind"
NAME = "tradewind"
LEASE = "tradewind-controller"
SELECTOR = f"app.kubernetes.io/instance={NAME},app.kubernetes.io/component=controller"
IMAGE = ("--set=image.tag=e2e", "--set=image.pullPolicy=Never")
HELM_SECONDS = 400


class Release:
    """A release of the chart in a namespace of its own, in which only restricted Pods may run."""

    def __init__(self, real: RealCluster, witness: Witness) -> None:
        self.namespace = f"e2e-system-{secrets.token_hex(3)}"
        self.kubectl = Kubectl(real.kubeconfig, self.namespace)
        self.hook_log = ""
        """Return the log of the uninstall hook, as helm shows it."""
        self._witness = witness
        self._env = {**os.environ, "KUBECONFIG": str(real.kubeconfig)}
        self._helm: Path = tools.ensure("helm")
        witness.core.create_namespace({"metadata": {"name": self.namespace, "labels": RESTRICTED}})

    def install(self, *options: str) -> None:
        """`helm install --wait`. The CRDs of the cluster become the release's."""
        self.helm("install", NAME, str(CHART), "--wait", "--take-ownership", "--force-conflicts", *IMAGE, *options)

    def upgrade(self, *options: str) -> None:
        """`helm upgrade --wait` with other values."""
        self.helm("upgrade", NAME, str(CHART), "--wait", "--reuse-values", *options)

    def uninstall(self) -> float:
        """`helm uninstall --wait`; return the seconds that it took after the last controller had exited."""
        began = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(self.attempt, "uninstall", NAME, "--wait")
            while not running.done() and self.pods():
                time.sleep(0.1)
            stopped = time.monotonic()
            done = running.result()
        ended = time.monotonic()
        assert done.returncode == 0, f"helm uninstall: {done.stderr}\n{self.tails()}"
        self.hook_log = done.stderr
        print(f"uninstall: {stopped - began:.1f} s until no controller was left, {ended - began:.1f} s in all")
        return ended - stopped

    def clear(self) -> None:
        """Leave nothing behind, whatever happened."""
        if NAME in self.helm("list", "--short"):
            self.uninstall()
        self.delete_namespace()

    def helm(self, *words: str) -> str:
        """Return helm's output. AssertionError with its message, and the controllers' logs, when it fails."""
        done = self.attempt(*words)
        assert done.returncode == 0, f"helm {' '.join(words)}: {done.stderr}\n{self.tails()}"
        return done.stdout

    def attempt(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run helm, however it ends."""
        command = [str(self._helm), f"--namespace={self.namespace}", *words]
        return subprocess.run(command, env=self._env, capture_output=True, text=True, timeout=HELM_SECONDS, check=False)

    def pods(self) -> list[Any]:
        """The Pods of the controllers."""
        return list(self._witness.core.list_namespaced_pod(self.namespace, label_selector=SELECTOR).items)

    def leader(self, lease: str = LEASE) -> str | None:
        """Name of the Pod that leads; None while none does."""
        found = self._witness.leases.list_namespaced_lease(self.namespace, field_selector=f"metadata.name={lease}")
        holder: str | None = found.items[0].spec.holder_identity if found.items else None
        return holder.partition("_")[0] if holder else None

    def wait_leader(self, *, other_than: str = "", lease: str = LEASE, seconds: float = PATIENCE_SECONDS) -> str:
        """Name of the Pod that leads, once one does."""
        leads = eventually(
            lambda: (found := self.leader(lease)) != other_than and found, "a controller leads", seconds, self.tails
        )
        return str(leads)

    def remains(self) -> list[str]:
        """Return the objects of the release in its namespace, and by its name in the whole cluster."""
        kinds = "all,secrets,configmaps,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets,leases"
        ours = self.kubectl.run("get", kinds, "-o", "name").split()
        kinds = "clusterroles,clusterrolebindings,validatingwebhookconfigurations"
        ours += self.kubectl.run("get", kinds, "-o", "name").split()
        return [name for name in ours if "tradewind" in name]

    def delete_namespace(self) -> None:
        """Delete the namespace, and wait for it; fails after a timeout."""
        limit = PATIENCE_SECONDS
        self.kubectl.run("delete", "namespace", self.namespace, f"--timeout={limit:g}s", timeout=limit + 5)

    def tails(self) -> str:
        """The Pods, and the end of every controller's log."""
        pods = self.kubectl.attempt("get", "pods", "-o", "wide").stdout
        logs = self.kubectl.attempt("logs", f"--selector={SELECTOR}", "--tail=30", "--prefix").stdout
        return f"--- release in {self.namespace}\n{pods}\n{logs}"
