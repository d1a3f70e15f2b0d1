"""Requests on runs are applied once, by one write, whichever process dies at any moment."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest

from tests.unit.controller.asked_runs import TWO, counts, end, failed_run, pods, reasons, running_run, task
from tests.unit.controller.memory_cluster import ApiError, Json, MemoryCluster, Unreachable, is_ended, nothing
from tradewind.api.validation import Problem
from tradewind.cache.resources import DagRunObject
from tradewind.controller.pods import tries
from tradewind.controller.runs import requests
from tradewind.controller.runs.versions import parse_spec
from tradewind.kube.objects import ObjectMeta

pytestmark = [pytest.mark.unit, pytest.mark.usefixtures("quick_requests")]

# Finished runs ------------------------------------------------------------------------------------------------------


async def test_what_failed_runs_again(cluster: MemoryCluster) -> None:
    await failed_run(cluster)
    before = cluster.status("dagruns", "one")
    asked = cluster.ask("one", "Rerun", onlyFailed=True, message="fixed")
    record = await cluster.wait_asked("one", asked)
    assert (record["state"], record["requestedBy"]) == ("Applied", "alice")
    assert record["message"] == "tasks to rerun: load, report"

    after = await cluster.wait_phase("one", "Succeeded")

    assert (task(cluster, "one", "load")["try"], task(cluster, "one", "load")["triesBefore"]) == (2, 1)
    [first] = task(cluster, "one", "load")["tries"]
    assert (first["number"], first["state"], first["reason"]) == (1, "Failed", "Error")
    assert after["revision"] == before["revision"]
    assert datetime.fromisoformat(after["startedAt"]) >= datetime.fromisoformat(before["finishedAt"])
    assert [len(pods(cluster, "one", name)) for name in ("load", "report")] == [2, 1]
    await cluster.eventually(lambda: counts(cluster) == {"Succeeded": 1, "Failed": 0}, "history has its new end")
    assert reasons(cluster, "one").count("Rerun") == 1
    [event] = [event for event in cluster.events("DagRun", "one") if event["reason"] == "Rerun"]
    assert event["note"] == "tasks to rerun: load, report (requested by alice)"


async def test_the_status_says_nothing_of_the_earlier_finish(cluster: MemoryCluster) -> None:
    await failed_run(cluster)
    cluster.stays.add("one")
    await cluster.wait_asked("one", cluster.ask("one", "Rerun"))
    await cluster.eventually(lambda: task(cluster, "one", "load").get("state") == "Running", "it runs")
    status = cluster.status("dagruns", "one")
    assert not {"finishedAt", "duration", "reason", "message"} & status.keys()
    asked = datetime.fromisoformat(status["requests"][0]["time"])
    assert datetime.fromisoformat(status["startedAt"]) >= asked
    assert counts(cluster) == {"Succeeded": 0, "Failed": 0}


async def test_with_the_dag_as_it_is_now(cluster: MemoryCluster) -> None:
    await failed_run(cluster)
    old = cluster.status("dagruns", "one")["revision"]
    cluster.patch("dags", "sales", spec={"tasks": [*TWO, {"name": "more", "noop": True, "dependsOn": ["report"]}]})
    await cluster.wait_asked("one", cluster.ask("one", "Rerun", revision="Latest"))
    status = await cluster.wait_phase("one", "Succeeded")
    assert status["revision"] != old
    assert task(cluster, "one", "more")["state"] == "Succeeded"
    [pod] = pods(cluster, "one")[1:]
    assert pod["metadata"]["annotations"]["tradewind.dev/revision"] == status["revision"]


async def test_without_it_the_run_stays_with_its_own(cluster: MemoryCluster) -> None:
    await failed_run(cluster, maxActiveRuns=1)
    old = cluster.status("dagruns", "one")["revision"]
    cluster.patch("dags", "sales", spec={"tasks": [*TWO, {"name": "more", "noop": True}]})
    # It waits in the queue, and the controller dies: it is loaded without having started.
    cluster.stays.add("other")
    cluster.run("sales", "other")
    await cluster.wait_phase("other", "Running")
    await cluster.wait_asked("one", cluster.ask("one", "Rerun"))
    assert (await cluster.wait_phase("one", "Queued"))["revision"] == old
    await cluster.kill()
    await cluster.start()
    end(cluster, pods(cluster, "other")[0], "other")
    await cluster.eventually(lambda: pods(cluster, "other", "report"), "the other run continues")
    end(cluster, pods(cluster, "other", "report")[0], "other")
    status = await cluster.wait_phase("one", "Succeeded")
    assert status["revision"] == old
    assert not task(cluster, "one", "more")


async def test_params_that_do_not_fit_the_dag_as_it_is_now(cluster: MemoryCluster) -> None:
    await failed_run(cluster)
    cluster.patch("dags", "sales", spec={"params": {"region": {"type": "string"}}})
    record = await cluster.wait_asked("one", cluster.ask("one", "Rerun", revision="Latest"))
    assert record["state"] == "Rejected"
    assert "region" in record["message"]
    assert cluster.status("dagruns", "one")["phase"] == "Failed"
    assert reasons(cluster, "one").count("RequestRejected") == 1


async def test_a_failed_task_that_is_marked(cluster: MemoryCluster) -> None:
    await failed_run(cluster)
    record = await cluster.wait_asked("one", cluster.ask("one", "Mark", tasks=["load"], state="Succeeded"))
    assert record["message"] == "marked Succeeded: load; tasks to rerun: report"
    await cluster.wait_phase("one", "Succeeded")
    assert [len(pods(cluster, "one", name)) for name in ("load", "report")] == [1, 1]


async def test_a_run_that_is_marked_stays_ended(cluster: MemoryCluster) -> None:
    await failed_run(cluster)
    await cluster.eventually(lambda: cluster.status("dags", "sales").get("lastRunPhase") == "Failed", "the Dag says so")
    await cluster.wait_asked("one", cluster.ask("one", "Mark", state="Succeeded"))
    assert cluster.status("dagruns", "one")["phase"] == "Succeeded"
    await cluster.eventually(lambda: counts(cluster) == {"Succeeded": 1, "Failed": 0}, "history has its new end")
    await cluster.eventually(lambda: cluster.status("dags", "sales")["lastRunPhase"] == "Succeeded", "so has the Dag")
    assert len(pods(cluster, "one")) == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"kind": "Stop"}, "the run has finished already: Failed"),
        ({"kind": "Rerun", "tasks": ["loda"]}, "loda"),
        ({"kind": "Mark", "state": "Failed"}, "nothing to mark: the run is Failed already"),
    ],
)
async def test_what_makes_no_sense_is_refused(cluster: MemoryCluster, fields: Json, says: str) -> None:
    await failed_run(cluster)
    before = cluster.status("dagruns", "one")
    record = await cluster.wait_asked("one", cluster.ask("one", **fields))
    assert record["state"] == "Rejected"
    assert says in record["message"]
    changed = {"requests": None, "observedGeneration": None}
    assert {**cluster.status("dagruns", "one"), **changed} == {**before, **changed}
    await cluster.eventually(lambda: "RequestRejected" in reasons(cluster, "one"), "an Event says so")
    assert counts(cluster)["Failed"] == 1


async def test_a_request_that_cannot_be_read(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one of a newer version might be: the schema lets nothing of the kind pass."""
    problem = Problem("InvalidRequest", "spec.request.speed", "is unknown")
    monkeypatch.setattr(requests, "parse", lambda model, raw: (None, [problem]))
    cluster.dag("sales")
    cluster.run("sales", "one", request={"id": "x", "type": "Stop"})
    record = await cluster.wait_asked("one", "x")
    assert (record["state"], record["type"]) == ("Rejected", "Stop")
    assert "speed" in record["message"]
    await cluster.wait_phase("one", "Succeeded")


