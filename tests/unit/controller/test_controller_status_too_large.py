"""A status that etcd does not take: less of it is written, and where that is too much as well the run ends."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.controller.memory_cluster import ApiError, Json, MemoryCluster, is_ended

pytestmark = pytest.mark.unit

LOAD = {"name": "load", "image": "busybox", "args": ["load"]}


def too_large() -> ApiError:
    return ApiError(500, "", "etcdserver: request is too large")


def refuse(cluster: MemoryCluster, name: str, *fields: str) -> list[Json]:
    """Statuses of a run that have such a field are too large; those that were sent, each as it was."""
    sent: list[Json] = []

    def check(method: str, plural: str, run: str, body: Json) -> None:
        status: Json = body.get("status") or {}
        if method == "PATCH" and plural == "dagruns" and run == name and status:
            sent.append(status)
            if any(status.get(field) for field in fields):
                raise too_large()

    cluster.before_write = check
    return sent


async def test_less_is_written_of_a_status_that_is_too_large(cluster: MemoryCluster) -> None:
    sent = refuse(cluster, "one", "params")
    cluster.dag("sales", params={"day": {"type": "string", "default": "monday"}}, tasks=[LOAD])
    cluster.run("sales", "one")
    status = await cluster.wait_phase("one", "Succeeded")
    assert status["tasks"][0]["state"] == "Succeeded"
    assert "params" not in status
    refused = [each for each in sent if each.get("params")]
    assert len(refused) == 1, "it is known from then on"


async def test_a_run_of_which_nothing_fits_ends_and_others_have_its_place(cluster: MemoryCluster) -> None:
    cluster.stays.add("one")
    refuse(cluster, "one", "tasks")
    cluster.dag("sales", maxActiveRuns=1, tasks=[LOAD])
    cluster.run("sales", "one")
    cluster.run("sales", "two")
    status = await cluster.wait_phase("one", "Failed")
    assert (status["reason"], status["tasks"]) == ("StatusTooLarge", [])
    assert "split the Dag" in status["message"]
    await cluster.wait_phase("two", "Succeeded")
    await cluster.eventually(lambda: cluster.events("DagRun", "one"), "an Event says so")
    assert any(event["reason"] == "Failed" for event in cluster.events("DagRun", "one"))
    pods = [pod for pod in cluster.all("pods") if pod["metadata"]["name"].startswith("one-")]
    assert pods
    assert all(map(is_ended, pods)), "they are not left behind"


async def test_a_run_that_ended_well_says_so_though_its_tasks_do_not_fit(cluster: MemoryCluster) -> None:
    sent: list[Any] = []

    def check(method: str, plural: str, run: str, body: Json) -> None:
        status: Json = body.get("status") or {}
        if plural == "dagruns" and status.get("phase") == "Succeeded" and status.get("tasks"):
            sent.append(status)
            raise too_large()

    cluster.before_write = check
    cluster.dag("sales", tasks=[LOAD])
    cluster.run("sales", "one")
    status = await cluster.wait_phase("one", "Succeeded")
    assert (status["reason"], status["tasks"], status["done"]) == ("Succeeded", [], "1/1")
    assert len(sent) == 2


async def test_a_request_whose_status_does_not_fit_is_applied_with_less(cluster: MemoryCluster) -> None:
    cluster.stays.add("one")
    cluster.dag("sales", params={"day": {"type": "string", "default": "monday"}}, tasks=[LOAD])
    cluster.run("sales", "one")
    await cluster.wait_phase("one", "Running")
    refuse(cluster, "one", "params")
    record = await cluster.wait_asked("one", cluster.ask("one", "Stop"))
    assert record["state"] == "Applied"
    status = await cluster.wait_phase("one", "Failed")
    assert (status["reason"], "params" in status) == ("Stopped", False)


async def test_a_stop_ends_a_run_of_which_nothing_fits(cluster: MemoryCluster) -> None:
    cluster.stays.add("one")
    cluster.dag("sales", tasks=[LOAD])
    cluster.run("sales", "one")
    await cluster.wait_phase("one", "Running")
    refuse(cluster, "one", "tasks")
    record = await cluster.wait_asked("one", cluster.ask("one", "Stop"))
    assert record["state"] == "Applied"
    assert (await cluster.wait_phase("one", "Failed"))["tasks"] == []


async def test_a_request_that_can_only_make_it_too_large_is_refused(cluster: MemoryCluster) -> None:
    cluster.dag("sales", tasks=[LOAD])
    cluster.run("sales", "one")
    before = await cluster.wait_phase("one", "Succeeded")

    def check(method: str, plural: str, run: str, body: Json) -> None:
        status: Json = body.get("status") or {}
        if plural == "dagruns" and status.get("phase") == "Queued":
            raise too_large()

    cluster.before_write = check
    record = await cluster.wait_asked("one", cluster.ask("one", "Rerun"))
    assert (record["state"], "too large for etcd" in record["message"]) == ("Rejected", True)
    after = cluster.status("dagruns", "one")
    same = {"requests": None, "observedGeneration": None}
    assert after | same == before | same
