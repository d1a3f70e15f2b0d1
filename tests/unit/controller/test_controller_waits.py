"""waitFor in a cluster: what is waited for comes, moves, ends, goes, and the task says how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.apiserver import Request
from tests.unit.controller.memory_cluster import Json, MemoryCluster
from tradewind.controller import leader as leading
from tradewind.controller.kinds.wait_for.api_kinds import Kinds, NoSuchKind
from tradewind.controller.kinds.wait_for.objects import condition_of, value_at
from tradewind.engine.scheduler import Plan
from tradewind.kube.errors import ApiError, Unreachable

pytestmark = pytest.mark.unit

MONDAY, TUESDAY = "2026-03-02T06:00:00Z", "2026-03-03T06:00:00Z"
READY: Json = {"apiVersion": "v1", "kind": "Pod", "name": "import", "condition": {"type": "Ready"}}


def pod(cluster: MemoryCluster, name: str = "import", **status: Any) -> None:
    """Create a Pod that belongs to no run."""
    cluster.create("pods", name, spec={"containers": [{"name": "main", "image": "busybox"}]})
    if status:
        cluster.patch("pods", name, subresource="status", status=status)


def conditions(status: str) -> Json:
    return {"conditions": [{"type": "Ready", "status": status}]}


def waiting(cluster: MemoryCluster, *, date: str = MONDAY, sensor: Json | None = None, **wait_for: Any) -> None:
    """A Dag with one task that waits, and a run of it."""
    task = {"name": "wait", "waitFor": wait_for, **({"sensor": sensor} if sensor else {})}
    cluster.dag("report", tasks=[task])
    cluster.run("report", "report", logicalDate=date)


def entry(cluster: MemoryCluster, run: str = "report", place: int = 0) -> Json:
    tasks = cluster.status("dagruns", run).get("tasks") or []
    return dict(tasks[place]) if place < len(tasks) else {}


async def says(cluster: MemoryCluster, message: str, run: str = "report", place: int = 0) -> Json:
    await cluster.eventually(lambda: entry(cluster, run, place).get("message") == message, message)
    return entry(cluster, run, place)


async def waits_as(cluster: MemoryCluster, reason: str, message: str) -> None:
    found = await says(cluster, message)
    assert (found["state"], found["reason"]) == ("UpForReschedule", reason)


async def ended(cluster: MemoryCluster, state: str, *, watched: int = 0) -> Json:
    """The task has finished, and only `watched` objects still have watches."""
    await cluster.eventually(lambda: entry(cluster).get("state") == state, f"it is {state}")
    await cluster.eventually(lambda: held(cluster) == 2 * watched, "nothing is waited for any more")
    return entry(cluster)


def held(cluster: MemoryCluster) -> int:
    leader: Any = cluster.controller.leader
    return len(leader.carriers["WaitFor"]) + len(leader.carriers["WaitFor"].objects)


# Runs of Dags -------------------------------------------------------------------------------------------------------


async def test_a_run_that_comes_later(cluster: MemoryCluster) -> None:
    waiting(cluster, dagRun={"dag": "sales"})
    await waits_as(cluster, "RunNotFound", "waiting for a run of Dag 'sales', which does not exist")
    cluster.dag("sales", maxActiveRuns=1)
    await says(cluster, f"waiting for a run of Dag 'sales' with the logical date {MONDAY}: none exists yet")
    cluster.run("sales", "other", logicalDate=TUESDAY)
    await cluster.wait_phase("other", "Succeeded")
    assert entry(cluster)["state"] == "UpForReschedule"
    cluster.run("sales", "monday", logicalDate=MONDAY)
    await ended(cluster, "Succeeded")
    assert "message" not in (await cluster.wait_phase("report", "Succeeded"))["tasks"][0]


async def test_one_that_has_finished_already(cluster: MemoryCluster) -> None:
    cluster.dag("sales")
    cluster.run("sales", "monday", logicalDate=MONDAY)
    await cluster.wait_phase("monday", "Succeeded")
    waiting(cluster, dagRun={"dag": "sales"})
    await ended(cluster, "Succeeded")


async def test_a_task_of_a_running_one(cluster: MemoryCluster) -> None:
    tasks: list[Json] = [
        {"name": "load", "image": "busybox", "args": ["load"]},
        {"name": "gate", "waitFor": {"object": {**READY, "name": "gate"}}},
    ]
    cluster.dag("sales", tasks=tasks)
    cluster.run("sales", "monday", logicalDate=MONDAY)
    waiting(cluster, dagRun={"dag": "sales", "task": "load"})
    await cluster.wait_phase("report", "Succeeded")
    await cluster.wait_phase("monday", "Running")
    waiting_for_gate = {"name": "wait", "waitFor": {"dagRun": {"dag": "sales", "task": "gate"}}}
    cluster.dag("gated", tasks=[waiting_for_gate])
    cluster.run("gated", "gated", logicalDate=MONDAY)
    await says(cluster, "waiting for task 'gate' of run 'monday' of Dag 'sales': UpForReschedule", "gated")


async def test_a_task_of_one_that_has_finished(cluster: MemoryCluster) -> None:
    cluster.dag("sales")
    cluster.run("sales", "monday", fails=True, logicalDate=MONDAY)
    await cluster.wait_phase("monday", "Failed")
    waiting(cluster, dagRun={"dag": "sales", "task": "load", "states": ["Failed"]})
    await ended(cluster, "Succeeded")


@pytest.mark.parametrize("soft", [False, True])
async def test_one_that_ends_otherwise(cluster: MemoryCluster, soft: bool) -> None:
    waiting(cluster, dagRun={"dag": "sales"}, sensor={"softFail": soft})
    cluster.dag("sales")
    cluster.run("sales", "monday", fails=True, logicalDate=MONDAY)
    found = await ended(cluster, "Skipped" if soft else "Failed")
    assert (found["reason"], found["message"]) == ("WaitedForEnded", "run 'monday' of Dag 'sales' finished as Failed")


async def test_one_that_has_no_such_task(cluster: MemoryCluster) -> None:
    cluster.dag("sales")
    cluster.run("sales", "monday", logicalDate=MONDAY)
    waiting(cluster, dagRun={"dag": "sales", "task": "lod"})
    found = await ended(cluster, "Failed")
    assert found["message"] == "run 'monday' of Dag 'sales' has no task 'lod'"


async def test_another_try_may_find_it_better(cluster: MemoryCluster) -> None:
    cluster.dag("sales")
    cluster.run("sales", "monday", fails=True, logicalDate=MONDAY)
    await cluster.wait_phase("monday", "Failed")
    task = {"name": "wait", "waitFor": {"dagRun": {"dag": "sales"}}, "retries": {"limit": 2, "delay": "1s"}}
    cluster.dag("report", tasks=[task])
    cluster.run("report", "report", logicalDate=MONDAY)
    await cluster.eventually(lambda: entry(cluster).get("try") == 2, "it tries again")
    cluster.patch("dagruns", "monday", subresource="status", status={"phase": "Succeeded"})
    await ended(cluster, "Succeeded")


@pytest.mark.parametrize(
    ("fields", "date"),
    [
        ({"offset": "-1d"}, MONDAY),
        ({"logicalDate": "{{ ds }}T06:00:00Z", "offset": "-24h"}, MONDAY),
        ({"logicalDate": "2026-03-02T07:00:00+01:00"}, MONDAY),
        ({"window": "1d"}, MONDAY),
        ({"window": "1d"}, TUESDAY),
        ({"offset": "-12h", "window": "12h"}, MONDAY),
    ],
)
async def test_which_run(cluster: MemoryCluster, fields: Json, date: str) -> None:
    cluster.dag("sales")
    cluster.run("sales", "found", logicalDate=date)
    await cluster.wait_phase("found", "Succeeded")
    waiting(cluster, date=TUESDAY, dagRun={"dag": "sales", **fields})
    await ended(cluster, "Succeeded")


async def test_in_a_window_another_run_may_yet_come(cluster: MemoryCluster) -> None:
    cluster.dag("sales")
    cluster.run("sales", "monday", fails=True, logicalDate=MONDAY)
    waiting(cluster, date=TUESDAY, dagRun={"dag": "sales", "window": "1d"})
    dates = f"a logical date from {MONDAY} to {TUESDAY}"
    why = "run 'monday' of Dag 'sales' finished as Failed"
    await says(cluster, f"waiting for another run of Dag 'sales' with {dates}: {why}")
    cluster.run("sales", "before", logicalDate="2026-03-02T05:59:59Z")
    await cluster.wait_phase("before", "Succeeded")
    cluster.run("sales", "later", logicalDate="2026-03-02T18:00:00Z")
    await ended(cluster, "Succeeded")


async def test_a_run_that_is_deleted_or_run_again_while_waited_for(cluster: MemoryCluster) -> None:
    gate = {"name": "gate", "waitFor": {"object": READY}}
    cluster.dag("sales", tasks=[gate])
    cluster.run("sales", "monday", logicalDate=MONDAY)
    waiting(cluster, dagRun={"dag": "sales"})
    await says(cluster, "waiting for run 'monday' of Dag 'sales': Running")
    cluster.delete("dagruns", "monday")
    await says(cluster, f"waiting for a run of Dag 'sales' with the logical date {MONDAY}: none exists yet")
    cluster.run("sales", "again", logicalDate=MONDAY)
    await says(cluster, "waiting for run 'again' of Dag 'sales': Running")
    pod(cluster, **conditions("True"))
    await ended(cluster, "Succeeded")


async def test_after_a_restart(cluster: MemoryCluster) -> None:
    waiting(cluster, dagRun={"dag": "sales"})
    cluster.dag("sales")
    await says(cluster, f"waiting for a run of Dag 'sales' with the logical date {MONDAY}: none exists yet")
    await cluster.kill()
    status = {"phase": "Succeeded", "logicalDate": MONDAY, "finishedAt": TUESDAY}
    cluster.run("sales", "monday", logicalDate=MONDAY)
    cluster.patch("dagruns", "monday", subresource="status", status=status)
    await cluster.start()
    await ended(cluster, "Succeeded")


async def test_one_that_is_loaded_late(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing happens in the run then, so no other event would reveal that the task had finished before."""
    monkeypatch.setattr(leading, "FIRST_LOADS_WITHIN", 0.05)
    load = {"name": "load", "image": "busybox", "args": ["load"]}
    cluster.dag("sales", tasks=[load, {"name": "gate", "waitFor": {"object": READY}}])
    cluster.run("sales", "monday", logicalDate=MONDAY)
    await says(cluster, "waiting for Pod 'import', which does not exist", "monday", 1)
    await cluster.kill()
    waiting(cluster, dagRun={"dag": "sales", "task": "load"})
    broken = [True]

    def failing(request: Request) -> None:
        if "/controllerrevisions/sales" in request.path and request.method == "GET" and broken:
            raise Unreachable("no answer")

    cluster.before_request = failing
    await cluster.start()
    await says(cluster, "waiting for task 'load' of run 'monday' of Dag 'sales': Running")
    broken.clear()
    await ended(cluster, "Succeeded", watched=1)


