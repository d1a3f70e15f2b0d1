"""Conditions and observed generations: what `kubectl wait` and tools that know nothing of Tradewind look at."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.unit.controller.memory_cluster import MemoryCluster
from tradewind.controller.runs import requests

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "LOOK_AGAIN", 0.01)


def statuses(cluster: MemoryCluster, plural: str, name: str) -> dict[str, str]:
    """The status of each condition."""
    return {each["type"]: each["status"] for each in cluster.status(plural, name).get("conditions", ())}


async def observed(cluster: MemoryCluster, plural: str, name: str) -> None:
    """Wait until status speaks of the spec as it is."""

    def is_observed() -> bool:
        found = cluster.get(plural, name)
        return bool(found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"])

    await cluster.eventually(is_observed, f"{plural}/{name} is observed")


async def test_a_dag_is_ready_when_it_is_accepted(cluster: MemoryCluster) -> None:
    cluster.dag("sales")
    await cluster.eventually(lambda: statuses(cluster, "dags", "sales").get("Ready") == "True", "it is ready")
    cycle = [{"name": name, "image": "x", "dependsOn": [other]} for name, other in ("ab", "ba")]
    cluster.patch("dags", "sales", spec={"tasks": cycle})
    await cluster.eventually(lambda: statuses(cluster, "dags", "sales").get("Ready") == "False", "it is not any more")
    conditions = {each["type"]: each for each in cluster.status("dags", "sales")["conditions"]}
    assert conditions["Ready"] == {**conditions["Accepted"], "type": "Ready"}
    await observed(cluster, "dags", "sales")


async def test_a_run_is_complete_or_failed(cluster: MemoryCluster) -> None:
    cluster.dag("sales")
    cluster.run("sales", "good")
    cluster.run("sales", "bad", fails=True)
    cluster.run("sales", "refused", params={"unknown": 1})
    await cluster.wait_phase("good", "Succeeded")
    for name in ("bad", "refused"):
        await cluster.wait_phase(name, "Failed")
        assert statuses(cluster, "dagruns", name) == {"Complete": "False", "Failed": "True"}
        await observed(cluster, "dagruns", name)
    assert statuses(cluster, "dagruns", "good") == {"Complete": "True", "Failed": "False"}


async def test_a_run_that_is_stopped_before_its_dag_is_there_has_failed(cluster: MemoryCluster) -> None:
    cluster.run("nosuch", "one")
    await cluster.eventually(lambda: cluster.status("dagruns", "one").get("reason") == "DagNotFound", "it waits")
    await observed(cluster, "dagruns", "one")
    await cluster.wait_asked("one", cluster.ask("one", "Stop"))
    assert statuses(cluster, "dagruns", "one") == {"Complete": "False", "Failed": "True"}
    await observed(cluster, "dagruns", "one")


async def test_what_changes_of_a_run_is_observed(cluster: MemoryCluster) -> None:
    cluster.dag("sales")
    cluster.stays.add("one")
    cluster.run("sales", "one")
    await cluster.wait_phase("one", "Running")
    await observed(cluster, "dagruns", "one")
    for suspended in (True, False):
        cluster.patch("dagruns", "one", spec={"suspend": suspended})
        await observed(cluster, "dagruns", "one")
    await cluster.wait_asked("one", cluster.ask("one", "Mark", tasks=["load"], state="Succeeded"))
    await observed(cluster, "dagruns", "one")


async def test_what_is_asked_of_a_run_that_has_finished_is_observed(cluster: MemoryCluster) -> None:
    cluster.dag("sales")
    cluster.run("sales", "one", fails=True)
    await cluster.wait_phase("one", "Failed")
    await cluster.wait_asked("one", cluster.ask("one", "Stop"))
    await observed(cluster, "dagruns", "one")


@pytest.mark.parametrize(("fails", "expected"), [(False, ("True", "False")), (True, ("False", "True"))])
async def test_a_backfill_is_complete_or_failed(cluster: MemoryCluster, fails: bool, expected: tuple[str, str]) -> None:
    cluster.dag("sales", schedule="@daily")
    if fails:
        cluster.fails.add("sales-20260101t000000")
    day = "2026-01-01T00:00:00Z"
    cluster.create("backfills", "day", spec={"dag": "sales", "from": day, "to": day})
    await cluster.eventually(lambda: cluster.status("backfills", "day").get("finishedAt"), "it has finished")
    found = statuses(cluster, "backfills", "day")
    assert (found["Complete"], found["Failed"]) == expected


def test_what_the_docs_have_argo_cd_look_at_is_there() -> None:
    text = (Path(__file__).parents[3] / "docs" / "gitops.md").read_text()
    [manifest] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    checks = yaml.safe_load(manifest)["data"]
    asked = {kind.rpartition("_")[2]: set(re.findall(r'type == "(\w+)"', lua)) for kind, lua in checks.items()}
    assert asked == {"Dag": {"Ready"}, "DagRun": {"Complete", "Failed"}}


async def test_events_are_warnings_where_something_failed(cluster: MemoryCluster) -> None:
    cluster.dag("d")
    cluster.run("d", "good")
    cluster.run("d", "bad", fails=True)
    await cluster.wait_phase("good", "Succeeded")
    await cluster.wait_phase("bad", "Failed")

    def kinds(run: str) -> dict[str, str]:
        return {event["reason"]: event["type"] for event in cluster.events("DagRun", run)}

    await cluster.eventually(lambda: "Succeeded" in kinds("good") and "Failed" in kinds("bad"), "both are reported")
    assert kinds("good") == {"Succeeded": "Normal"}
    assert set(kinds("bad").values()) == {"Warning"}