def test_a_broken_request_does_not_break_the_run() -> None:
    found = DagRunObject(ObjectMeta("one"), spec={"dag": "sales", "request": {"type": "Rewind"}})
    spec, problems = parse_spec(found)
    assert spec is not None
    assert (spec.dag, problems) == ("sales", [])


async def test_a_running_task_runs_again_once_its_pod_has_finished(cluster: MemoryCluster) -> None:
    first = await running_run(cluster)
    await cluster.wait_asked("one", cluster.ask("one", "Rerun", tasks=["load"]))
    await cluster.eventually(lambda: is_ended(pods(cluster, "one")[0]), "its Pod is ended")
    await cluster.eventually(lambda: task(cluster, "one", "load")["state"] == "Scheduled", "the next try waits")
    assert len(pods(cluster, "one")) == 1
    cluster.stays.clear()
    end(cluster, first)
    await cluster.wait_phase("one", "Succeeded")
    assert task(cluster, "one", "load")["try"] == 2
    [past] = task(cluster, "one", "load")["tries"]
    assert past["reason"] == "Cleared"


async def test_a_pod_that_does_not_end_is_named(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tries, "EARLIER_ENDS_WITHIN", 0.05)
    first = await running_run(cluster)
    await cluster.wait_asked("one", cluster.ask("one", "Rerun", tasks=["load"]))
    entry = await cluster.eventually(
        lambda: (found := task(cluster, "one", "load")).get("reason") == "EarlierTryRuns" and found, "it says so"
    )
    assert first["metadata"]["name"] in entry["message"]
    assert len(pods(cluster, "one")) == 1


