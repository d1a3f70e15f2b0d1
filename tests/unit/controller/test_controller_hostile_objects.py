"""Objects that take long to check block neither the event loop nor the runs of others."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver import Request
from tests.unit.controller.memory_cluster import Json, MemoryCluster

pytestmark = pytest.mark.unit

LONGEST = 2.0
"""Seconds that the loop may stand still on a machine that is busy; it was minutes."""


@asynccontextmanager
async def responsive_loop() -> AsyncIterator[None]:
    gaps: list[float] = []

    async def beat() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            gaps.append(time.monotonic() - before)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
    assert max(gaps) < LONGEST


def objects(count: int) -> list[Json]:
    return [{"id": i} for i in range(count)]


HOSTILE_PARAMS: dict[str, tuple[Json, Any, str | None]] = {
    "unique objects": ({"type": "array", "uniqueItems": True}, objects(9000), None),
    "too much": ({"anyOf": [{"items": {"type": "string"}}] * 99}, list(range(9000)), "is too expensive to check"),
    "a slow pattern": ({"patternProperties": {r"(\w?){150}!": {}}}, {"a" * 54 + str(i): 1 for i in range(4000)}, "too"),
}


@pytest.mark.parametrize(("schema", "value", "says"), HOSTILE_PARAMS.values(), ids=HOSTILE_PARAMS.keys())
async def test_a_run_with_params_that_cost(cluster: MemoryCluster, schema: Json, value: Any, says: str | None) -> None:
    cluster.dag("hostile", params={"p": schema})
    cluster.dag("other")
    async with responsive_loop():
        cluster.run("hostile", "big", params={"p": value})
        cluster.run("other", "small")
        await cluster.eventually(
            lambda: cluster.status("dagruns", "small").get("phase") == "Succeeded", "the other runs"
        )
        wanted = "Failed" if says else "Succeeded"
        await cluster.eventually(lambda: cluster.status("dagruns", "big").get("phase") == wanted, "it is checked")
    assert (says or "") in (cluster.status("dagruns", "big").get("message") or "")


HOSTILE_DAGS: dict[str, tuple[Json, str]] = {
    "unknown fields of a Pod": (
        {"tasks": [{"name": "a", "noop": True}], "podTemplate": {f"x{i}": 1 for i in range(60_000)}},
        "InvalidPodTemplate",
    ),
    "unknown tasks": (
        {
            "tasks": [
                {"name": f"a{i}", "noop": True, "dependsOn": [f"b{i + j}" for j in range(20)]} for i in range(2000)
            ]
        },
        "UnknownDependency",
    ),
    "templates": (
        {
            "tasks": [
                {"name": f"a{i}", "image": "x", "args": [f"{{{{ds}}}}{j}" for j in range(1000)]} for i in range(50)
            ]
        },
        "Valid",
    ),
}


@pytest.mark.parametrize(("spec", "reason"), HOSTILE_DAGS.values(), ids=HOSTILE_DAGS.keys())
async def test_a_dag_that_costs(cluster: MemoryCluster, spec: Json, reason: str) -> None:
    cluster.dag("other")
    async with responsive_loop():
        cluster.dag("hostile", **spec)
        cluster.run("other", "small")
        await cluster.eventually(
            lambda: cluster.status("dagruns", "small").get("phase") == "Succeeded", "the other runs"
        )
        await cluster.eventually(lambda: bool(cluster.status("dags", "hostile").get("conditions")), "it is checked")
    [accepted] = [each for each in cluster.status("dags", "hostile")["conditions"] if each["type"] == "Accepted"]
    assert accepted["reason"] == reason


async def test_fields_that_the_api_server_does_not_know_are_not_dropped(cluster: MemoryCluster) -> None:
    asked: list[Any] = []

    def look(request: Request) -> None:
        if request.method == "POST" and request.path.endswith("/pods"):
            asked.append(request.params.get("fieldValidation"))

    cluster.before_request = look
    cluster.dag("d", podTemplate={"spec": {"quantumEntanglement": 1}})
    cluster.run("d", "r")
    await cluster.wait_phase("r", "Succeeded")
    assert asked == ["Strict"]


HOSTILE_TEMPLATES = {
    "a sort for each row": "{% for i in params.rows %}{% if params.rows | sort %}{% endif %}{% endfor %}",
    "a list that is kept": "{% for t in [params.rows | sort] %}"
    + "{% for i in params.rows %}{% if t[::-1] | list %}{% endif %}{% endfor %}" * 5
    + "{% endfor %}",
    "a text that each loop makes ten times longer": "".join(
        f"{{% for t{n + 1} in [{' ~ '.join([f't{n}' if n else 'ds'] * 10)}] %}}" for n in range(9)
    )
    + "{{ t9 | length }}"
    + "{% endfor %}" * 9,
}


@pytest.mark.parametrize("text", HOSTILE_TEMPLATES.values(), ids=HOSTILE_TEMPLATES.keys())
async def test_a_template_that_costs(cluster: MemoryCluster, text: str) -> None:
    rows = {"type": "array", "default": list(range(20_000))}
    tasks = [{"name": "load", "image": "busybox", "args": [text] * 20}]
    cluster.dag("hostile", params={"rows": rows}, tasks=tasks)
    cluster.dag("other")
    async with responsive_loop():
        cluster.run("hostile", "big")
        cluster.run("other", "small")
        await cluster.wait_phase("small", "Succeeded")
        await cluster.eventually(lambda: cluster.status("dagruns", "big").get("phase") == "Failed", "it fails", 60)
    [task] = cluster.status("dagruns", "big")["tasks"]
    assert task["reason"] == "InvalidTemplate"
    expected = ("its templates take more than", "ran out of fuel", "MiB of memory")
    assert any(each in task["message"] for each in expected)


async def test_a_template_is_not_too_slow_because_the_node_is(cluster: MemoryCluster, tmp_path: Path) -> None:
    slow = tmp_path / "python"
    slow.write_text(f'#!/bin/sh\nsleep 5.5\nexec {sys.executable} "$@"\n')
    slow.chmod(0o755)
    rows = {"type": "array", "default": list(range(20_000))}
    text = "{{ params.rows | sort | length }}{% for i in params.rows[:50] %}{{ i }}{% endfor %}"
    cluster.dag("d", params={"rows": rows}, tasks=[{"name": "load", "image": "busybox", "args": [text]}])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tradewind.controller.pods.render_process.sys.executable", str(slow))
        cluster.run("d", "r")
        await cluster.eventually(lambda: cluster.status("dagruns", "r").get("finishedAt"), "it ends", 20)
    assert cluster.status("dagruns", "r")["phase"] == "Succeeded"


async def test_a_template_that_takes_its_time_is_filled_in(cluster: MemoryCluster) -> None:
    rows = {"type": "array", "default": list(range(1500))}
    text = "{% for row in params.rows %}{{ row }};{% endfor %}"
    cluster.dag("long", params={"rows": rows}, tasks=[{"name": "load", "image": "busybox", "args": [text]}])
    async with responsive_loop():
        cluster.run("long", "r")
        await cluster.wait_phase("r", "Succeeded")
    [pod] = cluster.all("pods")
    [container] = pod["spec"]["containers"]
    assert container["args"] == ["".join(f"{row};" for row in range(1500))]