async def test_many_who_begin_together_read_once(cluster: MemoryCluster) -> None:
    lists = []

    def noting(request: Request) -> None:
        if "spec.dag=sales" in str(request.params.get("fieldSelector")):
            lists.append(request.path)
            if len(lists) == 1:
                raise Unreachable("no answer")

    cluster.before_request = noting
    cluster.dag("sales")
    task = {"name": "wait", "forEach": {"items": [f"2026-03-{day:02}" for day in range(1, 29)]}}
    task["waitFor"] = {"dagRun": {"dag": "sales", "logicalDate": "{{ item }}T06:00:00Z"}}
    cluster.dag("report", tasks=[task])
    cluster.run("report", "report", logicalDate=MONDAY)
    await cluster.eventually(lambda: held(cluster) == 28, "all wait")
    await cluster.eventually(lambda: "none exists yet" in str(entry(cluster)), "all know")
    assert len(lists) == 2
    for day in range(1, 29):
        cluster.run("sales", f"run-{day}", logicalDate=f"2026-03-{day:02}T06:00:00Z")
    await cluster.wait_phase("report", "Succeeded")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"logicalDate": "{{ dag.name }}"}, "waitFor.dagRun.logicalDate: 'report' is not a time with a zone"),
        ({"logicalDate": "{{ tasks.other.output }}"}, "waitFor.dagRun.logicalDate: "),
        ({"logicalDate": "9999-12-31T00:00:00Z", "offset": "9d"}, "waitFor.dagRun: offset or window leads to a date"),
    ],
)
async def test_dates_that_make_no_sense(cluster: MemoryCluster, fields: Json, message: str) -> None:
    task: Json = {"name": "wait", "waitFor": {"dagRun": {"dag": "sales", **fields}}}
    other: Json = {"name": "other", "noop": True}
    cluster.dag("report", tasks=[{**task, "dependsOn": ["other"]}, other])
    cluster.run("report", "report", logicalDate=TUESDAY)
    status = await cluster.wait_phase("report", "Failed")
    [found] = [each for each in status["tasks"] if each["name"] == "wait"]
    assert found["reason"] == "InvalidTemplate"
    assert found["message"].startswith(message)


