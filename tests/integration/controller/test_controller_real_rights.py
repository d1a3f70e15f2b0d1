"""A controller that may see one of its namespaces and not the other, on a real API server with its RBAC."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cluster import Witness
from tradewind.controller.process.controller import Controller
from tradewind.controller.process.settings import Settings
from tradewind.kube.client import KubeClient
from tradewind.kube.config import load_kubeconfig
from tradewind.kube.credentials import StaticCredentials

SECONDS = 60.0
RULES = [
    {"apiGroups": ["tradewind.dev"], "resources": ["*"], "verbs": ["*"]},
    {"apiGroups": ["", "apps", "events.k8s.io", "coordination.k8s.io"], "resources": ["*"], "verbs": ["*"]},
]


async def eventually(holds: Callable[[], Any], what: str) -> None:
    for _ in range(int(SECONDS / 0.1)):
        if await asyncio.to_thread(holds):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"waited {SECONDS:g} s in vain: {what}")


def grant(resources: Witness, namespace: str, account_in: str) -> None:
    """Let the ServiceAccount `controller` of another namespace do what it has to in this one."""
    resources.rbac.create_namespaced_role(namespace, {"metadata": {"name": "controller"}, "rules": RULES})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "controller"}
    subject = {"kind": "ServiceAccount", "name": "controller", "namespace": account_in}
    body = {"metadata": {"name": "controller"}, "roleRef": reference, "subjects": [subject]}
    resources.rbac.create_namespaced_role_binding(namespace, body)


def make_run(resources: Witness, namespace: str) -> Callable[[], bool]:
    """A Dag of a task that runs nothing, and a run; whether that has succeeded."""
    head = {"apiVersion": "tradewind.dev/v1alpha1"}
    dag = {"metadata": {"name": "sales"}, "spec": {"tasks": [{"name": "nothing", "noop": True}]}}
    resources.create(namespace, "dags", head | {"kind": "Dag"} | dag)
    run = {"metadata": {"name": "r"}, "spec": {"dag": "sales"}}
    resources.create(namespace, "dagruns", head | {"kind": "DagRun"} | run)
    return lambda: resources.get(namespace, "dagruns", "r").get("status", {}).get("phase") == "Succeeded"


async def test_rights_that_come_later(kubeconfig: Path, namespace: str, resources: Witness) -> None:
    other = f"rights-{secrets.token_hex(4)}"
    resources.core.create_namespace({"metadata": {"name": other}})
    resources.core.create_namespaced_service_account(namespace, {"metadata": {"name": "controller"}})
    grant(resources, namespace, namespace)
    answer = resources.core.create_namespaced_service_account_token("controller", namespace, {"spec": {}})
    here, there = make_run(resources, namespace), make_run(resources, other)

    found = load_kubeconfig([kubeconfig])
    # Without the client certificate that the kubeconfig has.
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    connection = dataclasses.replace(found, credentials=StaticCredentials(answer.status.token), tls=tls, origin=None)
    settings = Settings(namespaces=(namespace, other), pod_namespace=namespace, lease_duration=3)
    async with KubeClient(connection) as client:
        controller = Controller(settings, client)
        running = asyncio.create_task(controller.run())
        try:
            await eventually(here, "the run that can be seen ends")
            assert controller.unready() is None
            assert f"pods in namespace {other}: pods is forbidden" in str(controller.left_out())
            assert not there()
            grant(resources, other, namespace)
            await eventually(there, "the other ends once it can be seen")
            assert controller.left_out() is None
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError, BaseExceptionGroup):
                await running
            resources.core.delete_namespace(other)
