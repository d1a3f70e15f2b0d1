"""A process that may only read fills caches of its own beside a controller that leads, on a real API server."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Witness
from tradewind.api.names import LABEL_BUCKET
from tradewind.api.shards import Shard, bucket_of
from tradewind.cache.caches import Caches
from tradewind.cache.listeners import Changed
from tradewind.cache.resources import DAGRUNS
from tradewind.controller.process.controller import Controller
from tradewind.controller.process.settings import Settings
from tradewind.kube.client import KubeClient
from tradewind.kube.config import load_kubeconfig
from tradewind.kube.credentials import StaticCredentials
from tradewind.kube.errors import ApiError
from tradewind.kube.resources import LEASES

SECONDS = 60.0
READ = ["get", "list", "watch"]
RULES = [
    {"apiGroups": ["tradewind.dev"], "resources": ["dags", "dagruns", "pools", "backfills"], "verbs": READ},
    {"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": READ},
]
TASKS = [{"name": "load", "noop": True}]


async def eventually(holds: Callable[[], Any], what: str) -> Any:
    for _ in range(int(SECONDS / 0.05)):
        if value := holds():
            return value
        await asyncio.sleep(0.05)
    raise AssertionError(f"waited {SECONDS:g} s in vain: {what}")


def create(resources: Witness, namespace: str, kind: str, name: str, spec: Any, labels: Any = None) -> None:
    head = {"apiVersion": "tradewind.dev/v1alpha1", "kind": kind}
    metadata = {"name": name, "labels": labels or {}}
    resources.create(namespace, f"{kind.lower()}s", head | {"metadata": metadata, "spec": spec})


@pytest.fixture
async def reader(kubeconfig: Path, namespace: str, resources: Witness) -> AsyncIterator[KubeClient]:
    """Acts as a ServiceAccount that may get, list and watch in one namespace, and nothing else."""
    resources.core.create_namespaced_service_account(namespace, {"metadata": {"name": "reader"}})
    resources.rbac.create_namespaced_role(namespace, {"metadata": {"name": "reader"}, "rules": RULES})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": namespace}
    body = {"metadata": {"name": "reader"}, "roleRef": reference, "subjects": [subject]}
    resources.rbac.create_namespaced_role_binding(namespace, body)
    answer = resources.core.create_namespaced_service_account_token("reader", namespace, {"spec": {}})
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    # Without the client certificate that the kubeconfig has.
    connection = dataclasses.replace(
        load_kubeconfig([kubeconfig]), credentials=StaticCredentials(answer.status.token), tls=tls, origin=None
    )
    async with KubeClient(connection) as client:
        yield client


@pytest.fixture
async def controller(client: KubeClient, namespace: str, resources: Witness) -> AsyncIterator[Controller]:
    """Leads in that namespace."""
    controller = Controller(Settings(namespaces=(namespace,), pod_namespace=namespace, lease_duration=3), client)
    running = asyncio.create_task(controller.run())
    yield controller
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError, BaseExceptionGroup):
        await running


async def test_a_reader_sees_a_run_finish(
    reader: KubeClient, controller: Controller, namespace: str, resources: Witness
) -> None:
    key = namespace, "r"
    async with Caches.open(reader, [namespace]) as caches:
        await caches.wait_synced()
        await eventually(lambda: controller.leader, "a controller leads")
        async with caches.changes() as changes:
            create(resources, namespace, "Dag", "sales", {"tasks": TASKS})
            create(resources, namespace, "DagRun", "r", {"dag": "sales", "suspend": True})
            await eventually(lambda: caches.runs_of((namespace, "sales")), "the run is seen")
            resources.patch(namespace, "dagruns", "r", {"spec": {"suspend": False}})
            async with asyncio.timeout(SECONDS):
                async for changed in changes:
                    if changed == Changed(DAGRUNS, key) and key not in caches.runs:
                        break
    found = await reader.get(DAGRUNS, *key)
    assert found["status"]["phase"] == "Succeeded"
    with pytest.raises(ApiError, match="forbidden"):
        await reader.get(LEASES, namespace, "tradewind-controller")
    with pytest.raises(ApiError, match="forbidden"):
        await reader.request("DELETE", DAGRUNS.path(*key))


async def test_caches_of_a_shard_have_what_belongs_to_it(
    client: KubeClient, namespace: str, resources: Witness
) -> None:
    create(resources, namespace, "Dag", "sales", {"tasks": TASKS})
    create(resources, namespace, "DagRun", "plain", {"dag": "sales"})
    create(resources, namespace, "DagRun", "labelled", {"dag": "sales"}, {LABEL_BUCKET: str(bucket_of(namespace))})
    for index in (0, 1):
        part = Shard(index, 2)
        async with Caches.open(client, part=part) as caches:
            await caches.wait_synced()
            known = {name for where, name in caches.runs if where == namespace}
            assert known == ({"plain", "labelled"} if part.owns(namespace) else set())