# Objects ------------------------------------------------------------------------------------------------------------


async def test_a_condition(cluster: MemoryCluster) -> None:
    waiting(cluster, object={**READY, "name": "import-{{ ds }}"})
    await waits_as(cluster, "ObjectNotFound", "waiting for Pod 'import-2026-03-02', which does not exist")
    pod(cluster, "import-2026-03-02")
    await waits_as(cluster, "ConditionNotMet", "waiting for Pod 'import-2026-03-02': Ready is not set yet")
    cluster.patch("pods", "import-2026-03-02", subresource="status", status=conditions("False"))
    await says(cluster, "waiting for Pod 'import-2026-03-02': Ready is False")
    cluster.delete("pods", "import-2026-03-02")
    await says(cluster, "waiting for Pod 'import-2026-03-02', which does not exist")
    pod(cluster, "import-2026-03-02", **conditions("True"))
    await ended(cluster, "Succeeded")


async def test_a_value(cluster: MemoryCluster) -> None:
    wanted = {"apiVersion": "v1", "kind": "Pod", "name": "import", "jsonPath": ".status.phase", "value": "Running"}
    pod(cluster)
    waiting(cluster, object=wanted)
    await waits_as(cluster, "ValueNotMet", "waiting for Pod 'import': .status.phase is 'Pending', not 'Running'")
    cluster.patch("pods", "import", subresource="status", status={"phase": "Running"})
    await ended(cluster, "Succeeded")


