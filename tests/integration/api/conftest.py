from __future__ import annotations

from pathlib import Path

import pytest

from cluster import REPOSITORY, Kubectl, Witness, eventually


@pytest.fixture(scope="session")
def resources(kubeconfig: Path) -> Witness:
    """The official client, with the CRDs of this checkout installed."""
    kubectl = Kubectl(kubeconfig)
    kubectl.run("apply", "--server-side", "--force-conflicts", "-f", str(REPOSITORY / "crds"))
    for kind in ("dags", "dagruns", "pools"):
        kubectl.run("wait", "--for=condition=Established", f"crd/{kind}.tradewind.dev", "--timeout=60s")
        eventually(lambda kind=kind: kubectl.attempt("get", kind).returncode == 0, f"{kind} are served", 30)
    return Witness(kubeconfig)
