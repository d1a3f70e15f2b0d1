from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes
import pytest

from cluster import CLUSTER
from localkube import Cluster
from tradewind.kube.client import KubeClient
from tradewind.kube.writer import Writer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = __file__.rpartition("/")[0]
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.integration)


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


@pytest.fixture(scope="session")
def witness(kubeconfig: Path) -> Any:
    """The official client: what it sees is so."""
    return kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(str(kubeconfig)))


@pytest.fixture
def namespace(witness: Any) -> Iterator[str]:
    name = f"kube-{secrets.token_hex(4)}"
    witness.create_namespace({"metadata": {"name": name}})
    yield name
    witness.delete_namespace(name)


@pytest.fixture
async def client(kubeconfig: Path) -> AsyncIterator[KubeClient]:
    async with KubeClient.from_environment(kubeconfig) as client:
        yield client


@pytest.fixture
async def writer(client: KubeClient) -> AsyncIterator[Writer]:
    writer = Writer(client)
    yield writer
    await writer.stop()
