"""The same tests on the API server in memory (marker `unit`) and on a real one (marker `integration`).

Whoever makes the server in memory do something new writes a test here first, and runs it on both.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from tests.apiserver import ApiServer, ControllerManager, MemoryClient
from tests.cluster import REPOSITORY
from tests.conformance.calls import Calls
from tests.etcd import compact_etcd
from tradewind.kube.client import KubeClient
from tradewind.kube.resources import CUSTOMRESOURCEDEFINITIONS, NAMESPACES
from tradewind.kube.writes import APPLY_PATCH

SERVERS = [
    pytest.param("memory", marks=pytest.mark.unit),
    pytest.param("real", marks=pytest.mark.integration),
]


@pytest.fixture(params=SERVERS)
async def calls(request: pytest.FixtureRequest) -> AsyncIterator[Calls]:
    """A client of the server under test, in a namespace of its own."""
    if request.param == "memory":
        server = ApiServer(now=lambda: datetime.now(UTC), new_uid=lambda: str(uuid.uuid4()))
        server.store.compact()
        ControllerManager(server)
        client: KubeClient = MemoryClient(server)

        async def compact() -> None:
            server.store.compact()
    else:
        client = KubeClient.from_environment(request.getfixturevalue("kubeconfig"))
        etcd = request.getfixturevalue("etcd")
        await _apply_crds(client)

        async def compact() -> None:
            await compact_etcd(etcd)

    async with client:
        calls = Calls(client, f"conformance-{secrets.token_hex(4)}", compact)
        await calls.client.request("POST", NAMESPACES.path(), body={"metadata": {"name": calls.namespace}})
        yield calls
        await calls.close()
        await calls.client.request("DELETE", NAMESPACES.path(None, calls.namespace))


_established: set[str] = set()


async def _apply_crds(client: KubeClient) -> None:
    if client.connection.server in _established:
        return
    documents: list[dict[str, Any]] = [yaml.safe_load(file.read_text()) for file in (REPOSITORY / "crds").iterdir()]
    for document in documents:
        path = CUSTOMRESOURCEDEFINITIONS.path(None, document["metadata"]["name"])
        params = {"fieldManager": "conformance", "force": "true"}
        await client.request("PATCH", path, params=params, body=document, content_type=APPLY_PATCH)
    for document in documents:
        names = document["spec"]["names"]
        path = f"/apis/{document['spec']['group']}/v1alpha1/{names['plural']}"
        await Calls(client, "default").until_found(path)
    _established.add(client.connection.server)