async def test_stop(cluster: MemoryCluster) -> None:
    first = await running_run(cluster)
    await cluster.wait_asked("one", cluster.ask("one", "Stop", message="too dear"))
    status = await cluster.wait_phase("one", "Failed")
    assert (status["reason"], status["message"]) == ("Stopped", "stopped by alice: too dear")
    await cluster.eventually(lambda: is_ended(pods(cluster, "one")[0]), "its Pod is ended")
    assert pods(cluster, "one")[0]["metadata"]["annotations"]["tradewind.dev/ended"] == "Stopped"
    end(cluster, first)
    await cluster.eventually(lambda: counts(cluster)["Failed"] == 1, "it is counted")
    assert {entry["state"] for entry in status["tasks"]} == {"Skipped"}
    leader: Any = cluster.controller.leader
    assert not leader.scheduler.slots.active
    assert not leader.runs.records


async def test_stop_lets_teardowns_run(cluster: MemoryCluster) -> None:
    tasks = [
        {"name": "load", "image": "busybox", "setup": True},
        {"name": "report", "image": "busybox", "dependsOn": ["load"]},
        {"name": "clean", "image": "busybox", "dependsOn": ["report"], "teardown": {"setups": ["load"]}},
    ]
    cluster.dag("sales", tasks=tasks)
    cluster.stays.add("one")
    cluster.run("sales", "one")
    await cluster.eventually(lambda: pods(cluster, "one"), "its first task runs")
    cluster.stays.clear()
    end(cluster, pods(cluster, "one")[0])
    await cluster.wait_phase("one", "Succeeded")
    cluster.stays.add("two")
    cluster.run("sales", "two")
    end(cluster, (await cluster.eventually(lambda: pods(cluster, "two"), "its first task runs"))[0], "two")
    await cluster.eventually(lambda: task(cluster, "two", "report").get("state") == "Running", "its second task runs")
    cluster.stays.clear()
    await cluster.wait_asked("two", cluster.ask("two", "Stop"))
    status = await cluster.wait_phase("two", "Failed")
    assert status["reason"] == "Stopped"
    assert task(cluster, "two", "report")["state"] == "Skipped"
    assert task(cluster, "two", "clean")["state"] == "Succeeded"


def test_params_that_a_status_has_no_more_are_removed() -> None:
    assert requests._patch({"params": {"a": 1}}, {})["params"] is None
    assert requests._patch({"params": {"a": 1, "b": 2}}, {"params": {"b": 3}})["params"] == {"a": None, "b": 3}
    assert requests._patch({}, {"params": {"b": 3}})["params"] == {"b": 3}


