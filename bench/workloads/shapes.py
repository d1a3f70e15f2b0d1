"""Dags with the shapes and task times of real workflows: the makespan beside its lower bound."""

from __future__ import annotations

import json
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.harness.accepting import accepted
from bench.harness.bed import Bed
from bench.harness.dags import Manifest, dag, lasting
from bench.harness.dags import run as run_of
from bench.harness.lower_bound import lower_bound, simple_bound
from bench.harness.observer import SUCCEEDED, watching
from bench.harness.results import BENCH, Result
from bench.workloads import Size
from tradewind.api import names
from tradewind.cache.resources import DAGRUNS, DAGS
from tradewind.kube.resources import PODS

SLOTS = 16
BOUND_SECONDS: dict[Size, float] = {"tiny": 3, "small": 20, "full": 40}
"""Times are scaled so that max(critical path, work / slots) is this: Kubernetes' own time to bind and start a Pod does
not scale, and is then as small a part as in real workflows of minutes."""
SHAPES = sorted((BENCH / "shapes").glob("*.json"))
CHOSEN: dict[Size, list[Path]] = {"tiny": SHAPES[:1], "small": SHAPES, "full": SHAPES}


async def run(bed: Bed, size: Size, rounds: int) -> list[Result]:
    """The makespan in units of a lower bound; the worst of the shapes."""
    namespace = await bed.namespace("shapes")
    controller = await bed.controller(namespace)
    traces = {path.stem: json.loads(path.read_text()) for path in CHOSEN[size]}
    await bed.create_all(DAGS, namespace, [_dag(trace, name, BOUND_SECONDS[size]) for name, trace in traces.items()])
    await accepted(bed, namespace, len(traces))
    reachable: dict[str, list[float]] = {name: [] for name in traces}
    simple: dict[str, list[float]] = {name: [] for name in traces}
    for number in range(rounds):
        for name, trace in traces.items():
            await bed.settle()
            makespan, seconds = await _played(bed, namespace, name, number, BOUND_SECONDS[size])
            reachable[name].append(makespan / lower_bound(seconds, _after(trace), SLOTS))
            simple[name].append(makespan / BOUND_SECONDS[size])
    await controller.stop()
    return [
        _worst("shapes", "of the lower bound", reachable),
        _worst("shapes-simple", "of max(critical path, work / slots)", simple),
    ]


def _worst(name: str, unit: str, found: dict[str, list[float]]) -> Result:
    details = {shape: round(median(ratios), 3) for shape, ratios in found.items()}
    said = ", ".join(f"{shape} {ratio}" for shape, ratio in details.items())
    return Result(name, unit, [max(ratios) for ratios in zip(*found.values(), strict=True)], said, details)


async def _played(bed: Bed, namespace: str, name: str, number: int, bound: float) -> tuple[float, dict[str, float]]:
    """Return (makespan, time from the Pod to its finish for each task) of a run, in seconds."""
    label = f"{names.LABEL_RUN}={name}-{number}"
    async with (
        watching(bed.client, PODS, namespace, label_selector=label) as pods,
        watching(bed.client, DAGRUNS, namespace, field_selector=SUCCEEDED) as runs,
    ):
        before = len(runs.at)
        began = time.perf_counter()
        await bed.create_all(DAGRUNS, namespace, [run_of(name, f"{name}-{number}")])
        await runs.number(before + 1, f"run {name}-{number} succeeds", 60 + bound * 10)
        makespan = runs.at[f"{name}-{number}"] - began
    took = {pods.labels[pod][names.LABEL_TASK]: pods.succeeded[pod] - pods.at[pod] for pod in pods.at}
    return makespan, dict(sorted(took.items(), key=lambda item: int(item[0][1:])))


def _after(trace: dict[str, Any]) -> dict[str, list[str]]:
    """Return the upstream tasks of each task."""
    return {f"t{task['i']}": [f"t{before}" for before in task["after"]] for task in trace["tasks"]}


def _dag(trace: dict[str, Any], name: str, bound: float) -> Manifest:
    tasks, after = trace["tasks"], _after(trace)
    scale = bound / simple_bound({f"t{task['i']}": task["seconds"] for task in tasks}, after, SLOTS)
    manifests = [
        {
            "name": f"t{task['i']}",
            "dependsOn": after[f"t{task['i']}"],
            "podTemplate": lasting(f"{max(1, round(task['seconds'] * scale * 1000))}ms"),
        }
        for task in tasks
    ]
    return dag(name, manifests, maxActiveTasks=SLOTS)
