"""The data interval of a manual run: what it says, else what its Dag's schedule says when it begins."""

import pytest

from tests.unit.controller.memory_cluster import Json, MemoryCluster

pytestmark = pytest.mark.unit

TASK: Json = {
    "name": "load",
    "image": "busybox",
    "args": ["{{ dataInterval.start }}/{{ dataInterval.end }}"],
    "retries": {"limit": 3, "delay": "1s"},
}
BERLIN: Json = {"schedule": "0 6 * * *", "timeZone": "Europe/Berlin", "suspend": True, "tasks": [TASK]}
SUNDAY: Json = {"start": "2026-03-07T05:00:00Z", "end": "2026-03-08T05:00:00Z"}


def arguments(cluster: MemoryCluster, run: str) -> list[str]:
    """Of each Pod of the run, oldest first."""
    pods = [pod for pod in cluster.all("pods") if pod["metadata"]["labels"]["tradewind.dev/run"] == run]
    pods.sort(key=lambda pod: int(pod["metadata"]["labels"]["tradewind.dev/try"]))
    return [pod["spec"]["containers"][0]["args"][0] for pod in pods]


@pytest.mark.parametrize("logical", ["2026-03-08T05:00:00Z", "2026-03-08T17:00:00Z"])
async def test_that_of_its_tick_or_of_the_last_before(cluster: MemoryCluster, logical: str) -> None:
    cluster.dag("sales", **BERLIN)
    cluster.run("sales", "monday", logicalDate=logical)
    status = await cluster.wait_phase("monday", "Succeeded")
    assert status["dataInterval"] == SUNDAY
    assert arguments(cluster, "monday") == ["2026-03-07T05:00:00Z/2026-03-08T05:00:00Z"]
    pod = cluster.all("pods")[0]
    env = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}
    assert env["TRADEWIND_DATA_INTERVAL_START"] == SUNDAY["start"]
    assert env["TRADEWIND_DATA_INTERVAL_END"] == SUNDAY["end"]


async def test_what_the_run_says_comes_first(cluster: MemoryCluster) -> None:
    said = {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}
    cluster.dag("sales", **BERLIN)
    cluster.run("sales", "january", logicalDate="2026-03-08T05:00:00Z", dataInterval=said)
    assert (await cluster.wait_phase("january", "Succeeded"))["dataInterval"] == said


async def test_it_is_empty_without_a_schedule(cluster: MemoryCluster) -> None:
    cluster.dag("sales", tasks=[TASK])
    cluster.run("sales", "now", logicalDate="2026-03-08T05:00:00Z")
    status = await cluster.wait_phase("now", "Succeeded")
    assert status["dataInterval"] == {"start": "2026-03-08T05:00:00Z", "end": "2026-03-08T05:00:00Z"}


async def test_a_run_keeps_it_when_the_schedule_changes_and_the_controller_dies(cluster: MemoryCluster) -> None:
    cluster.dag("sales", **BERLIN)
    cluster.run("sales", "monday", fails=True, logicalDate="2026-03-08T05:00:00Z")
    await cluster.eventually(lambda: cluster.status("dagruns", "monday").get("dataInterval"), "it is written")
    await cluster.kill()
    cluster.patch("dags", "sales", spec={"schedule": "@hourly"})
    await cluster.start()
    await cluster.wait_phase("monday", "Failed")
    assert set(arguments(cluster, "monday")) == {"2026-03-07T05:00:00Z/2026-03-08T05:00:00Z"}
    assert len(arguments(cluster, "monday")) == 4


async def test_later_runs_see_it(cluster: MemoryCluster) -> None:
    task = {**TASK, "args": ["{{ prevDataIntervalEndSuccess }}"]}
    cluster.dag("sales", **{**BERLIN, "tasks": [task, {**TASK, "name": "first", "args": ["first"]}]})
    cluster.run("sales", "monday", logicalDate="2026-03-08T17:00:00Z")
    await cluster.wait_phase("monday", "Failed")
    cluster.ask("monday", "Mark", state="Succeeded")
    await cluster.wait_phase("monday", "Succeeded")
    cluster.run("sales", "tuesday", logicalDate="2026-03-09T17:00:00Z")
    await cluster.wait_phase("tuesday", "Succeeded")
    assert SUNDAY["end"] in arguments(cluster, "tuesday")


async def test_a_schedule_that_cannot_be_read_costs_no_one_a_run(cluster: MemoryCluster) -> None:
    cluster.dag("sales", **BERLIN)
    cluster.run("sales", "monday", logicalDate="2026-03-08T05:00:00Z")
    revision = (await cluster.wait_phase("monday", "Succeeded"))["revision"]
    for name, schedule in {"cron": "99 99 * * *", "zone": "0 6 * * *"}.items():
        zone = "Mars/Olympus" if name == "zone" else "UTC"
        cluster.patch("dags", "sales", spec={"schedule": schedule, "timeZone": zone})
        cluster.run("sales", name, revision=revision, logicalDate="2026-03-08T05:00:00Z")
        status = await cluster.wait_phase(name, "Succeeded")
        assert status["dataInterval"]["start"] == status["dataInterval"]["end"]
