"""The shared part of the tests in this folder: names that no other cluster has, and kubectl."""

import os
import subprocess
import uuid
from collections.abc import Callable

from localkube import Cluster, tools

Kubectl = Callable[..., str]


def unique_name() -> str:
    return f"lk-{uuid.uuid4().hex[:8]}"


def kubectl_for(cluster: Cluster) -> Kubectl:
    """`kubectl("get", "pods")` → stdout; fails with kubectl's own message, or after 90 s."""
    program, env = tools.ensure("kubectl"), {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}

    def kubectl(*words: str, stdin: str = "") -> str:
        done = subprocess.run([program, *words], input=stdin, env=env, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    return kubectl
