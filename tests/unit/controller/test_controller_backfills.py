"""Backfills on a whole controller: what they make, whatever happens to the controller on the way."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.unit.controller.memory_cluster import Json, MemoryCluster
from tradewind.controller.backfills import worker
from tradewind.kube.errors import ApiError, Unreachable

pytestmark = pytest.mark.unit

HOURS = [f"sales-20260101t{hour:02}0000" for hour in range(8)]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "GATHER", 0.01)


def backfill(cluster: MemoryCluster, name: str = "day", **spec: Any) -> Json:
    span = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T07:00:00Z"}
    cluster.create("backfills", name, spec={"dag": "sales", **span, **spec})
    return cluster.get("backfills", name)


def dag(cluster: MemoryCluster, **spec: Any) -> None:
    cluster.dag("sales", schedule="0 * * * *", suspend=True, **spec)


def status(cluster: MemoryCluster, name: str = "day") -> Json:
    return cluster.status("backfills", name)


async def ended(cluster: MemoryCluster, name: str = "day") -> Json:
    await cluster.eventually(lambda: status(cluster, name).get("phase") in ("Succeeded", "Failed"), f"{name} ends")
    return status(cluster, name)


async def says(cluster: MemoryCluster, text: str, name: str = "day") -> Json:
    await cluster.eventually(lambda: text in status(cluster, name).get("message", ""), f"{name} says {text}")
    return status(cluster, name)


def runs(cluster: MemoryCluster) -> list[str]:
    return cluster.names("dagruns")


def mark(cluster: MemoryCluster) -> Json:
    """Labels and annotations that identify a run of the Backfill `day`."""
    uid = cluster.get("backfills", "day")["metadata"]["uid"]
    return {"labels": {"tradewind.dev/backfill": "day"}, "annotations": {"tradewind.dev/backfill-uid": uid}}


def counts(of: Json) -> tuple[int, ...]:
    return tuple(of[name] for name in ("total", "created", "active", "succeeded", "failed", "skipped"))


async def test_a_change_of_the_spec_does_not_disturb_it(
    cluster: MemoryCluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    dag(cluster)
    backfill(cluster, maxActiveRuns=2)
    # Each of its writes comes too late.
    limits = iter(range(3, 10))

    def after_write(method: str, plural: str, name: str, body: Json) -> None:
        if plural == "dagruns" and (limit := next(limits, None)):
            cluster.patch("backfills", "day", spec={"maxActiveRuns": limit})

    cluster.after_write = after_write
    assert counts(await ended(cluster)) == (8, 8, 0, 8, 0, 0)
    assert runs(cluster) == HOURS
    assert "changed by another controller" not in caplog.text


@pytest.mark.parametrize("writes", range(1, 24))
async def test_a_controller_that_dies_at_any_write(cluster: MemoryCluster, writes: int) -> None:
    """And history deletes runs as soon as it may: neither makes a run be made twice."""
    dag(cluster, successfulRunsHistoryLimit=1)
    backfill(cluster, maxActiveRuns=3)
    made: Counter[str] = Counter()
    left = writes

    def after_write(method: str, plural: str, name: str, body: Json) -> None:
        nonlocal left
        if method == "POST" and plural == "dagruns":
            made[name] += 1
        if plural in ("dagruns", "backfills"):
            left -= 1
            if left == 0:
                # The write takes effect, but the controller is killed before the response.
                cluster._client.dead = True
                raise Unreachable("gone")

    cluster.after_write = after_write
    await cluster.eventually(lambda: left <= 0 or status(cluster).get("phase") == "Succeeded", "the controller dies")
    await cluster.kill()
    await cluster.start()
    assert counts(await ended(cluster)) == (8, 8, 0, 8, 0, 0)
    assert made == dict.fromkeys(HOURS, 1)


async def test_after_a_takeover_status_counts_what_the_last_controller_made(cluster: MemoryCluster) -> None:
    dag(cluster)
    cluster.create("pools", "default", spec={"slots": 0})

    def dies(method: str, plural: str, name: str, body: Json) -> None:
        if method == "POST" and name == HOURS[1]:
            # Two runs are made, and status has none of them.
            cluster._client.dead = True
            raise Unreachable("gone")

    cluster.after_write = dies
    backfill(cluster, maxActiveRuns=2)
    await cluster.eventually(lambda: len(runs(cluster)) == 2, "the controller dies")
    await cluster.kill()
    assert status(cluster)["created"] == 0
    cluster.patch("backfills", "day", spec={"suspend": True})
    written: list[str] = []

    def note(method: str, plural: str, name: str, body: Json) -> None:
        if plural == "backfills" and "status" in body:
            written.append(body["status"]["message"])

    cluster.after_write = note
    await cluster.start()
    said = await says(cluster, "paused")
    assert said["created"] == said["active"] == 2
    assert set(written) == {"paused: 6 of 8 ticks are left; set spec.suspend to false to resume"}


async def test_a_status_that_another_controller_wrote_is_read_again(cluster: MemoryCluster) -> None:
    dag(cluster)
    refused = 0

    def before_write(method: str, plural: str, name: str, body: Json) -> None:
        nonlocal refused
        done = int(status(cluster).get("done", "0/").partition("/")[0])
        if plural == "backfills" and status(cluster).get("created") == 2 and not done and not refused:
            refused = 1
            # Another controller continued and created one more run.
            if HOURS[2] not in runs(cluster):
                cluster.create("dagruns", HOURS[2], metadata=mark(cluster), spec={"dag": "sales", "type": "Backfill"})
            cluster.patch("backfills", "day", subresource="status", status={"message": "by another"})

    cluster.before_write = before_write
    backfill(cluster, maxActiveRuns=2)
    assert counts(await ended(cluster)) == (8, 8, 0, 8, 0, 0)
    assert refused and runs(cluster) == HOURS


async def test_a_run_that_cannot_be_made_is_tried_again(cluster: MemoryCluster) -> None:
    dag(cluster)
    over = True

    def before_write(method: str, plural: str, name: str, body: Json) -> None:
        if over and method == "POST" and plural == "dagruns":
            raise ApiError(403, "Forbidden", "exceeded quota: runs")

    cluster.before_write = before_write
    backfill(cluster)
    said = await says(cluster, "exceeded quota")
    assert (said["phase"], said["reason"]) == ("Running", "CreateFailed")
    assert said["message"] == "cannot create a run: 403 Forbidden: exceeded quota: runs"
    over = False
    assert counts(await ended(cluster)) == (8, 8, 0, 8, 0, 0)


async def test_a_run_that_is_deleted_before_it_has_finished_has_failed(cluster: MemoryCluster) -> None:
    dag(cluster)
    # A pool without slots: nothing begins.
    cluster.create("pools", "default", spec={"slots": 0})
    backfill(cluster, to="2026-01-01T00:00:00Z")
    await says(cluster, "1 run active")
    cluster.delete("dagruns", HOURS[0])
    done = await ended(cluster)
    assert (done["phase"], done["failedRuns"]) == ("Failed", [HOURS[0]])


async def test_the_next_one_begins_when_one_is_deleted(cluster: MemoryCluster) -> None:
    dag(cluster)
    cluster.create("pools", "default", spec={"slots": 0})
    backfill(cluster, "one", to="2026-01-01T00:00:00Z")
    await says(cluster, "1 run active", "one")
    backfill(cluster, "paused", suspend=True)
    backfill(cluster, "two")
    await says(cluster, "paused before it started", "paused")
    await says(cluster, "waiting for Backfill one", "two")
    cluster.delete("backfills", "one")
    cluster.patch("pools", "default", spec={"slots": 10})
    done = await ended(cluster, "two")
    # The run of the first one was Running and continued.
    assert counts(done)[1:] in ((7, 0, 7, 0, 1), (8, 0, 8, 0, 0))
    assert runs(cluster) == HOURS
    assert status(cluster, "paused")["phase"] == "Paused"
    cluster.patch("backfills", "paused", spec={"suspend": False})
    assert counts(await ended(cluster, "paused")) == (8, 0, 0, 0, 0, 8)


@pytest.mark.parametrize("restart", [False, True])
async def test_deletion_deletes_what_is_queued(cluster: MemoryCluster, restart: bool) -> None:
    dag(cluster)
    cluster.create("pools", "default", spec={"slots": 0})
    backfill(cluster, maxActiveRuns=2)
    await says(cluster, "2 runs active")
    again = {"id": "x", "type": "Rerun"}
    for name, spec in (
        ("queued", {"type": "Backfill"}),
        ("again", {"type": "Backfill", "request": again}),
        ("earlier", {"type": "Scheduled"}),
    ):
        cluster.create("dagruns", name, metadata=mark(cluster), spec={"dag": "sales", **spec})
    for name in ("queued", "again", "earlier"):
        waits = "waiting for maxActiveRuns of Backfill day (2)"
        await cluster.eventually(lambda: cluster.status("dagruns", name).get("message") == waits, name)  # noqa: B023
    if restart:
        # It is deleted while no controller runs.
        await cluster.kill()
    cluster.delete("backfills", "day")
    if restart:
        await cluster.start()
    await cluster.eventually(lambda: "queued" not in runs(cluster), "the queued run is deleted")
    # Runs that existed before, or were rerun since, continue without it.
    cluster.patch("pools", "default", spec={"slots": 10})
    for name in ("again", "earlier", *HOURS[:2]):
        await cluster.wait_phase(name, "Succeeded")
    assert runs(cluster) == sorted(("again", "earlier", *HOURS[:2]))


async def test_one_that_is_recreated_under_the_same_name(cluster: MemoryCluster) -> None:
    dag(cluster)
    backfill(cluster, to="2026-01-01T01:00:00Z")
    await ended(cluster)
    cluster.delete("backfills", "day")
    backfill(cluster)
    assert counts(await ended(cluster)) == (8, 6, 0, 6, 0, 2)
    assert runs(cluster) == HOURS


async def test_history_counts_the_runs_of_each_backfill_apart(cluster: MemoryCluster) -> None:
    dag(cluster, successfulRunsHistoryLimit=2)
    for name in ("a", "b", "c"):
        cluster.run("sales", name)
        await cluster.eventually(lambda: cluster.status("dagruns", name).get("phase") == "Succeeded", name)  # noqa: B023
    await cluster.eventually(lambda: len(runs(cluster)) == 2, "two runs are kept")
    kept = runs(cluster)
    backfill(cluster)
    await ended(cluster)
    await cluster.eventually(lambda: len(runs(cluster)) == 4, "two of the Backfill's are kept too")
    assert runs(cluster)[:2] == kept
    cluster.delete("backfills", "day")
    cluster.run("sales", "d")
    await cluster.eventually(lambda: len(runs(cluster)) == 2, "without it they count together")


@pytest.mark.parametrize("moment", [None, "asked", "reopened"])
async def test_reprocess_runs_again_what_failed(cluster: MemoryCluster, moment: str | None) -> None:
    """The controller may die when a run was asked to run again, or when it has begun to."""
    dag(cluster)
    for hour, fails in ((1, True), (2, False), (3, True)):
        cluster.run("sales", HOURS[hour], fails=fails)
        await cluster.wait_phase(HOURS[hour], "Failed" if fails else "Succeeded")
    cluster.repair(HOURS[1])
    died: list[str] = []

    def die(method: str, plural: str, name: str, body: Json) -> None:
        asked = "request" in (body.get("spec") or {}) and body["spec"]["request"]
        applied = (body.get("status") or {}).get("requests")
        if not died and plural == "dagruns" and (asked if moment == "asked" else applied):
            died.append(name)
            cluster.die()

    if moment:
        cluster.after_write = die
    uid = backfill(cluster, reprocess="Failed")["metadata"]["uid"]
    if moment:
        await cluster.eventually(lambda: died, "the controller has died")
        await cluster.kill()
        await cluster.start()

    done = await ended(cluster)

    assert counts(done) == (8, 7, 0, 6, 1, 1)
    assert done["failedRuns"] == [HOURS[3]]
    for hour, phase in ((1, "Succeeded"), (3, "Failed")):
        run = cluster.get("dagruns", HOURS[hour])
        [record] = run["status"]["requests"]
        assert (record["id"], record["state"], record["revision"]) == (f"backfill-{uid}", "Applied", "Latest")
        assert (record["requestedBy"], record["requestMessage"]) == (
            "Backfill day",
            "its run failed, and reprocess is Failed",
        )
        assert (run["status"]["phase"], run["status"]["tasks"][0]["try"]) == (phase, 2)
        assert "request" not in run["spec"]
        assert run["metadata"]["labels"]["tradewind.dev/backfill"] == "day"
    assert Counter(pod["metadata"]["labels"]["tradewind.dev/run"] for pod in cluster.all("pods")) == {
        hour: 2 if hour in (HOURS[1], HOURS[3]) else 1 for hour in HOURS
    }


async def test_reprocess_counts_a_run_that_cannot_be_run_again_as_failed(cluster: MemoryCluster) -> None:
    dag(cluster)
    cluster.run("sales", HOURS[1], fails=True)
    await cluster.wait_phase(HOURS[1], "Failed")
    cluster.patch("dags", "sales", spec={"params": {"region": {"type": "string"}}})
    backfill(cluster, reprocess="Failed", params={"region": "eu"})
    done = await ended(cluster)
    assert counts(done) == (8, 8, 0, 7, 1, 0)
    assert done["failedRuns"] == [HOURS[1]]
    assert cluster.status("dagruns", HOURS[1])["requests"][0]["state"] == "Rejected"


async def test_reprocess_completed_keeps_to_the_limit(cluster: MemoryCluster) -> None:
    dag(cluster)
    backfill(cluster, "first")
    await ended(cluster, "first")
    backfill(cluster, reprocess="Completed", maxActiveRuns=1)
    assert counts(await ended(cluster)) == (8, 8, 0, 8, 0, 0)
    spans = [
        (datetime.fromisoformat(run["status"]["startedAt"]), datetime.fromisoformat(run["status"]["finishedAt"]))
        for run in cluster.all("dagruns")
    ]
    assert all(later[0] >= before[1] for before, later in pairwise(spans))
    assert all(run["status"]["tasks"][0]["try"] == 2 for run in cluster.all("dagruns"))


async def test_history_counts_a_run_where_it_belongs_after_another_backfill_has_run_it_again(
    cluster: MemoryCluster,
) -> None:
    dag(cluster, successfulRunsHistoryLimit=1)
    hour = {"from": "2026-01-01T01:00:00Z", "to": "2026-01-01T01:00:00Z"}
    backfill(cluster, "first", **hour)
    await ended(cluster, "first")
    span = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T01:00:00Z"}
    backfill(cluster, "second", reprocess="Completed", maxActiveRuns=1, **span)
    assert counts(await ended(cluster, "second")) == (2, 2, 0, 2, 0, 0)
    await cluster.eventually(lambda: runs(cluster) == [HOURS[1]], "of the second's runs the last one is kept")


@pytest.mark.parametrize("active", [False, True])
async def test_runs_of_the_dag_before_are_not_taken_for_those_of_this_one(cluster: MemoryCluster, active: bool) -> None:
    """They are about to be garbage-collected: it waits until they are deleted, and recreates them."""
    owner = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "Dag", "name": "sales", "uid": "gone", "controller": True}
    spec = {"dag": "sales", "type": "Scheduled", "logicalDate": "2026-01-01T01:00:00Z"}
    cluster.create("dagruns", HOURS[1], metadata={"ownerReferences": [owner]}, spec=spec)
    if not active:
        cluster.patch("dagruns", HOURS[1], subresource="status", status={"phase": "Succeeded"})
    old = cluster.get("dagruns", HOURS[1])["metadata"]["uid"]
    dag(cluster)
    backfill(cluster)
    await cluster.eventually(lambda: cluster.status("backfills", "day").get("reason") == "OldRun", "it waits")
    assert HOURS[1] in cluster.status("backfills", "day")["message"]
    cluster.delete("dagruns", HOURS[1])
    assert counts(await ended(cluster)) == (8, 8, 0, 8, 0, 0)
    assert cluster.get("dagruns", HOURS[1])["metadata"]["uid"] != old
