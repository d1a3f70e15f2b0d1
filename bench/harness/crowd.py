"""Thousands of long task instances that run at the same time."""

from __future__ import annotations

from bench.harness.accepting import accepted
from bench.harness.bed import Bed
from bench.harness.controller import ControllerProcess
from bench.harness.dags import dag, lasting, mapped, parallel, run, unlimited_pool
from bench.harness.observer import watching
from tradewind.cache.resources import DAGRUNS, DAGS, POOLS
from tradewind.kube.resources import PODS

INSTANCES_OF_A_RUN = 1000
SLOWEST = 8.0
LATE = "late"
"""A Dag of one short task, to create a Pod at any time."""


async def crowd(bed: Bed, label: str, count: int, *options: str) -> tuple[str, ControllerProcess]:
    """The namespace and the controller of `count` Pods that run for an hour."""
    namespace = await bed.namespace(label)
    controller = await bed.controller(namespace, *options)
    await bed.create_all(POOLS, namespace, [unlimited_pool()])
    each = min(count, INSTANCES_OF_A_RUN)
    await bed.create_all(
        DAGS, namespace, [dag("crowd", mapped(each), podTemplate=lasting("1h")), dag(LATE, parallel(1))]
    )
    await accepted(bed, namespace, 2)
    async with watching(bed.client, PODS, namespace, field_selector="status.phase=Running") as running:
        await bed.create_all(DAGRUNS, namespace, [run("crowd", f"crowd-{n}") for n in range(count // each)])
        await running.number(count // each * each, "Pods run", 60 + count / SLOWEST)
    await bed.settle()
    return namespace, controller
