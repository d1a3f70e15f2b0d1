"""A run finds the runs before it in the cluster, whatever happened to them and whenever; without polling."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver import Request
from tests.unit.controller.memory_cluster import Json, MemoryCluster, nothing
from tradewind.controller.runs import previous_runs
from tradewind.engine.past_index import PastIndex
from tradewind.kube.errors import ApiError, Unreachable

pytestmark = pytest.mark.unit

LOAD: Json = {"name": "load", "image": "busybox", "args": ["load"], "dependsOnPast": True}
FAILED = "waiting for task 'load' of the previous run 'monday' (Failed)"


def day(number: int) -> str:
    return f"2026-03-0{number}T06:00:00Z"


def task(cluster: MemoryCluster, run: str, name: str = "load") -> Json:
    entries = cluster.status("dagruns", run).get("tasks", ())
    return next((entry for entry in entries if entry["name"] == name), {})


async def wait_task(cluster: MemoryCluster, run: str, message: str) -> None:
    await cluster.eventually(lambda: task(cluster, run).get("message") == message, f"{run}: {message}")
    assert task(cluster, run)["state"] == "None"


def watches(cluster: MemoryCluster) -> int:
    leader: Any = cluster.controller.leader
    return len(leader.followed)


async def monday_failed(cluster: MemoryCluster, **spec: Any) -> None:
    cluster.dag("sales", tasks=[LOAD], **spec)
    cluster.run("sales", "monday", fails=True, logicalDate=day(2))
    await cluster.wait_phase("monday", "Failed")
    cluster.run("sales", "tuesday", logicalDate=day(3))
    await wait_task(cluster, "tuesday", FAILED)


async def test_runs_go_one_after_the_other(cluster: MemoryCluster) -> None:
    cluster.dag("sales", tasks=[LOAD])
    for number, name in enumerate(("monday", "tuesday", "wednesday"), start=2):
        cluster.run("sales", name, logicalDate=day(number))
    for name in ("monday", "tuesday", "wednesday"):
        await cluster.wait_phase(name, "Succeeded")
    ends = [task(cluster, name)["queuedAt"] for name in ("monday", "tuesday", "wednesday")]
    assert ends == sorted(ends)


async def test_a_run_that_failed_keeps_the_next_until_its_task_is_marked(cluster: MemoryCluster) -> None:
    await monday_failed(cluster)
    await cluster.eventually(lambda: watches(cluster) == 1, "the failed run is watched")
    cluster.run("sales", "wednesday", logicalDate=day(4))
    await wait_task(
        cluster,
        "wednesday",
        "waiting for task 'load' of the previous run 'tuesday' (not started)",
    )
    assert watches(cluster) == 1, "a running one needs no watch of its own"

    status = cluster.status("dagruns", "monday")
    tasks = [{**status["tasks"][0], "state": "Succeeded"}]
    cluster.patch("dagruns", "monday", subresource="status", status={"tasks": tasks, "phase": "Succeeded"})

    for name in ("tuesday", "wednesday"):
        assert "message" not in (await cluster.wait_phase(name, "Succeeded"))["tasks"][0]
    assert watches(cluster) == 0


async def test_a_run_that_failed_counts_before_that_is_written(cluster: MemoryCluster) -> None:
    cluster.dag("sales", tasks=[LOAD])
    cluster.stays.add("monday")
    cluster.run("sales", "monday", fails=True, logicalDate=day(2))
    cluster.run("sales", "friday", logicalDate=day(6))
    await wait_task(cluster, "friday", "waiting for task 'load' of the previous run 'monday' (Running)")

    def refuse(method: str, plural: str, name: str, body: Json) -> None:
        if (plural, name) == ("dagruns", "monday") and "status" in body:
            raise ApiError(429, "TooManyRequests", "busy", retry_after=0.05)

    cluster.before_write = refuse
    [pod] = cluster.names("pods")
    cluster.end(pod, "monday")
    await wait_task(cluster, "friday", FAILED)
    cluster.run("sales", "tuesday", logicalDate=day(3))
    await wait_task(cluster, "tuesday", FAILED)
    cluster.before_write = nothing
    await cluster.wait_phase("monday", "Failed")
    cluster.run("sales", "wednesday", logicalDate=day(4))
    await wait_task(cluster, "wednesday", "waiting for task 'load' of the previous run 'tuesday' (not started)")


async def test_a_run_that_was_loaded_before_any_asked_counts_task_by_task(cluster: MemoryCluster) -> None:
    load, after = {**LOAD, "dependsOnPast": False}, {**LOAD, "name": "after", "dependsOn": ["load"]}
    cluster.dag("sales", tasks=[load, {**after, "dependsOnPast": False}])
    cluster.stays |= {"monday", "tuesday"}
    cluster.run("sales", "monday", logicalDate=day(2))
    await cluster.eventually(lambda: cluster.names("pods"), "monday has begun")
    cluster.patch("dags", "sales", spec={"tasks": [LOAD, after]})
    await cluster.eventually(lambda: cluster.status("dags", "sales").get("observedGeneration") == 2, "it is noticed")
    cluster.run("sales", "tuesday", logicalDate=day(3))
    await wait_task(cluster, "tuesday", "waiting for task 'load' of the previous run 'monday' (Running)")
    [pod] = cluster.names("pods")
    cluster.end(pod, "monday")
    await cluster.eventually(lambda: task(cluster, "tuesday").get("state") == "Running", "tuesday continues")
    assert task(cluster, "monday", "after")["state"] == "Running"


async def test_it_is_run_again(cluster: MemoryCluster) -> None:
    await monday_failed(cluster, maxActiveRuns=1)
    again = {"phase": "Queued", "startedAt": None, "finishedAt": None, "reason": None, "tasks": None}
    for pod in cluster.all("pods"):
        cluster.delete("pods", pod["metadata"]["name"])
    cluster.repair("monday")
    cluster.patch("dagruns", "monday", subresource="status", status=again)
    await cluster.wait_phase("monday", "Succeeded")
    await cluster.wait_phase("tuesday", "Succeeded")
    assert watches(cluster) == 0


async def test_it_is_deleted(cluster: MemoryCluster) -> None:
    cluster.dag("sales", tasks=[LOAD])
    cluster.run("sales", "sunday", logicalDate=day(1))
    await cluster.wait_phase("sunday", "Succeeded")
    await monday_failed_after(cluster)
    cluster.delete("dagruns", "monday")
    await cluster.wait_phase("tuesday", "Succeeded")


async def monday_failed_after(cluster: MemoryCluster) -> None:
    cluster.run("sales", "monday", fails=True, logicalDate=day(2))
    await cluster.wait_phase("monday", "Failed")
    cluster.run("sales", "tuesday", logicalDate=day(3))
    await wait_task(cluster, "tuesday", FAILED)


async def test_the_running_one_is_deleted(cluster: MemoryCluster) -> None:
    await monday_failed(cluster)
    cluster.run("sales", "wednesday", logicalDate=day(4))
    waits = "waiting for task 'load' of the previous run 'tuesday' (not started)"
    await wait_task(cluster, "wednesday", waits)
    cluster.delete("dagruns", "tuesday")
    await wait_task(cluster, "wednesday", FAILED)


async def test_a_restart(cluster: MemoryCluster) -> None:
    await monday_failed(cluster)
    await cluster.kill()
    await cluster.start()
    await cluster.eventually(lambda: watches(cluster) == 1, "the failed run is watched again")
    assert task(cluster, "tuesday")["message"] == FAILED
    cluster.delete("dagruns", "monday")
    await cluster.wait_phase("tuesday", "Succeeded")


async def test_it_ended_while_no_controller_watched(cluster: MemoryCluster) -> None:
    await monday_failed(cluster)
    await cluster.kill()
    tasks = [{**task(cluster, "monday"), "state": "Skipped"}]
    cluster.patch("dagruns", "monday", subresource="status", status={"tasks": tasks})
    await cluster.start()
    await cluster.wait_phase("tuesday", "Succeeded")


async def test_one_that_was_refused_is_passed_over(cluster: MemoryCluster) -> None:
    cluster.dag("sales", tasks=[LOAD], params={"region": {"enum": ["eu"], "default": "eu"}})
    cluster.run("sales", "monday", params={"region": "mars"}, logicalDate=day(2))
    cluster.run("sales", "tuesday", logicalDate=day(3))
    await cluster.wait_phase("monday", "Failed")
    await cluster.wait_phase("tuesday", "Succeeded")


async def test_an_api_server_that_does_not_answer_is_asked_again(cluster: MemoryCluster) -> None:
    await monday_failed(cluster)
    left = [1, 2]

    def broken(request: Request) -> None:
        if left and "spec.dag=" in str(request.params.get("fieldSelector")):
            left.pop()
            raise Unreachable("no answer")

    cluster.before_request = broken
    cluster.delete("dagruns", "monday")
    await cluster.wait_phase("tuesday", "Succeeded")
    assert not left


async def test_templates_see_the_runs_before(cluster: MemoryCluster) -> None:
    text = "{{ prevLogicalDate | d('none') }} {{ prevDataIntervalEndSuccess | d('none') }}"
    cluster.dag("sales", tasks=[{"name": "load", "image": "busybox", "args": [text]}], maxActiveRuns=1)
    for number, fails in ((2, False), (3, True), (4, False)):
        interval = {"start": day(number - 1), "end": day(number)}
        cluster.run("sales", f"run-{number}", fails=fails, logicalDate=day(number), dataInterval=interval)
    for number in (2, 3, 4):
        await cluster.eventually(
            lambda number=number: "finishedAt" in cluster.status("dagruns", f"run-{number}"), "it has finished"
        )
    args = {pod["metadata"]["labels"]["tradewind.dev/run"]: args_of(pod) for pod in cluster.all("pods")}
    assert args == {
        "run-2": ["none none"],
        "run-3": [f"{day(2)} {day(2)}"],
        "run-4": [f"{day(3)} {day(2)}"],
    }


async def test_templates_of_a_run_whose_start_was_never_written_see_the_runs_before(cluster: MemoryCluster) -> None:
    args = ["{{ prevLogicalDate | default('none') }}"]
    first = {"name": "first", "image": "busybox", "args": args}
    cluster.dag("sales", tasks=[first, {**first, "name": "second", "dependsOn": ["first"]}])
    cluster.run("sales", "monday", logicalDate=day(2))
    await cluster.wait_phase("monday", "Succeeded")

    def refuse(method: str, plural: str, name: str, body: Json) -> None:
        if (plural, name) == ("dagruns", "tuesday") and "status" in body:
            raise ApiError(429, "TooManyRequests", "busy", retry_after=0.05)

    cluster.before_write = refuse
    cluster.stays.add("tuesday")
    cluster.run("sales", "tuesday", logicalDate=day(3))
    await cluster.eventually(lambda: len(cluster.names("pods")) == 3, "the first task of tuesday has its Pod")
    assert not cluster.status("dagruns", "tuesday")
    await cluster.kill()
    cluster.before_write = nothing
    await cluster.start()
    cluster.stays.clear()
    cluster.end(next(name for name in cluster.names("pods") if name.startswith("tuesday")), "tuesday")
    await cluster.wait_phase("tuesday", "Succeeded")
    pods = [pod for pod in cluster.all("pods") if pod["metadata"]["name"].startswith("tuesday")]
    assert [args_of(pod) for pod in pods] == [[day(2)], [day(2)]]


async def test_of_many_runs_each_is_noted_once(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.dag("sales", tasks=[LOAD], maxActiveRuns=1)
    cluster.stays.add("run-10")
    names = [f"run-{number}" for number in range(10, 60)]
    for hour, name in enumerate(names):
        cluster.run("sales", name, logicalDate=f"2026-03-{2 + hour // 24:02}T{hour % 24:02}:00:00Z")
    await cluster.eventually(
        lambda: all(cluster.status("dagruns", name).get("phase") for name in names), "all are loaded"
    )
    await cluster.stop()
    noted: list[str] = []
    note = PastIndex.note
    monkeypatch.setattr(PastIndex, "note", lambda index, run: (noted.append(run.uid), note(index, run))[1])
    monkeypatch.setattr(previous_runs, "NOTED_AT_ONCE", 7)
    await cluster.start()
    leader: Any = cluster.controller.leader
    await cluster.eventually(lambda: len(leader.runs.records) == len(names), "all are loaded again")
    assert len(noted) == len(set(noted)) == len(names)
    cluster.stays.clear()
    [pod] = cluster.names("pods")
    cluster.end(pod, "run-10")
    for name in names[:4]:
        await cluster.wait_phase(name, "Succeeded")


def args_of(pod: Json) -> list[str]:
    args: list[str] = pod["spec"]["containers"][0]["args"]
    return args


async def test_a_dag_that_does_not_ask_costs_nothing(cluster: MemoryCluster) -> None:
    asked: list[Request] = []
    cluster.before_request = asked.append
    cluster.dag("plain")
    cluster.run("plain", "monday", logicalDate=day(2))
    await cluster.wait_phase("monday", "Succeeded")
    selectors = [str(request.params.get("fieldSelector")) for request in asked if request.method == "GET"]
    assert not [selector for selector in selectors if "spec.dag=" in selector]
