"""One real cluster, and one real API server without nodes, for all tests that ask for it; each starts with the first
of them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster import CLUSTER, RealCluster, Witness, real_cluster
from localkube import Cluster


@pytest.fixture(scope="session")
def real() -> Iterator[RealCluster]:
    """The cluster to test on, with our CRDs."""
    with real_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def witness(real: RealCluster) -> Witness:
    """What it sees is so."""
    return Witness(real.kubeconfig)


@dataclass(frozen=True, slots=True)
class ApiServer:
    """A real API server; `etcd` is the URL of what is behind it."""

    kubeconfig: Path
    etcd: str


@pytest.fixture(scope="session")
def api_server() -> Iterator[ApiServer]:
    """`$TRADEWIND_TEST_KUBECONFIG` and `$TRADEWIND_TEST_ETCD`, or a cluster of localkube; no node is needed."""
    given, etcd = os.environ.get("TRADEWIND_TEST_KUBECONFIG"), os.environ.get("TRADEWIND_TEST_ETCD")
    if given and etcd:
        yield ApiServer(Path(given), etcd)
        return
    with Cluster(f"{CLUSTER}-kube", profile="kwok") as cluster:
        # An API server answers from memory what happened since its start; the tests need a past that it has not seen.
        cluster.kill_component("kube-apiserver")
        cluster.start_component("kube-apiserver")
        yield ApiServer(cluster.kubeconfig, cluster.etcd_url)


@pytest.fixture(scope="session")
def kubeconfig(api_server: ApiServer) -> Path:
    return api_server.kubeconfig


@pytest.fixture(scope="session")
def etcd(api_server: ApiServer) -> str:
    return api_server.etcd
