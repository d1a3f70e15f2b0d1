"""The most expensive objects that a user may create."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bench.harness.dags import Manifest, dag, lasting, parallel, run
from tradewind.cache.resources import DAGRUNS, DAGS
from tradewind.kube.resources import Resource

Made = Iterator[tuple[Resource, Manifest]]


def unique_items(scale: float) -> Made:
    """An ordinary schema, and a value for which a naive check of it takes 20 s."""
    yield DAGS, dag("unique", parallel(1), params={"x": {"type": "array", "uniqueItems": True}})
    yield DAGRUNS, _run("unique", params={"x": [{"id": number} for number in range(5000)]})


def many_clauses(scale: float) -> Made:
    """A schema of k clauses for each of n items."""
    clauses = [{"items": {"type": "integer", "minimum": 0}}] * 300
    yield DAGS, dag("clauses", parallel(1), params={"x": {"type": "array", "allOf": clauses}})
    yield DAGRUNS, _run("clauses", params={"x": list(range(5000))})


def large_dag(scale: float) -> Made:
    """A Dag near its limits: 2,000 tasks, 900 KB."""
    tasks = [
        {"name": f"t{number:04}", "command": ["sh", "-c"], "args": ["echo {{ ds }} " + "x" * 330]}
        for number in range(2000)
    ]
    for number in range(3, 2000):
        tasks[number]["dependsOn"] = [f"t{other:04}" for other in range(number - 3, number)]
    yield DAGS, dag("large", tasks)
    yield DAGRUNS, _run("large")


def large_template(scale: float) -> Made:
    """A podTemplate that gives each Pod of 50 tasks 300 volumes and as many variables: 100 KB."""
    volumes = [{"name": f"v{number}", "emptyDir": {}} for number in range(300)]
    mounts = [{"name": f"v{number}", "mountPath": f"/v/{number}"} for number in range(300)]
    env = [{"name": f"V{number}", "value": "x" * 200} for number in range(300)]
    container = {"name": "task", "volumeMounts": mounts, "env": env}
    template = {"spec": {"volumes": volumes, "containers": [container]}}
    yield DAGS, dag("template", parallel(50), podTemplate=template)
    yield DAGRUNS, _run("template")


def mapped_waits(scale: float) -> Made:
    """1,000 instances that wait for an object each."""
    wanted = {"apiVersion": "v1", "kind": "ConfigMap", "name": "never-{{ item }}", "jsonPath": ".data.x", "value": "1"}
    each = {
        "name": "each",
        "command": None,
        "waitFor": {"object": wanted},
        "forEach": {"items": [str(number) for number in range(1000)]},
    }
    waiting = dag("waits", [each])
    del waiting["spec"]["tasks"][0]["command"]
    yield DAGS, waiting
    yield DAGRUNS, _run("waits")


def long_queue(scale: float) -> Made:
    """10,000 runs of a Dag with maxActiveRuns 1."""
    yield DAGS, dag("queue", parallel(1), maxActiveRuns=1)
    for number in range(round(10_000 * scale)):
        yield DAGRUNS, run("queue", f"queue-{number:05}")


def wide_queue(scale: float) -> Made:
    """300 runs of a Dag of 1,000 tasks with maxActiveRuns 1."""
    tasks = parallel(1000)
    yield DAGS, dag("wide", tasks, maxActiveRuns=1, maxActiveTasks=10, podTemplate=lasting("1h"))
    for number in range(round(300 * scale)):
        yield DAGRUNS, run("wide", f"wide-{number:03}")


HOSTILE: dict[str, Callable[[float], Made]] = {
    "unique": unique_items,
    "clauses": many_clauses,
    "large": large_dag,
    "template": large_template,
    "waits": mapped_waits,
    "queue": long_queue,
    "wide": wide_queue,
}
"""By the name of the figure: a function of the share of the runs to create."""


def _run(name: str, **spec: Any) -> Manifest:
    body = run(name, f"{name}-run")
    body["spec"].update(spec)
    return body