async def test_one_watch_for_all_who_want_the_same(cluster: MemoryCluster) -> None:
    waits = {"name": "wait", "waitFor": {"object": READY}, "forEach": {"items": [1, 2, 3]}}
    cluster.dag("report", tasks=[waits], maxActiveRuns=3)
    for number in range(3):
        cluster.run("report", f"report-{number}", logicalDate=MONDAY)
    leader: Any = cluster.controller.leader
    await cluster.eventually(lambda: len(leader.carriers["WaitFor"]) == 9, "all wait")
    await cluster.eventually(lambda: "does not exist" in str(entry(cluster, "report-2")), "all know")
    assert len(leader.carriers["WaitFor"].objects) == 1
    cluster.delete("dagruns", "report-0")
    await cluster.eventually(lambda: len(leader.carriers["WaitFor"]) == 6, "those of a run that is gone wait no more")
    assert len(leader.carriers["WaitFor"].objects) == 1
    pod(cluster, **conditions("True"))
    for number in (1, 2):
        await cluster.wait_phase(f"report-{number}", "Succeeded")
    await cluster.eventually(lambda: not held(cluster), "nothing is watched any more")


async def test_the_time_is_up(cluster: MemoryCluster) -> None:
    waiting(cluster, object=READY, sensor={"timeout": "1s"})
    found = await ended(cluster, "Failed")
    assert found["reason"] == "SensorTimeout"


