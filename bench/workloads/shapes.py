"""Dags with the shapes and task times of real workflows: how near the makespan comes to what is possible."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from bench.harness.accepting import accepted
from bench.harness.bed import Bed
from bench.harness.dags import Manifest, dag, lasting
from bench.harness.dags import run as run_of
from bench.harness.observer import watching_results
from bench.harness.results import BENCH, Result
from bench.workloads import Size
from tradewind.controller.resources import DAGRUNS, DAGS

SLOTS = 16
BOUND_SECONDS: dict[Size, float] = {"tiny": 3, "small": 20, "full": 40}
"""Times are scaled so that no schedule could be shorter than this: what Kubernetes takes to bind and start a Pod, which
does not scale, is then as small a part as it is of real workflows of minutes."""
SHAPES = sorted((BENCH / "shapes").glob("*.json"))
CHOSEN: dict[Size, list[Path]] = {"tiny": SHAPES[:1], "small": SHAPES, "full": SHAPES}


async def run(bed: Bed, size: Size, rounds: int) -> list[Result]:
    """The makespan in units of max(critical path, work / slots); the worst of the shapes."""
    namespace = await bed.namespace("shapes")
    controller = await bed.controller(namespace)
    dags = {path.stem: _dag(json.loads(path.read_text()), path.stem, BOUND_SECONDS[size]) for path in CHOSEN[size]}
    await bed.create_all(DAGS, namespace, dags.values())
    await accepted(bed, namespace, len(dags))
    found: dict[str, list[float]] = {name: [] for name in dags}
    for number in range(rounds):
        for name in dags:
            await bed.settle()
            found[name].append(await _makespan(bed, namespace, name, number, BOUND_SECONDS[size]))
    await controller.stop()
    worst = [max(rounds_of) for rounds_of in zip(*found.values(), strict=True)]
    details = {name: round(sorted(ratios)[len(ratios) // 2], 3) for name, ratios in found.items()}
    said = ", ".join(f"{name} {ratio}" for name, ratio in details.items())
    return [Result("shapes", "of the lower bound", worst, said, details)]


async def _makespan(bed: Bed, namespace: str, name: str, number: int, bound: float) -> float:
    async with watching_results(bed.client, namespace) as (_, runs):
        before = len(runs.at)
        began = time.perf_counter()
        await bed.create_all(DAGRUNS, namespace, [run_of(name, f"{name}-{number}")])
        await runs.number(before + 1, f"run {name}-{number} succeeds", 60 + bound * 10)
        return (runs.at[f"{name}-{number}"] - began) / bound


def _dag(trace: dict[str, Any], name: str, bound: float) -> Manifest:
    tasks = trace["tasks"]
    scale = bound / max(trace["criticalPathSeconds"], sum(task["seconds"] for task in tasks) / SLOTS)
    manifests = [
        {
            "name": f"t{task['i']}",
            "dependsOn": [f"t{before}" for before in task["after"]],
            "podTemplate": lasting(f"{max(1, round(task['seconds'] * scale * 1000))}ms"),
        }
        for task in tasks
    ]
    return dag(name, manifests, maxActiveTasks=SLOTS)