async def test_a_status_that_another_client_has_written_is_where_a_request_begins(cluster: MemoryCluster) -> None:
    first = await running_run(cluster)
    entries = cluster.status("dagruns", "one")["tasks"]
    theirs = [{**entry, "message": "another controller wrote this"} for entry in entries]
    cluster.patch("dagruns", "one", subresource="status", status={"tasks": theirs})
    cluster.stays.clear()
    await cluster.wait_asked("one", cluster.ask("one", "Mark", tasks=["report"], state="Skipped"))
    assert task(cluster, "one", "load")["try"] == 1
    end(cluster, first)
    await cluster.wait_phase("one", "Succeeded")
    assert (task(cluster, "one", "load")["state"], task(cluster, "one", "report")["reason"]) == ("Succeeded", "Marked")
    assert len(pods(cluster, "one")) == 1


async def test_a_mark_while_the_pod_runs(cluster: MemoryCluster) -> None:
    first = await running_run(cluster)
    cluster.stays.clear()
    await cluster.wait_asked("one", cluster.ask("one", "Mark", tasks=["load"], state="Skipped"))
    status = await cluster.wait_phase("one", "Succeeded")
    assert {entry["name"]: entry["state"] for entry in status["tasks"]} == {"load": "Skipped", "report": "Skipped"}
    await cluster.eventually(lambda: is_ended(pods(cluster, "one")[0]), "its Pod is ended")
    assert len(pods(cluster, "one")) == 1
    end(cluster, first)


async def begun(cluster: MemoryCluster, is_running: bool) -> Json | None:
    """A failed run, or a running one: then its Pod."""
    if is_running:
        return await running_run(cluster)
    await failed_run(cluster)
    return None


async def has_run_again(cluster: MemoryCluster, asked: str, first: Json | None) -> None:
    """Check that the request was applied once; `first` is the Pod that was running at that time."""
    await cluster.wait_asked("one", asked)
    if first is not None:
        await cluster.eventually(lambda: is_ended(pods(cluster, "one")[0]), "its Pod is ended")
        cluster.stays.clear()
        end(cluster, first)
    status = await cluster.wait_phase("one", "Succeeded")
    assert [record["id"] for record in status["requests"]] == [asked]
    assert task(cluster, "one", "load")["try"] == 2


def applies(plural: str, body: Json) -> bool:
    return plural == "dagruns" and bool((body.get("status") or {}).get("requests"))


@pytest.mark.parametrize("moment", ["before the status", "after the status", "before the removal", "after the removal"])
@pytest.mark.parametrize("is_running", [False, True], ids=["ended", "running"])
async def test_the_controller_dies(cluster: MemoryCluster, moment: str, is_running: bool) -> None:
    first = await begun(cluster, is_running)
    died: list[str] = []

    def die(which: str) -> Any:
        def hook(method: str, plural: str, name: str, body: Json) -> None:
            removes = plural == "dagruns" and "request" in (body.get("spec") or {})
            if not died and (applies(plural, body) if "status" in which else removes):
                died.append(name)
                cluster.die()

        return hook

    hook = "before_write" if moment.startswith("before") else "after_write"
    setattr(cluster, hook, die(moment))
    asked = cluster.ask("one", "Rerun", tasks=["load"], downstream=True)
    await cluster.eventually(lambda: died, "the controller has died")
    setattr(cluster, hook, nothing)
    await cluster.kill()
    await cluster.start()

    await has_run_again(cluster, asked, first)
    assert [len(pods(cluster, "one", name)) for name in ("load", "report")] == [2, 1]