@pytest.mark.parametrize(
    ("wanted", "reason", "message"),
    [
        ({"apiVersion": "apps/v2"}, "NoSuchKind", "waitFor.object: the cluster has no API 'apps/v2'"),
        ({"kind": "Pods"}, "NoSuchKind", "waitFor.object: the cluster has no kind 'Pods' in 'v1'"),
        ({"kind": "Namespace"}, "NoSuchKind", "kind 'Namespace' is not namespaced"),
        ({"kind": "Secret"}, "Forbidden", "tasks cannot wait for a Secret"),
        ({"name": "{{ params.name }}"}, "InvalidName", "'a,metadata.namespace=b' is not a valid name of an object"),
    ],
)
async def test_what_cannot_be_waited_for(cluster: MemoryCluster, wanted: Json, reason: str, message: str) -> None:
    task = {"name": "wait", "waitFor": {"object": READY | wanted}}
    cluster.dag("report", tasks=[task], params={"name": {"default": "a,metadata.namespace=b"}})
    cluster.run("report", "report", logicalDate=MONDAY)
    found = await ended(cluster, "Failed")
    assert found["reason"] == reason
    assert message in found["message"]


async def test_a_kind_that_may_not_be_read(cluster: MemoryCluster) -> None:
    """The task reports it, and continues once the permission is granted."""
    denied = [True]

    def refusing(request: Request) -> None:
        if "metadata.name=" in str(request.params.get("fieldSelector")) and denied:
            raise ApiError(403, "Forbidden", "no")

    cluster.before_request = refusing
    waiting(cluster, object=READY)
    why = "the controller may not read pods: add them to waitFor.resources of the Helm chart"
    await waits_as(cluster, "Forbidden", f"waiting for Pod 'import', but {why}")
    denied.clear()
    await says(cluster, "waiting for Pod 'import', which does not exist")


async def test_discovery_that_does_not_answer(cluster: MemoryCluster) -> None:
    broken = [True]

    def failing(request: Request) -> None:
        if request.path == "/api/v1" and broken:
            raise Unreachable("no answer")

    cluster.before_request = failing
    waiting(cluster, object=READY)
    await waits_as(cluster, "ApiUnavailable", "cannot look up kind 'Pod': no answer")
    broken.clear()
    await says(cluster, "waiting for Pod 'import', which does not exist")


async def test_nothing_is_asked_while_it_waits(cluster: MemoryCluster) -> None:
    cluster.dag("sales")
    tasks: list[Json] = [
        {"name": "run", "waitFor": {"dagRun": {"dag": "sales"}}},
        {"name": "object", "waitFor": {"object": READY}},
    ]
    cluster.dag("report", tasks=tasks)
    cluster.run("report", "report", logicalDate=MONDAY)
    await cluster.eventually(lambda: str(cluster.status("dagruns", "report")).count("message") >= 4, "both wait")
    await asyncio.sleep(0.2)
    asked: list[str] = []
    cluster.before_request = lambda request: asked.append(request.path)
    await asyncio.sleep(1)
    assert not [path for path in asked if "leases" not in path]


async def test_kinds_that_cannot_be_watched() -> None:
    class Client:
        async def request(self, method: str, path: str) -> Json:
            bindings = {"name": "bindings", "kind": "Binding", "namespaced": True, "verbs": ["create"]}
            return {"resources": [{**bindings, "name": "pods/binding"}, bindings]}

    client: Any = Client()
    with pytest.raises(NoSuchKind, match="kind 'Binding' cannot be listed and watched"):
        await Kinds(client).find("v1", "Binding")


