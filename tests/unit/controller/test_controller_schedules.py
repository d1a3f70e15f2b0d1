"""The runs that a schedule makes: when there are none, and what else may have the name of one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from memory_cluster import Json, MemoryCluster

pytestmark = pytest.mark.unit

HOLD = {"finalizers": ["example.com/hold"]}


def condition(cluster: MemoryCluster, kind: str = "Scheduled") -> Json:
    conditions = cluster.status("dags", "d").get("conditions") or ()
    return next((each for each in conditions if each["type"] == kind), {})


def days_ago(days: int) -> str:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


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
    assert cluster.status("dagruns", "asked")["message"] == "waits: Dag 'd' is being deleted"
    await asyncio.sleep(1.5)
    assert set(cluster.names("dagruns")) == {*made, "asked"}
    assert images(cluster) == {"busybox"}


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
