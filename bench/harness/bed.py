"""The test bed: a cluster of localkube's profile kwok with our CRDs."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import yaml

from bench.harness import processes, requests
from bench.harness.controller import ControllerProcess
from bench.harness.waiting import until
from localkube import Cluster
from tradewind.kube.client import KubeClient
from tradewind.kube.errors import ApiError, KubeError
from tradewind.kube.resources import CUSTOMRESOURCEDEFINITIONS, NAMESPACES, PODS, Resource

REPOSITORY = Path(__file__).resolve().parents[2]
NAME = f"bench-{hashlib.sha256(str(REPOSITORY).encode()).hexdigest()[:6]}"
NODES = 10

READY_SECONDS = 60.0
SETTLE_SECONDS = 30.0
CLEAR_SECONDS = 600.0
IDLE_SHARE = 0.25
"""Share of a core: a control plane that uses less is idle."""
AT_ONCE = 32


class Bed:
    """A running cluster. Each user has a namespace of its own, deleted with the cluster."""

    def __init__(self, cluster: Cluster, client: KubeClient, logs: Path) -> None:
        self.cluster, self.client = cluster, client
        self._logs = logs
        self._numbers = iter(range(1, 10**6))
        self._controllers: list[ControllerProcess] = []
        self._pids = {status.name: status.pid for status in cluster.status() if status.pid is not None}

    @classmethod
    @contextlib.asynccontextmanager
    async def on(cls, cluster: Cluster, logs: Path) -> AsyncIterator[Bed]:
        """The bed on a running cluster; remaining controllers are stopped at the end."""
        async with KubeClient.from_environment(cluster.kubeconfig, max_requests=64, timeout=60.0) as client:
            bed = cls(cluster, client, logs)
            await bed.ready()
            await bed._make_crds()
            try:
                yield bed
            finally:
                for controller in bed._controllers:
                    controller.kill()

    async def ready(self) -> None:
        """Return once the API server answers."""

        async def answers() -> bool:
            with contextlib.suppress(KubeError):
                return await self.client.request_bytes("GET", "/readyz", timeout=5) == b"ok"
            return False

        await until(answers, "the API server is ready", READY_SECONDS)

    async def settle(self) -> None:
        """Return once the API server is ready and the control plane is idle, so that the remains of one round do not
        slow the next. Gives up after a while: the machine may be shared."""
        await self.ready()
        for _ in range(int(SETTLE_SECONDS)):
            before = sum(self.usage().values())
            await asyncio.sleep(1)
            if sum(self.usage().values()) - before < IDLE_SHARE:
                return

    async def namespace(self, label: str) -> str:
        """A new namespace that is ready for Pods."""
        name = f"{label}-{next(self._numbers)}"
        await self.client.request("POST", NAMESPACES.path(None), body={"metadata": {"name": name}})

        async def usable() -> bool:
            try:
                await self.client.request("GET", f"/api/v1/namespaces/{name}/serviceaccounts/default")
            except ApiError as error:
                if error.is_not_found:
                    return False
                raise
            return True

        await until(usable, f"namespace {name} has its service account", READY_SECONDS)
        return name

    async def clear_pods(self, namespace: str) -> None:
        """Delete the Pods of a namespace. Beyond 12,500 finished ones Kubernetes does so itself, at any time."""
        path = PODS.path(namespace)

        async def gone() -> bool:
            with contextlib.suppress(KubeError):  # so many exceed the time limit of a request
                await self.client.request("DELETE", path, body={"gracePeriodSeconds": 0}, timeout=60)
                return not (await self.client.request("GET", path, params={"limit": 1})).get("items")
            return False

        await until(gone, f"the Pods of namespace {namespace} are deleted", CLEAR_SECONDS)

    async def controller(self, namespace: str, *options: str) -> ControllerProcess:
        """A controller for one namespace that is the leader."""
        controller = await self.launch(namespace, *options)
        await controller.leading()
        return controller

    async def launch(self, namespace: str, *options: str, pod: str = "") -> ControllerProcess:
        """A controller for one namespace that has just started: in a new Pod, or restarted in the same one."""
        log = self._logs / f"controller-{next(self._numbers)}.log"
        controller = await ControllerProcess.start(self.cluster.kubeconfig, namespace, pod or log.stem, log, *options)
        self._controllers.append(controller)
        return controller

    async def create_all(self, resource: Resource, namespace: str, bodies: Iterable[Any]) -> list[dict[str, Any]]:
        """Create objects, many at a time; return their metadata in the same order."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def create(body: Any) -> dict[str, Any]:
            async with slots:
                return await self.client.request("POST", resource.path(namespace), body=body, partial=True)

        return await asyncio.gather(*(create(body) for body in bodies))

    def usage(self) -> dict[str, float]:
        """Return the processor seconds of each component so far, and of the bench itself."""
        return {name: processes.cpu_seconds(pid) for name, pid in self._pids.items()} | {
            "bench": processes.cpu_seconds(os.getpid())
        }

    async def requests(self) -> requests.Requests:
        """Return the writes that the API server has answered so far."""
        page = await self.client.request_bytes("GET", "/metrics")
        return requests.parse(page.decode())

    async def _make_crds(self) -> None:
        for path in sorted((REPOSITORY / "crds").glob("*.yaml")):
            crd = yaml.safe_load(path.read_text())
            await self.client.request("POST", CUSTOMRESOURCEDEFINITIONS.path(None), body=crd)
            name = crd["metadata"]["name"]

            async def established(name: str = name) -> bool:
                found = await self.client.get(CUSTOMRESOURCEDEFINITIONS, None, name)
                conditions = (found.get("status") or {}).get("conditions") or ()
                return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)

            await until(established, f"{name} is established", READY_SECONDS)