@pytest.mark.parametrize(
    "trouble",
    [Unreachable("no answer"), ApiError(409, "Conflict", "changed meanwhile"), ApiError(500, "InternalError", "oh")],
    ids=["no answer", "conflict", "server error"],
)
@pytest.mark.parametrize("takes_effect", [True, False])
@pytest.mark.parametrize("is_running", [False, True], ids=["ended", "running"])
async def test_a_write_goes_wrong(
    cluster: MemoryCluster, trouble: Exception, takes_effect: bool, is_running: bool
) -> None:
    first = await begun(cluster, is_running)
    left = [trouble]

    def disturb(method: str, plural: str, name: str, body: Json) -> None:
        if left and applies(plural, body):
            raise left.pop()

    setattr(cluster, "after_write" if takes_effect else "before_write", disturb)
    asked = cluster.ask("one", "Rerun", tasks=["load"], downstream=True)
    await has_run_again(cluster, asked, first)
    assert reasons(cluster, "one").count("Rerun") == 1
    if not is_running:
        await cluster.eventually(lambda: counts(cluster) == {"Succeeded": 1, "Failed": 0}, "history has its new end")


async def test_a_request_that_was_applied_is_only_removed(cluster: MemoryCluster) -> None:
    await failed_run(cluster)
    asked = cluster.ask("one", "Rerun")
    await cluster.wait_asked("one", asked)
    await cluster.wait_phase("one", "Succeeded")
    cluster.patch("dagruns", "one", spec={"request": {"id": asked, "type": "Rerun"}})
    await cluster.eventually(lambda: "request" not in cluster.get("dagruns", "one")["spec"], "it is removed")
    assert cluster.status("dagruns", "one")["phase"] == "Succeeded"
    assert task(cluster, "one", "load")["try"] == 2


async def test_again_and_again(cluster: MemoryCluster) -> None:
    await failed_run(cluster)
    for number in range(2, 6):
        await cluster.wait_asked("one", cluster.ask("one", "Rerun"))
        await cluster.eventually(
            lambda number=number: (
                task(cluster, "one", "load").get("try") == number
                and cluster.status("dagruns", "one")["phase"] == "Succeeded"
            ),
            f"it finished with try {number}",
        )
    assert [pod["metadata"]["labels"]["tradewind.dev/try"] for pod in pods(cluster, "one")] == list("12345")
    await cluster.eventually(lambda: counts(cluster) == {"Succeeded": 1, "Failed": 0}, "it is one run")


async def test_a_run_that_was_asked_to_run_again_is_not_pruned(cluster: MemoryCluster) -> None:
    """It is asked just before the controller deletes it."""
    asked: list[str] = []

    def ask(method: str, plural: str, name: str, body: Json) -> None:
        if method == "DELETE" and plural == "dagruns" and name == "one" and not asked:
            asked.append(cluster.ask("one", "Rerun"))

    await failed_run(cluster, failedRunsHistoryLimit=1)
    cluster.before_write = ask
    cluster.run("sales", "two", fails=True)
    await cluster.eventually(lambda: asked, "the first run was to be deleted")
    await cluster.wait_asked("one", asked[0])
    await cluster.wait_phase("one", "Succeeded")


async def test_of_the_runs_that_ended_the_one_that_ran_again_is_the_latest(cluster: MemoryCluster) -> None:
    await failed_run(cluster, successfulRunsHistoryLimit=1)
    cluster.run("sales", "two")
    await cluster.wait_phase("two", "Succeeded")
    await cluster.wait_asked("one", cluster.ask("one", "Rerun"))
    await cluster.eventually(lambda: "two" not in cluster.names("dagruns"), "history keeps one run")
    assert cluster.status("dagruns", "one")["phase"] == "Succeeded"


async def test_pods_are_kept_for_a_run_that_runs_again(cluster: MemoryCluster) -> None:
    await failed_run(cluster, podRetention="1s")
    cluster.stays.add("one")
    await cluster.wait_asked("one", cluster.ask("one", "Rerun"))
    await cluster.eventually(lambda: len(pods(cluster, "one")) == 2, "it runs again")
    ended = cluster.status("dagruns", "one")["requests"]
    assert ended
    await asyncio.sleep(1.5)
    assert len(pods(cluster, "one")) == 2
    cluster.stays.clear()
    end(cluster, pods(cluster, "one")[1])
    await cluster.wait_phase("one", "Succeeded")
    await cluster.eventually(lambda: not pods(cluster, "one"), "then they go")
