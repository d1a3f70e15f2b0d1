"""The raw path: the Pods that the controller would create, from a bare client at full speed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from bench.harness.dags import Manifest
from tradewind.api import names
from tradewind.api.dag import DagSpec
from tradewind.api.resolve import argv, resolve
from tradewind.controller.pods.manifest import pod_manifest
from tradewind.engine.rules.rendering import RenderedTask
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.run.tries import TryKey
from tradewind.kube.client import KubeClient
from tradewind.kube.resources import PODS

IN_FLIGHT = 64


def pods(dag: Manifest, namespace: str, runs: list[dict[str, Any]]) -> Iterator[bytes]:
    """Return the Pods of all task instances of runs of a Dag, serialised. `runs` are existing objects that no
    controller runs: Kubernetes would delete Pods without their owner."""
    resolved = resolve(DagSpec.model_validate(dag["spec"]))
    now = datetime.now(UTC)
    revision = names.revision_name(dag["metadata"]["name"], "0" * 64)
    for run in runs:
        name, uid = run["metadata"]["name"], run["metadata"]["uid"]
        info = RunInfo(namespace, name, uid, dag["metadata"]["name"], "Manual", now, now, now, revision=revision)
        for task in resolved.tasks:
            items = dag_items(dag, task.name)
            rendered = RenderedTask(*argv(task), [])
            for index in range(items) if items is not None else (None,):
                body = pod_manifest(info, resolved, task, TryKey(task.name, index, 1), rendered)
                # No controller would remove it; the Pod is the same otherwise.
                body["metadata"].pop("finalizers", None)
                yield orjson.dumps(body)


def dag_items(dag: Manifest, task: str) -> int | None:
    """Return the number of instances of a mapped task; None for one that is not mapped."""
    for manifest in dag["spec"]["tasks"]:
        if manifest["name"] == task and "forEach" in manifest:
            return len(manifest["forEach"]["items"])
    return None


async def create(client: KubeClient, namespace: str, bodies: list[bytes]) -> None:
    """Create Pods at full speed."""
    waiting = iter(bodies)
    path = PODS.path(namespace)

    async def work() -> None:
        for body in waiting:
            await client.request("POST", path, body=body, partial=True)

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(work())
