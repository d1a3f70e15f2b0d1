"""The runs that a schedule makes: when there are none, and what else may have the name of one."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.apiserver import ControllerManager
from tests.unit.controller.memory_cluster import ApiError, Json, MemoryCluster, days_ago, nothing
from tradewind.aio import background
from tradewind.controller.dags import dags, entry

pytestmark = pytest.mark.unit

HOLD = {"finalizers": ["example.com/hold"]}


def condition(cluster: MemoryCluster, kind: str = "Scheduled") -> Json:
    conditions = cluster.status("dags", "d").get("conditions") or ()
    return next((each for each in conditions if each["type"] == kind), {})


def images(cluster: MemoryCluster) -> set[Any]:
    return {pod["spec"]["containers"][0]["image"] for pod in cluster.all("pods")}


async def test_a_dag_that_is_being_deleted_is_not_scheduled_and_gives_no_run_its_spec(cluster: MemoryCluster) -> None:
    cluster.dag("d", schedule={"every": "1s"})
    cluster.patch("dags", "d", metadata=HOLD)
    await cluster.eventually(lambda: cluster.names("dagruns"), "the first run")
    cluster.delete("dags", "d")
    await cluster.eventually(lambda: condition(cluster)["reason"] == "Deleting", "its condition")
    assert condition(cluster)["status"] == "False"
    assert "nextScheduleTime" not in cluster.status("dags", "d")
    made = cluster.names("dagruns")
    cluster.patch("dags", "d", spec={"tasks": [{"name": "other", "image": "other", "args": ["x"]}]})
    cluster.run("d", "asked")
    await cluster.eventually(lambda: cluster.status("dagruns", "asked").get("reason") == "DagDeleting", "it waits")
    assert cluster.status("dagruns", "asked")["message"] == "waiting: Dag 'd' is being deleted"
    await asyncio.sleep(1.5)
    assert set(cluster.names("dagruns")) == {*made, "asked"}
    assert images(cluster) <= {"busybox"}


async def test_nor_by_the_next_controller(cluster: MemoryCluster) -> None:
    cluster.dag("d", schedule={"every": "1s"}, suspend=True)
    cluster.patch("dags", "d", metadata=HOLD)
    await cluster.eventually(lambda: condition(cluster), "its condition")
    await cluster.stop()
    cluster.patch("dags", "d", spec={"suspend": False})
    cluster.run("d", "asked")
    cluster.delete("dags", "d")
    await cluster.start()
    await cluster.eventually(lambda: condition(cluster)["reason"] == "Deleting", "its condition")
    await asyncio.sleep(1.5)
    assert (cluster.names("dagruns"), cluster.names("pods")) == (["asked"], [])


async def test_a_run_that_is_being_deleted_gets_no_new_tries(cluster: MemoryCluster) -> None:
    tasks = [{"name": "a", "image": "busybox"}, {"name": "b", "image": "busybox", "dependsOn": ["a"]}]
    cluster.dag("d", tasks=tasks)
    cluster.stays.add("r")
    cluster.run("d", "r")
    cluster.patch("dagruns", "r", metadata=HOLD)
    [pod] = await cluster.eventually(lambda: cluster.names("pods"), "a Pod")
    cluster.delete("dagruns", "r")
    await asyncio.sleep(0.1)
    cluster.end(pod, "r")
    done = {"name": "a", "state": "Succeeded"}
    await cluster.eventually(
        lambda: any(done.items() <= task.items() for task in cluster.status("dagruns", "r").get("tasks", ())), "a ends"
    )
    await asyncio.sleep(0.3)
    assert cluster.names("pods") == [pod]


async def test_a_start_date_that_is_set_later_is_waited_for(cluster: MemoryCluster) -> None:
    cluster.dag("d", schedule={"every": "1s"})
    await cluster.eventually(lambda: cluster.names("dagruns"), "the first run")
    cluster.patch("dags", "d", spec={"startDate": days_ago(-30)})
    await cluster.eventually(lambda: cluster.status("dags", "d").get("observedGeneration") == 2, "it is seen")
    made = cluster.names("dagruns")
    await asyncio.sleep(1.5)
    assert cluster.names("dagruns") == made
    assert cluster.status("dags", "d")["nextScheduleTime"] == days_ago(-30)


# What else has the name -----------------------------------------------------------------------------------------------


def name_of(days: int) -> str:
    return f"d-{days_ago(days)[:-1].replace('-', '').replace(':', '').lower()}"


def uids(cluster: MemoryCluster) -> dict[str, str]:
    return {run["metadata"]["name"]: run["metadata"]["uid"] for run in cluster.all("dagruns")}


def owned_by(uid: str) -> Json:
    owner = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "Dag", "name": "d", "uid": uid, "controller": True}
    return {"ownerReferences": [owner]}


DAILY: Json = {"schedule": "0 0 * * *", "startDate": days_ago(3), "catchup": True}


async def test_a_dag_that_is_recreated_waits_for_the_runs_of_the_one_before_to_go(cluster: MemoryCluster) -> None:
    """`kubectl replace --force`: the garbage collector takes a while."""
    ControllerManager(cluster.server, lambda: 2.0)
    cluster.dag("d", **DAILY)
    await cluster.eventually(lambda: cluster.succeeded() == 4, "all ticks had their run")
    old = uids(cluster)
    cluster.delete("dags", "d")
    cluster.dag("d", **DAILY)
    await cluster.eventually(lambda: condition(cluster).get("reason") == "OldRun", "it waits")
    assert condition(cluster)["status"] == "False"
    assert name_of(3) in condition(cluster)["message"]
    assert "lastScheduleTime" not in cluster.status("dags", "d")
    await cluster.eventually(
        lambda: cluster.succeeded() == 4 and not set(uids(cluster).values()) & set(old.values()), ""
    )
    assert set(uids(cluster)) == set(old)
    await cluster.eventually(lambda: condition(cluster)["reason"] == "Scheduled", "its condition")


async def test_it_asks_rarely_when_they_do_not_go(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "OLD_RUN_BACKOFF", (0.1, 30.0))
    tried: list[str] = []
    cluster.before_write = lambda method, plural, name, body: (
        tried.append(name) if (method, plural) == ("POST", "dagruns") else None
    )
    cluster.create("dagruns", name_of(0), metadata=owned_by("gone"), spec={"dag": "d", "type": "Scheduled"})
    cluster.dag("d", **{**DAILY, "startDate": days_ago(0)})
    await asyncio.sleep(1.5)
    assert 3 <= len(tried) <= 6


@pytest.mark.parametrize(
    ("spec", "whose"),
    [({"dag": "other", "type": "Scheduled"}, "of Dag 'other'"), ({"dag": "d"}, "which a user created")],
)
async def test_a_tick_whose_name_something_else_has_gets_no_run_and_that_is_reported(
    cluster: MemoryCluster, spec: Json, whose: str
) -> None:
    cluster.create("dagruns", name_of(1), spec=spec)
    cluster.dag("d", **DAILY, suspend=True)
    await cluster.eventually(lambda: condition(cluster), "it is seen")
    cluster.patch("dags", "d", spec={"suspend": False, "endDate": days_ago(1)})
    await cluster.eventually(lambda: condition(cluster)["reason"] == "NameTaken", "its condition")
    message = f"no run for tick {days_ago(1)}: its name is taken by DagRun '{name_of(1)}' {whose}"
    assert (condition(cluster)["status"], condition(cluster)["message"]) == ("True", message)
    assert cluster.status("dags", "d")["lastScheduleTime"] == days_ago(1)
    notes = lambda: [event["note"] for event in cluster.events("Dag", "d") if event["reason"] == "NameTaken"]  # noqa: E731
    assert await cluster.eventually(notes, "an Event") == [message]
    cluster.patch("dags", "d", spec={"endDate": None})
    await cluster.eventually(lambda: condition(cluster)["reason"] == "Scheduled", "the next tick has its run")
    assert set(uids(cluster)) == {name_of(days) for days in range(4)}


async def test_a_run_that_the_last_controller_made_is_the_run_of_its_tick(cluster: MemoryCluster) -> None:
    """It died before that was written; since then the deletion of the run was requested, and a finalizer blocks it."""
    cluster.before_write = lambda method, plural, name, body: (
        cluster.die() if (method, plural) == ("PATCH", "dags") and "lastScheduleTime" in body["status"] else None
    )
    cluster.dag("d", **{**DAILY, "startDate": days_ago(0)})
    await cluster.eventually(lambda: cluster._client.dead, "the controller is dead")
    old = uids(cluster)
    cluster.patch("dagruns", name_of(0), metadata=HOLD)
    cluster.delete("dagruns", name_of(0))
    cluster.before_write = nothing
    await cluster.kill()
    await cluster.start()
    await cluster.eventually(lambda: cluster.status("dags", "d").get("lastScheduleTime") == days_ago(0), "it is known")
    assert uids(cluster) == old
    assert condition(cluster)["reason"] == "Scheduled"


async def test_an_unexpected_error_does_not_end_a_schedule(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.failures_expected = True
    monkeypatch.setattr(background, "FIRST_PAUSE", 0.05)
    leader = cluster.controller.leader
    assert leader is not None
    make, failed = leader.dags._runs.create, list[Any]()

    async def fails(*arguments: Any, **options: Any) -> Any:
        if not failed:
            failed.append(arguments)
            raise RuntimeError("unexpected")
        return await make(*arguments, **options)

    monkeypatch.setattr(leader.dags._runs, "create", fails)
    cluster.dag("d", **DAILY)
    await cluster.eventually(lambda: len(uids(cluster)) == 4, "all ticks have their run")
    assert failed


async def test_no_run_is_made_of_a_dag_that_is_deleted_while_the_server_is_busy(cluster: MemoryCluster) -> None:
    busy = True

    def before(method: str, plural: str, name: str, body: Json) -> None:
        if busy and (method, plural) == ("POST", "dagruns"):
            raise ApiError(429, "TooManyRequests", "busy", retry_after=0.1)

    cluster.before_write = before
    cluster.dag("d", **DAILY)
    cluster.patch("dags", "d", metadata=HOLD)
    await asyncio.sleep(0.3)
    cluster.delete("dags", "d")
    await cluster.eventually(lambda: condition(cluster).get("reason") == "Deleting", "its condition")
    busy = False
    await asyncio.sleep(0.5)
    assert uids(cluster) == {}


async def test_a_run_that_no_watch_delivered_takes_no_room_once_it_is_deleted(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dags, "MISSED_AFTER", timedelta(seconds=0.2))
    requests: list[str] = []
    cluster.before_request = lambda request: requests.append(f"{request.method} {request.path}")
    for informer in cluster.controller.cluster.informers:
        if informer.resource.plural == "dagruns":
            monkeypatch.setattr(informer, "_keep", lambda key: False)
    cluster.dag("d", schedule={"every": "1s"}, maxActiveRuns=1)
    await cluster.eventually(lambda: cluster.names("dagruns"), "the first run")
    [unseen] = cluster.names("dagruns")
    await asyncio.sleep(1.5)
    assert cluster.names("dagruns") == [unseen], "as long as it is there it counts"
    looked = requests.count(f"GET /apis/tradewind.dev/v1alpha1/namespaces/ns/dagruns/{unseen}")
    assert 2 <= looked <= 8, "it is looked for from time to time"
    cluster.delete("dagruns", unseen)
    await cluster.eventually(lambda: cluster.names("dagruns"), "the next run")
