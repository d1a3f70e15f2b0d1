"""Pool.status tells how its slots are used, at a price that does not grow with the tasks."""

from __future__ import annotations

import pytest

from tests.unit.controller.memory_cluster import ApiError, Json, MemoryCluster, nothing
from tradewind.controller.pods import pools

pytestmark = pytest.mark.unit

SIX = [{"name": f"t{number}", "image": "busybox", "pool": "db"} for number in range(6)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "SETTLE", 0.05)
    monkeypatch.setattr(pools, "WRITE_EVERY", 0.2)
    monkeypatch.setattr(pools, "COUNTED_IN_A_ROW", 2)


def pool(cluster: MemoryCluster, name: str = "db", slots: int = 2) -> None:
    cluster.create("pools", name, spec={"slots": slots})


async def says(cluster: MemoryCluster, used: int, waiting: int, *, name: str = "db", generation: int = 1) -> None:
    wanted = {"observedGeneration": generation, "used": used, "waiting": waiting}
    await cluster.eventually(lambda: cluster.status("pools", name) == wanted, f"{name}: {used} used, {waiting} wait")


async def test_what_is_used_and_who_waits(cluster: MemoryCluster) -> None:
    pool(cluster)
    pool(cluster, "idle")
    await says(cluster, 0, 0)
    cluster.dag("sales", tasks=SIX)
    cluster.stays.update(("one", "two"))
    cluster.run("sales", "one")
    await says(cluster, 2, 4)
    cluster.run("sales", "two")
    await says(cluster, 2, 10)
    cluster.patch("pools", "db", spec={"slots": 3})
    await says(cluster, 3, 9, generation=2)
    await says(cluster, 0, 0, name="idle")
    cluster.delete("dagruns", "one")
    cluster.delete("dagruns", "two")
    await says(cluster, 0, 0, generation=2)


async def test_a_new_leader_writes_it_again(cluster: MemoryCluster) -> None:
    pool(cluster)
    cluster.dag("sales", tasks=SIX)
    cluster.stays.add("one")
    cluster.run("sales", "one")
    await says(cluster, 2, 4)
    await cluster.kill()
    cluster.patch("pools", "db", subresource="status", status={"used": 7, "waiting": 0})
    await cluster.start()
    await says(cluster, 2, 4)


async def test_it_is_not_written_again_while_nothing_changes_nor_for_each_task(cluster: MemoryCluster) -> None:
    written: list[Json] = []

    def count(method: str, plural: str, name: str, body: Json) -> None:
        if plural == "pools" and method == "PATCH":
            written.append(body)

    cluster.before_write = count
    pool(cluster, slots=1)
    await says(cluster, 0, 0)
    cluster.dag("sales", tasks=[{**task, "name": f"{task['name']}-{each}"} for task in SIX for each in range(5)])
    cluster.run("sales", "one")
    await cluster.wait_phase("one", "Succeeded")
    await says(cluster, 0, 0)
    assert 1 <= len(written) <= 10, written
    before = len(written)
    cluster.dag("other")
    cluster.run("other", "two")
    await cluster.wait_phase("two", "Succeeded")
    assert len(written) == before


async def test_without_the_right_to_it_all_else_continues(
    cluster: MemoryCluster, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[str] = []

    def forbid(method: str, plural: str, name: str, body: Json) -> None:
        if plural == "pools" and method == "PATCH":
            tried.append(name)
            raise ApiError(403, "Forbidden", "pools/status is forbidden")

    cluster.before_write = forbid
    pool(cluster)
    cluster.dag("sales", tasks=SIX)
    for name in ("one", "two", "three"):
        tried.clear()
        cluster.run("sales", name)
        await cluster.wait_phase(name, "Succeeded")
        await cluster.eventually(lambda: tried, "it is tried")
    said = [record for record in caplog.records if "status of Pool" in record.message]
    assert len(said) == 1
    cluster.before_write = nothing
    await says(cluster, 0, 0)
