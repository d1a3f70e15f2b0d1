from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest

from tests.cluster import Witness, apply_crds
from tradewind.kube.client import KubeClient
from tradewind.kube.writer import Writer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = __file__.rpartition("/")[0]
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def witness(kubeconfig: Path) -> Any:
    """The official client: what it sees is so."""
    return kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(str(kubeconfig)))


@pytest.fixture(scope="session")
def resources(kubeconfig: Path) -> Witness:
    """The official client, with the CRDs of this checkout installed."""
    apply_crds(kubeconfig)
    return Witness(kubeconfig)


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