def test_conditions() -> None:
    found: Json = {"metadata": {"generation": 3}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert condition_of(found, "Ready") == "True"
    assert condition_of(found, "Other") is None
    assert condition_of({"metadata": {}}, "Ready") is None
    assert condition_of({"metadata": {}, "status": {"conditions": {"Ready": "True"}}}, "Ready") is None
    found["status"]["conditions"][0]["observedGeneration"] = 2
    assert condition_of(found, "Ready") is None, "it speaks of the object as it was"
    found["status"]["conditions"][0]["observedGeneration"] = 3
    assert condition_of(found, "Ready") == "True"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("a",), (True, "text")),
        (("b", 1), (True, "2")),
        (("b", 2), (False, "")),
        (("b", "x"), (False, "")),
        (("c",), (True, "true")),
        (("d",), (True, "null")),
        (("e",), (True, '{"x":1.5}')),
        (("a", "x"), (False, "")),
        (("no",), (False, "")),
    ],
)
def test_values(path: tuple[str | int, ...], expected: tuple[bool, str]) -> None:
    assert value_at({"a": "text", "b": [1, 2], "c": True, "d": None, "e": {"x": 1.5}}, path) == expected


async def test_a_finished_wait_is_forgotten_while_its_run_continues(cluster: MemoryCluster) -> None:
    wait = {"object": READY}
    brief = {"name": "brief", "waitFor": wait, "sensor": {"timeout": "1s", "softFail": True}}
    cluster.stays.add("report")
    cluster.dag("report", tasks=[brief, {"name": "long", "image": "busybox"}])
    cluster.run("report", "report")
    await cluster.eventually(lambda: entry(cluster).get("state") == "Skipped", "it has given up")
    await cluster.eventually(lambda: held(cluster) == 0, "nothing is waited for any more")
    assert cluster.status("dagruns", "report")["phase"] == "Running"


@pytest.mark.parametrize(("length", "shown"), [(100, 100), (101, 100)])
async def test_a_long_value_is_shown_in_part(cluster: MemoryCluster, length: int, shown: int) -> None:
    wanted = {"apiVersion": "v1", "kind": "Pod", "name": "import", "jsonPath": ".status.message", "value": "y" * length}
    pod(cluster, message="x" * length)
    waiting(cluster, object=wanted)
    message = f"waiting for Pod 'import': .status.message is {'x' * shown!r}, not {'y' * shown!r}"
    await waits_as(cluster, "ValueNotMet", message)


async def test_an_unexpected_error_fails_the_wait(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("what?")

    leader: Any = cluster.controller.leader
    monkeypatch.setattr(leader.carriers["WaitFor"]._objects, "begin", fail)
    waiting(cluster, object=READY)
    await cluster.wait_phase("report", "Failed")
    assert (entry(cluster)["reason"], entry(cluster)["message"]) == ("InternalError", "KeyError('what?')")
    await cluster.eventually(lambda: held(cluster) == 0, "it is forgotten")


async def test_a_step_of_the_loop_begins_so_many_waits(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    leader: Any = cluster.controller.leader
    scheduler, begun = leader.scheduler, list[int]()
    plan: Callable[[datetime], Plan] = scheduler.plan

    def noted(now: datetime) -> Plan:
        found = plan(now)
        begun.append(len(found.waits))
        return found

    monkeypatch.setattr(scheduler, "plan", noted)
    count = 2 * leading.WAITS_AT_ONCE + 1
    wait = {"name": "wait", "waitFor": {"dagRun": {"dag": "sales"}}, "forEach": {"items": list(range(count))}}
    cluster.dag("report", tasks=[wait])
    cluster.run("report", "report", logicalDate=MONDAY)
    await cluster.eventually(lambda: sum(begun) == count, "all have begun")
    assert max(begun) == leading.WAITS_AT_ONCE
    everyone = {"UpForReschedule": f"0-{count - 1}"}
    await cluster.eventually(lambda: entry(cluster).get("indexes") == everyone, "status says so")
