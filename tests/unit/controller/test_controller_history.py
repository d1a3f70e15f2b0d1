"""Finished runs: what a new leader finds, and what is deleted when."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.controller.memory_cluster import ApiError, Json, MemoryCluster, Request, days_ago
from tests.unit.controller.terms import part_of_term
from tradewind.aio import background
from tradewind.api.shards import ONLY_SHARD
from tradewind.controller.dags.history import History
from tradewind.engine.run.states import RunPhase
from tradewind.engine.schedule.finished_run import FinishedRun
from tradewind.kube.errors import ApiError as KubeApiError

pytestmark = pytest.mark.unit


class OneNamespaceIsGone:
    """A client that finds a failed run in every namespace but one, where our rights have gone with it."""

    async def list(
        self, resource: Any, scope: str, *, label_selector: str, field_selector: str, partial: str
    ) -> list[Json]:
        if scope == "gone":
            raise KubeApiError(403, "Forbidden", "dagruns is forbidden")
        if field_selector != "status.phase=Failed":
            return []
        metadata = {
            "name": "run",
            "namespace": scope,
            "labels": {"tradewind.dev/dag": "sales"},
            "resourceVersion": "12",
            "creationTimestamp": "2026-03-01T06:00:00Z",
        }
        return [{"metadata": metadata, "cells": {"Phase": "Failed", "Finished": "nonsense"}}]

    async def get(self, resource: Any, namespace: str, name: str) -> Json:
        if name == "gone":
            raise KubeApiError(404, "NotFound", "there is no such run")
        status = {"phase": "Failed", "finishedAt": "2026-03-01T06:05:00Z", "startedAt": "2026-03-01T06:00:00Z"}
        return {"metadata": {"name": name, "resourceVersion": "7"}, "spec": {}, "status": status}


class TwoDagsOfOneName:
    """A client that finds two failed runs: of a Dag that was deleted, and of another that has its name since."""

    async def list(self, resource: Any, scope: str, *, field_selector: str, **_: str) -> list[Json]:
        phases = ("Failed",) if field_selector == "spec.dag=sales" else (field_selector.removeprefix("status.phase="),)
        return [self.row(uid) for uid in ("old", "new") if "Failed" in phases]

    @staticmethod
    def row(uid: str) -> Json:
        metadata = {
            "name": f"run-of-{uid}",
            "namespace": "ns",
            "labels": {"tradewind.dev/dag": "sales"},
            "resourceVersion": "12",
            "creationTimestamp": "2026-03-01T06:00:00Z",
            "ownerReferences": [{"apiVersion": "tradewind.dev/v1alpha1", "kind": "Dag", "name": "sales", "uid": uid}],
        }
        return {"metadata": metadata, "cells": {"Phase": "Failed", "Finished": "2026-03-01T06:05:00Z"}}


def history(client: Any, *scopes: str, dags: dict[Any, Any] | None = None) -> History:
    nothing: Any = None
    dags = {} if dags is None else dags
    cluster = SimpleNamespace(part=ONLY_SHARD, dags=dags, backfills={}, requested={})
    term = part_of_term(client=client, cluster=cluster, spawn=asyncio.create_task)
    return History(term, nothing, scopes=scopes, revisions_in_use=nothing)


async def test_a_namespace_that_is_deleted_does_not_keep_the_others_from_being_listed() -> None:
    found = history(OneNamespaceIsGone(), "gone", "ours")
    key = ("ours", "sales")
    assert await found.load({key: 11}) == ([key], {key: ["run"]})
    assert await found.load({key: 12}) == ([key], {})
    assert found.counts[key, "Failed"] == 1


async def test_a_run_that_goes_while_a_new_leader_looks_how_it_ended_is_left_out() -> None:
    found = history(OneNamespaceIsGone(), "ours")
    assert [run.name for run in await found.read_finished(("ours", "sales"), ["a", "gone", "b"])] == ["a", "b"]
    assert await found.read_finished(("ours", "sales"), ["gone"]) == []


async def test_runs_of_a_deleted_dag_do_not_count_for_one_that_has_its_name_since() -> None:
    """Garbage collection deletes them later without a notification: they would count as runs of the new Dag."""
    key, dags = ("ns", "sales"), dict[Any, Any]()
    spawned = []
    found = history(TwoDagsOfOneName(), "ns", dags=dags)
    found._spawn = lambda work, what, again: spawned.append(asyncio.create_task(work))  # type: ignore[assignment]
    assert await found.load({}) == ([], {})
    dags[key] = SimpleNamespace(metadata=SimpleNamespace(uid="new"))
    found.dag_added(key)
    await asyncio.gather(*spawned)
    assert found.counts == {(key, "Failed"): 1}
    found.finished(ended("b", "old"))
    assert found.counts == {(key, "Failed"): 1}
    for uid in ("new", None):
        found.finished(ended(f"of-{uid}", uid))
    assert found.counts == {(key, "Failed"): 3}


def ended(name: str, dag_uid: str | None) -> FinishedRun:
    return FinishedRun("ns", "sales", name, "Manual", RunPhase.FAILED, datetime.now(UTC), 20, dag_uid=dag_uid)


def lists(cluster: MemoryCluster) -> Counter[str]:
    """Counts the lists of runs that the controller asks for, from now on."""
    counted: Counter[str] = Counter()

    def before(request: Request) -> None:
        if request.method == "GET" and request.path.endswith(("/dagruns", "/controllerrevisions")):
            counted[f"{request.path} {request.params.get('fieldSelector')}"] += 1

    cluster.before_request = before
    return counted


async def finish(cluster: MemoryCluster, *runs: str, phase: str = "Succeeded") -> None:
    """Consecutive runs, many of them within the same second, which is the precision of finish times."""
    for name in runs:
        cluster.run("d", name, fails=phase == "Failed")
        await cluster.wait_phase(name, phase)


async def finish_apart(cluster: MemoryCluster, *runs: str) -> None:
    """Runs, each of which finishes in another second."""
    for name in runs:
        await finish(cluster, name)
        ended = cluster.status("dagruns", name)["finishedAt"]
        await cluster.eventually(
            lambda ended=ended: f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}" > ended, "another second"
        )


async def left(cluster: MemoryCluster, *runs: str) -> None:
    await cluster.eventually(lambda: sorted(cluster.names("dagruns")) == sorted(runs), f"{runs} are left")


async def test_history_goes_by_when_runs_finished_whoever_writes_to_them_later(cluster: MemoryCluster) -> None:
    cluster.dag("d", successfulRunsHistoryLimit=2)
    await finish_apart(cluster, "r1", "r2")
    cluster.patch("dagruns", "r1", metadata={"labels": {"team": "x"}})
    await finish(cluster, "r3")
    await left(cluster, "r2", "r3")


async def test_so_does_a_new_leader(cluster: MemoryCluster) -> None:
    cluster.dag("d", successfulRunsHistoryLimit=2)
    await finish_apart(cluster, "r1", "r2")
    await cluster.stop()
    for name in ("r2", "r1"):
        cluster.patch("dagruns", name, metadata={"labels": {"team": "x"}})
    await cluster.start()
    await finish(cluster, "r3")
    await left(cluster, "r2", "r3")


async def test_a_run_that_ends_costs_no_list(cluster: MemoryCluster) -> None:
    cluster.dag("d", successfulRunsHistoryLimit=3)
    await finish(cluster, *(f"w{number}" for number in range(5)))
    counted = lists(cluster)
    await finish(cluster, *(f"r{number}" for number in range(10)))
    await left(cluster, "r7", "r8", "r9")
    assert counted == {}


async def test_nor_one_that_was_kept_by_the_leader_before(cluster: MemoryCluster) -> None:
    cluster.dag("d", successfulRunsHistoryLimit=3, failedRunsHistoryLimit=1)
    await finish(cluster, "a", "b", "c")
    await finish(cluster, "x", phase="Failed")
    await cluster.stop()
    await cluster.start()
    history = cluster.controller.leader.history  # type: ignore[union-attr]
    await cluster.eventually(lambda: history.counts[("ns", "d"), "Succeeded"] == 3, "they are listed")
    counted = lists(cluster)
    await finish(cluster, "e")
    await finish(cluster, "y", phase="Failed")
    await left(cluster, "b", "c", "e", "y")
    assert counted == {}
    assert history.counts == {(("ns", "d"), "Succeeded"): 3, (("ns", "d"), "Failed"): 1}


async def test_runs_are_listed_again_when_another_client_deletes_some(cluster: MemoryCluster) -> None:
    cluster.dag("d", successfulRunsHistoryLimit=3)
    await finish(cluster, "a", "b", "c")
    for name in ("a", "c"):
        cluster.delete("dagruns", name)
    await finish(cluster, "e")
    history = cluster.controller.leader.history  # type: ignore[union-attr]
    await cluster.eventually(lambda: history.counts[("ns", "d"), "Succeeded"] == 2, "it is known that c is gone too")
    await finish(cluster, "f")
    await left(cluster, "b", "e", "f")


async def test_a_run_that_is_run_again_counts_when_it_ends_again(cluster: MemoryCluster) -> None:
    cluster.dag("d", successfulRunsHistoryLimit=2)
    await finish(cluster, "a", "b")
    await cluster.wait_asked("a", cluster.ask("a", "Rerun"))
    await cluster.wait_phase("a", "Succeeded")
    await finish(cluster, "c")
    await left(cluster, "a", "c")


def take_for_a_backfill(cluster: MemoryCluster, run: str) -> None:
    """As a Backfill does that has it run again."""
    cluster.create("backfills", "b", spec={"dag": "d", "from": days_ago(1), "to": days_ago(0), "dryRun": True})
    uid = cluster.get("backfills", "b")["metadata"]["uid"]
    labels, annotations = {"tradewind.dev/backfill": "b"}, {"tradewind.dev/backfill-uid": uid}
    cluster.patch("dagruns", run, metadata={"labels": labels, "annotations": annotations})


async def test_a_run_that_has_become_one_of_a_backfill_is_not_deleted_as_one_of_its_dag(cluster: MemoryCluster) -> None:
    cluster.dag("d", failedRunsHistoryLimit=1)
    await finish(cluster, "a", phase="Failed")
    take_for_a_backfill(cluster, "a")
    await finish(cluster, "c", "e", phase="Failed")
    await left(cluster, "a", "e")


async def test_nor_does_it_count_as_one_though_it_was_refused_to_run_it_again(cluster: MemoryCluster) -> None:
    cluster.dag("d", failedRunsHistoryLimit=2)
    await finish(cluster, "a", "c", phase="Failed")
    take_for_a_backfill(cluster, "c")
    record = await cluster.wait_asked("c", cluster.ask("c", "Rerun", tasks=["nope"]))
    assert record["state"] == "Rejected"
    await finish(cluster, "e", phase="Failed")
    await asyncio.sleep(0.2)
    await left(cluster, "a", "c", "e")


async def test_an_unexpected_error_does_not_end_it(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.failures_expected = True
    monkeypatch.setattr(background, "FIRST_PAUSE", 0.05)
    cluster.dag("d", successfulRunsHistoryLimit=0)
    history = cluster.controller.leader.history  # type: ignore[union-attr]
    delete, failed = history._delete, list[Any]()

    async def fails(*arguments: Any) -> bool:
        if not failed:
            failed.append(arguments)
            raise RuntimeError("unexpected")
        return await delete(*arguments)

    monkeypatch.setattr(history, "_delete", fails)
    await finish(cluster, "a")
    await left(cluster)
    assert failed


# What must not be forgotten -----------------------------------------------------------------------------------------


def made(cluster: MemoryCluster) -> Counter[str]:
    """Counts how often a run of each name is made, from now on."""
    counted: Counter[str] = Counter()

    def after(method: str, plural: str, name: str, body: Json) -> None:
        if (method, plural) == ("POST", "dagruns"):
            counted[name] += 1

    cluster.after_write = after
    return counted


@pytest.mark.parametrize("limit", [0, 2])
async def test_the_run_of_a_tick_is_kept_until_the_dag_says_that_the_tick_had_one(
    cluster: MemoryCluster, limit: int
) -> None:
    counted = made(cluster)
    slow = True

    def before(method: str, plural: str, name: str, body: Json) -> None:
        if slow and (method, plural) == ("PATCH", "dags"):
            raise ApiError(429, "TooManyRequests", "busy", retry_after=0.05)

    cluster.before_write = before
    cluster.dag("d", schedule="0 0 * * *", startDate=days_ago(6), catchup=True, successfulRunsHistoryLimit=limit)
    await cluster.eventually(lambda: cluster.succeeded() == 7, "all have run")
    await asyncio.sleep(0.1)
    assert len(cluster.names("dagruns")) == 7
    await cluster.kill()
    slow = False
    await cluster.start()
    await cluster.eventually(lambda: len(cluster.names("dagruns")) == limit, "they are pruned")
    assert set(counted.values()) == {1}


async def test_so_is_a_run_that_a_backfill_made_of_a_tick_that_is_still_to_come(cluster: MemoryCluster) -> None:
    """Its Backfill is deleted before the schedule reaches the tick."""
    counted = made(cluster)
    cluster.stays.add(f"d-{days_ago(6).translate(str.maketrans('', '', '-:Z')).lower()}")
    cluster.dag(
        *("d",),
        schedule="0 0 * * *",
        startDate=days_ago(6),
        catchup=True,
        maxActiveRuns=1,
        successfulRunsHistoryLimit=0,
    )
    spec = {"dag": "d", "from": days_ago(3), "to": days_ago(0)}
    cluster.create("backfills", "b", spec=spec)
    await cluster.eventually(lambda: cluster.status("backfills", "b").get("phase") == "Succeeded", "it is done")
    cluster.delete("backfills", "b")
    await asyncio.sleep(0.2)
    assert len(cluster.names("dagruns")) == 5
    [pod] = [pod for pod in cluster.all("pods") if pod["status"].get("phase") == "Running"]
    cluster.end(pod["metadata"]["name"], pod["metadata"]["labels"]["tradewind.dev/run"])
    await left(cluster)
    assert len(counted) == 7
    assert set(counted.values()) == {1}


async def test_a_tick_between_two_milliseconds_is_dealt_with_once(cluster: MemoryCluster) -> None:
    """Its moment is in the Dag's status in full."""
    counted = made(cluster)
    start = f"{days_ago(1)[:-1]}.000123Z"
    cluster.dag("d", schedule="@once", startDate=start, successfulRunsHistoryLimit=0)
    await cluster.eventually(lambda: cluster.status("dags", "d").get("lastScheduleTime") == start, "it is written")
    await left(cluster)
    await cluster.stop()
    await cluster.start()
    await asyncio.sleep(0.2)
    assert counted == {f"d-{days_ago(1).translate(str.maketrans('', '', '-:Z')).lower()}": 1}


