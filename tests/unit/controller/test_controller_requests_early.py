"""Requests on runs that have not started, or that are suspended."""

import pytest

from tests.unit.controller.asked_runs import TWO, counts, end, failed_run, pods, running_run, task
from tests.unit.controller.memory_cluster import ApiError, Json, MemoryCluster

pytestmark = [pytest.mark.unit, pytest.mark.usefixtures("quick_requests")]


async def test_a_run_that_no_one_has_seen_yet_is_stopped_before_it_begins(cluster: MemoryCluster) -> None:
    """The controller comes later than the request: it makes no Pod first."""
    cluster.dag("sales", tasks=TWO)
    cluster.run("sales", "before")
    await cluster.wait_phase("before", "Succeeded")
    await cluster.kill()
    asked = {}
    for number in range(10):
        cluster.run("sales", f"run-{number}")
        asked[f"run-{number}"] = cluster.ask(f"run-{number}", "Stop")
    await cluster.start()
    for name, request in asked.items():
        assert (await cluster.wait_asked(name, request))["state"] == "Applied"
        assert (await cluster.wait_phase(name, "Failed"))["reason"] == "Stopped"
        assert pods(cluster, name) == []


async def test_a_request_that_is_refused_or_taken_back_does_not_hold_up_a_run_for_ever(cluster: MemoryCluster) -> None:
    cluster.dag("sales", tasks=TWO)
    await cluster.kill()
    for name in ("refused", "broken", "taken-back"):
        cluster.run("sales", name)
    cluster.ask("refused", "Rerun", tasks=["nothing"])
    cluster.patch("dagruns", "broken", spec={"request": {"id": "x", "type": "Mark"}})
    cluster.ask("taken-back", "Mark", tasks=["load"], state="Skipped")

    def unreachable(method: str, plural: str, name: str, body: Json) -> None:
        if plural == "dagruns" and name == "taken-back" and "requests" in body.get("status", {}):
            raise ApiError(403, "Forbidden", "not now")  # which is not sent again for a minute, as a 500 is

    cluster.before_write = unreachable
    await cluster.start()
    await cluster.wait_phase("refused", "Succeeded")
    await cluster.wait_phase("broken", "Succeeded")
    assert pods(cluster, "taken-back") == []
    cluster.patch("dagruns", "taken-back", spec={"request": None})
    await cluster.wait_phase("taken-back", "Succeeded")


async def test_a_run_whose_dag_is_not_there_can_be_stopped(cluster: MemoryCluster) -> None:
    cluster.run("nothing", "one")
    await cluster.eventually(lambda: cluster.status("dagruns", "one").get("reason") == "DagNotFound", "it waits")
    asked = cluster.ask("one", "Stop")
    record = await cluster.wait_asked("one", asked)
    assert record["state"] == "Applied"
    assert cluster.status("dagruns", "one")["phase"] == "Failed"


async def test_so_can_one_whose_dag_cannot_run(cluster: MemoryCluster) -> None:
    cluster.dag("sales", tasks=[{**TWO[0], "dependsOn": ["report"]}, TWO[1]])
    cluster.run("sales", "one")
    await cluster.eventually(lambda: cluster.status("dagruns", "one").get("reason") == "DagNotAccepted", "it waits")
    await cluster.wait_asked("one", cluster.ask("one", "Stop", message="a mistake"))
    assert cluster.status("dagruns", "one")["message"] == "stopped by alice: a mistake"
    await cluster.eventually(lambda: counts(cluster) == {"Succeeded": 0, "Failed": 1}, "it is counted")
    await cluster.eventually(lambda: cluster.status("dags", "sales").get("lastRun") == "one", "the Dag names it")


async def test_what_is_asked_of_a_run_that_waits_for_its_dag_comes_with_the_dag(cluster: MemoryCluster) -> None:
    cluster.run("sales", "one")
    await cluster.eventually(lambda: cluster.status("dagruns", "one").get("reason") == "DagNotFound", "it waits")
    asked = cluster.ask("one", "Mark", tasks=["load"], state="Skipped")
    cluster.dag("sales", tasks=TWO)
    await cluster.wait_asked("one", asked)
    await cluster.wait_phase("one", "Succeeded")


async def test_a_suspended_run_starts_nothing_more(cluster: MemoryCluster) -> None:
    first = await running_run(cluster)
    cluster.patch("dagruns", "one", spec={"suspend": True})
    await cluster.eventually(
        lambda: str(cluster.status("dagruns", "one").get("message")).startswith("suspended"), "status says so"
    )
    complete, _ = cluster.status("dagruns", "one")["conditions"]
    assert (complete["status"], complete["reason"]) == ("False", "Suspended")
    cluster.stays.clear()
    end(cluster, first)
    await cluster.eventually(lambda: task(cluster, "one", "report").get("state") == "Scheduled", "the next is ready")
    assert task(cluster, "one", "report")["message"] == "waiting: the run is suspended"
    await cluster.kill()
    await cluster.start()
    assert not pods(cluster, "one", "report")
    cluster.patch("dagruns", "one", spec={"suspend": False})
    status = await cluster.wait_phase("one", "Succeeded")
    assert "message" not in status
    assert len(pods(cluster, "one")) == 1


async def test_a_run_that_is_made_suspended_stays_in_the_queue(cluster: MemoryCluster) -> None:
    cluster.dag("sales")
    cluster.run("sales", "one", suspend=True)
    status = await cluster.wait_phase("one", "Queued")
    assert status["message"].startswith("suspended")
    cluster.patch("dagruns", "one", spec={"suspend": None})
    await cluster.wait_phase("one", "Succeeded")


async def test_what_is_asked_of_a_suspended_run_is_applied(cluster: MemoryCluster) -> None:
    await failed_run(cluster)
    cluster.patch("dagruns", "one", spec={"suspend": True})
    await cluster.wait_asked("one", cluster.ask("one", "Rerun"))
    await cluster.wait_phase("one", "Queued")
    await cluster.wait_asked("one", cluster.ask("one", "Mark", tasks=["load"], state="Succeeded"))
    assert len(pods(cluster, "one")) == 1
    cluster.patch("dagruns", "one", spec={"suspend": False})
    await cluster.wait_phase("one", "Succeeded")
    assert [len(pods(cluster, "one", name)) for name in ("load", "report")] == [1, 1]
