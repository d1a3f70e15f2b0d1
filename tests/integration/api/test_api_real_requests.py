"""Requests on runs, applied by a whole controller on a real API server: the effect of its writes."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.cluster import GROUP, VERSION, Manifest, Witness, moment
from tradewind.cache.resources import DAGRUNS
from tradewind.controller.process.controller import Controller
from tradewind.controller.process.settings import Settings
from tradewind.kube.client import KubeClient
from tradewind.kube.errors import ApiError
from tradewind.kube.writer import Writer

SECONDS = 90.0
TASKS = [{"name": "load", "noop": True}, {"name": "report", "noop": True, "dependsOn": ["load"]}]


class Bench:
    """A Dag without Pods, a controller, and what is asked of runs."""

    def __init__(self, client: KubeClient, witness: Witness, namespace: str) -> None:
        self.client, self.witness, self.namespace = client, witness, namespace

    def make(self, kind: str, name: str, **spec: Any) -> None:
        body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": {"name": name}, "spec": spec}
        self.witness.create(self.namespace, f"{kind.lower()}s", body)

    async def ask(self, run: str, kind: str, **fields: Any) -> Manifest:
        """The record of a request that was dealt with."""
        asked = secrets.token_hex(4)
        body = {"spec": {"request": {"id": asked, "type": kind, **fields}}}
        await asyncio.to_thread(self.witness.patch, self.namespace, "dagruns", run, body)

        def record(found: Manifest) -> Manifest | None:
            records = found.get("status", {}).get("requests", ()) if "request" not in found["spec"] else ()
            return next((each for each in records if each["id"] == asked), None)

        dealt_with: Manifest = await self.until(run, record, f"the request {kind} is dealt with")
        return dealt_with

    async def until(self, run: str, holds: Callable[[Manifest], Any], what: str) -> Any:
        """The first true value of `holds(run)`."""
        found: Manifest = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                while True:
                    found = await self.client.get(DAGRUNS, self.namespace, run)
                    if value := holds(found):
                        return value
                    await asyncio.sleep(0.1)
        raise AssertionError(f"waited {SECONDS:g} s in vain: {what}\n{found}")

    async def ended(self, run: str, phase: str) -> Manifest:
        """The status of a run, once it has finished so."""
        await self.until(run, lambda found: found.get("status", {}).get("phase") == phase, f"{run} is {phase}")
        found = await asyncio.to_thread(self.witness.get, self.namespace, "dagruns", run)
        return dict(found["status"])


@pytest.fixture
async def bench(client: KubeClient, resources: Witness, namespace: str) -> AsyncIterator[Bench]:
    settings = Settings(namespaces=(namespace,), pod_namespace=namespace, lease_duration=3)
    controller = asyncio.create_task(Controller(settings, client).run())
    yield Bench(client, resources, namespace)
    controller.cancel()
    with contextlib.suppress(asyncio.CancelledError, BaseExceptionGroup):
        await controller


async def test_a_run_is_marked_run_again_and_stopped(bench: Bench) -> None:
    bench.make("Dag", "sales", tasks=TASKS)
    bench.make("DagRun", "one", dag="sales")
    first = await bench.ended("one", "Succeeded")

    marked = await bench.ask("one", "Mark", state="Failed", requestedBy="alice")
    assert (marked["state"], marked["requestedState"]) == ("Applied", "Failed")
    status = await bench.ended("one", "Failed")
    assert (status["reason"], status["startedAt"]) == ("Marked", first["startedAt"])

    again = await bench.ask("one", "Rerun", tasks=["load"], downstream=True)
    assert again["message"] == "tasks to rerun: load, report"
    status = await bench.ended("one", "Succeeded")
    assert status["reason"] == "Succeeded"
    assert "message" not in status, "a merge patch keeps what it does not name"
    assert moment(status["startedAt"]) >= moment(first["finishedAt"])
    assert [entry["state"] for entry in status["tasks"]] == ["Succeeded", "Succeeded"]

    refused = await bench.ask("one", "Stop")
    assert (refused["state"], refused["message"]) == ("Rejected", "the run has finished already: Succeeded")
    assert [record["type"] for record in (await bench.ended("one", "Succeeded"))["requests"]] == [
        "Mark",
        "Rerun",
        "Stop",
    ]


async def test_params_and_tasks_that_are_no_more_go_from_status(bench: Bench) -> None:
    bench.make("Dag", "sales", tasks=TASKS, params={"region": {"default": "eu"}, "old": {"default": 1}})
    bench.make("DagRun", "one", dag="sales")
    assert (await bench.ended("one", "Succeeded"))["params"] == {"region": "eu", "old": 1}
    spec = {"tasks": [*TASKS[:1], {"name": "new", "noop": True}], "params": {"region": {"default": "us"}, "old": None}}
    await asyncio.to_thread(bench.witness.patch, bench.namespace, "dags", "sales", {"spec": spec})
    bench.make("DagRun", "two", dag="sales")
    # It has the new Dag, so the controller has, too.
    await bench.until("two", lambda found: "old" not in found.get("status", {}).get("params", {"old": 0}), "a new run")
    await bench.ask("one", "Rerun", revision="Latest")
    status = await bench.ended("one", "Succeeded")
    assert status["params"] == {"region": "us"}
    assert {entry["name"]: entry["state"] for entry in status["tasks"]} == {
        "load": "Succeeded",
        "new": "Succeeded",
        "report": "Removed",
    }


async def test_a_suspended_run_waits_and_can_be_stopped(bench: Bench) -> None:
    bench.make("Dag", "sales", tasks=TASKS)
    bench.make("DagRun", "one", dag="sales", suspend=True)
    bench.make("DagRun", "two", dag="sales", suspend=True)
    for run in ("one", "two"):
        await bench.until(
            run, lambda found: str(found.get("status", {}).get("message")).startswith("suspended"), f"{run} says so"
        )
    await asyncio.to_thread(bench.witness.patch, bench.namespace, "dagruns", "one", {"spec": {"suspend": False}})
    assert "message" not in await bench.ended("one", "Succeeded")
    await bench.ask("two", "Stop", message="not today")
    status = await bench.ended("two", "Failed")
    assert (status["reason"], status["message"]) == ("Stopped", "stopped: not today")


async def test_a_run_that_was_changed_is_not_deleted(bench: Bench, writer: Writer) -> None:
    """As pruning deletes them: what was asked to run again since it was listed stays."""
    bench.make("DagRun", "one", dag="none", suspend=True)
    before = (await bench.client.get(DAGRUNS, bench.namespace, "one"))["metadata"]["resourceVersion"]
    bench.witness.patch(bench.namespace, "dagruns", "one", {"spec": {"suspend": False}})
    with pytest.raises(ApiError) as refusal:
        await writer.delete(DAGRUNS, bench.namespace, "one", resource_version=before)
    assert refusal.value.is_conflict