# Revisions ----------------------------------------------------------------------------------------------------------


async def test_revisions_that_no_run_uses_go_once_there_are_too_many(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the statuses of the runs, which may have a megabyte each, are not read for it."""
    monkeypatch.setattr("tradewind.controller.dags.history.REVISIONS_KEPT", 2)
    whole: list[str] = []

    def before(request: Request) -> None:
        if request.method == "GET" and request.path.endswith("/dagruns") and not request.partial:
            whole.append(str(request.params))

    cluster.dag("d", successfulRunsHistoryLimit=1)
    await finish(cluster, "a")
    [first] = cluster.names("controllerrevisions")
    cluster.stays.add("pinned")
    cluster.run("d", "pinned")
    await cluster.eventually(lambda: cluster.status("dagruns", "pinned").get("revision") == first, "it is pinned")
    cluster.before_request = before
    for number in range(5):
        tasks = [{"name": "load", "image": "busybox", "args": [str(number)]}]
        cluster.patch("dags", "d", spec={"tasks": tasks})
        await finish(cluster, f"r{number}")
    await left(cluster, "pinned", "r4")
    revision = cluster.status("dagruns", "r4")["revision"]
    known = lambda: set(cluster.names("controllerrevisions"))  # noqa: E731
    # Of six; how many more go depends on which runs were deleted before the last edit was heard of.
    await cluster.eventually(lambda: len(known()) <= 4, "the newest and the pinned one are left")
    assert {first, revision} <= known()
    assert [each for each in whole if "fieldSelector" in each and "spec.dag" in each] == []
