"""The Pods of finished runs go after podRetention, whoever leads then, and cost nearly nothing until then."""

from __future__ import annotations

import asyncio
import tracemalloc
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.apiserver import Request
from tests.unit.controller.memory_cluster import ApiError, MemoryCluster
from tests.unit.controller.terms import part_of_term
from tradewind.aio.background import Background
from tradewind.cache.resources import PodObject
from tradewind.controller.pods import retention
from tradewind.controller.pods.retention import AT_ONCE, Retention
from tradewind.kube.clock import SYSTEM_CLOCK, Clock

pytestmark = pytest.mark.unit

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def pods(cluster: MemoryCluster, run: str) -> list[str]:
    labelled = [pod for pod in cluster.all("pods") if pod["metadata"]["labels"]["tradewind.dev/run"] == run]
    return [pod["metadata"]["name"] for pod in labelled]


async def appointed(cluster: MemoryCluster) -> Retention:
    """A retention that knows when the Pods of the finished run r are due."""
    cluster.dag("d")
    cluster.run("d", "r")
    await cluster.wait_phase("r", "Succeeded")
    leader = cluster.controller.leader
    assert leader is not None
    await cluster.eventually(lambda: len(leader.retention), "there is an appointment")
    return leader.retention


async def test_the_pods_of_a_run_go_in_time_and_the_run_stays(cluster: MemoryCluster) -> None:
    cluster.dag("d", podRetention="1s")
    cluster.run("d", "r")
    await cluster.wait_phase("r", "Succeeded")
    assert len(pods(cluster, "r")) == 1
    await cluster.eventually(lambda: not pods(cluster, "r"), "they go", 10)
    assert cluster.status("dagruns", "r")["phase"] == "Succeeded"
    assert cluster.controller.leader is not None
    await cluster.eventually(lambda: not len(cluster.controller.leader.retention), "nothing is left of it")  # type: ignore[union-attr]


async def test_by_default_they_stay_for_a_day(cluster: MemoryCluster) -> None:
    kept = await appointed(cluster)
    (appointment,) = kept._known.values()
    assert timedelta(hours=23, minutes=59) < appointment.due - datetime.now(UTC) <= timedelta(days=1)


async def test_a_run_that_is_deleted_is_forgotten(cluster: MemoryCluster) -> None:
    kept = await appointed(cluster)
    cluster.delete("dagruns", "r")
    for pod in pods(cluster, "r"):
        cluster.delete("pods", pod)
    await cluster.eventually(lambda: not len(kept), "it is forgotten")


async def test_the_next_leader_keeps_the_appointments_and_asks_of_no_run_before(cluster: MemoryCluster) -> None:
    cluster.dag("soon", podRetention="2s")
    cluster.dag("late", podRetention="1h")
    for dag in ("soon", "late"):
        cluster.run(dag, f"of-{dag}")
        await cluster.wait_phase(f"of-{dag}", "Succeeded")
    await cluster.kill()
    asked: list[str] = []

    def note(request: Request) -> None:
        if request.method == "GET" and "/dagruns/" in request.path:
            asked.append(request.path.rsplit("/", 1)[-1])

    cluster.before_request = note
    await cluster.start()
    leader = cluster.controller.leader
    assert leader is not None
    await cluster.eventually(lambda: len(leader.retention) == 2, "both are noted")
    assert not asked
    await cluster.eventually(lambda: not pods(cluster, "of-soon"), "they go", 10)
    assert set(asked) == {"of-soon"}
    assert len(pods(cluster, "of-late")) == 1


async def test_it_tries_again_where_the_server_does_not_answer(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "TRY_AGAIN", timedelta(seconds=0.05))
    cluster.dag("d", podRetention="1s")
    refusals = 0

    def refuse(request: Request) -> None:
        nonlocal refusals
        if request.method == "DELETE" and request.path.endswith("/pods") and refusals < 2:
            refusals += 1
            raise ApiError(500, "InternalError", "no")

    cluster.before_request = refuse
    cluster.run("d", "r")
    await cluster.eventually(lambda: refusals and not pods(cluster, "r"), "they go", 20)


async def test_a_run_that_is_run_again_meanwhile_keeps_its_new_pods(cluster: MemoryCluster) -> None:
    cluster.dag("d", podRetention="1s")
    refused, busy = 0, True

    def refuse(request: Request) -> None:
        nonlocal refused
        if busy and request.method == "DELETE" and request.path.endswith("/pods"):
            refused += 1
            raise ApiError(503, "ServiceUnavailable", "busy")

    cluster.before_request = refuse
    cluster.run("d", "r")
    await cluster.eventually(lambda: refused, "its Pods are to go", 10)
    cluster.stays.add("r")
    await cluster.wait_asked("r", cluster.ask("r", "Rerun"))
    await cluster.eventually(lambda: len(pods(cluster, "r")) == 2, "its new Pod is there")
    busy = False
    leader = cluster.controller.leader
    assert leader is not None
    await cluster.eventually(lambda: not len(leader.retention), "it continues", 20)
    assert len(pods(cluster, "r")) == 2


# ---- without a cluster


class Set(Clock):
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return SYSTEM_CLOCK.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Runs:
    """Runs that have finished, as API server, writer and caches know them."""

    def __init__(self) -> None:
        self.clock = Set()
        self.finished: dict[str, str] = {}
        self.deleted: list[str] = []
        self.asked = self.now = self.most = 0
        self.pods: dict[str, Any] = {}
        self.dags = {("ns", "d"): SimpleNamespace(facts=SimpleNamespace(pod_retention="1h"))}
        self.failures = 0
        self.background = Background(self._fail)
        term = part_of_term(client=self, writer=self, cluster=self, spawn=self.background.spawn, clock=self.clock)
        self.retention = Retention(term)
        self.keeping = asyncio.create_task(self.retention.keep())

    def _fail(self) -> None:
        self.failures += 1

    def is_active(self, uid: str) -> bool:
        return False

    def finish(self, uid: str, retention: str | None = "1h") -> None:
        self.pods[uid] = {"pod": None}
        self.finished[uid] = self.clock.at.isoformat()
        run = SimpleNamespace(
            dag=SimpleNamespace(spec=SimpleNamespace(pod_retention=retention)),
            info=SimpleNamespace(uid=uid, namespace="ns", name=uid),
            finished_at=self.clock.at,
        )
        self.retention.run_finished(cast("Any", run))

    async def get(self, kind: Any, namespace: str, name: str) -> dict[str, Any]:
        self.asked += 1
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001)
        self.now -= 1
        if "poison" in name and self.asked == 1:
            raise KeyError(name)
        return {"metadata": {"uid": name}, "status": {"phase": "Failed", "finishedAt": self.finished[name]}}

    async def delete_collection(self, kind: Any, namespace: str, *, label_selector: str, wanted: Any) -> None:
        self.deleted.append(label_selector.partition("=")[2])

    async def until(self, count: int) -> None:
        for _ in range(1000):
            if len(self.deleted) >= count:
                return
            await asyncio.sleep(0.01)
        pytest.fail(f"{count} runs were to lose their Pods: {self.deleted}")

    async def stop(self) -> None:
        self.keeping.cancel()
        self.background.cancel()


async def test_a_finished_run_costs_a_few_hundred_bytes() -> None:
    runs = Runs()
    await asyncio.sleep(0)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(5000):
        runs.retention.run_finished(
            cast(
                "Any",
                SimpleNamespace(
                    dag=SimpleNamespace(spec=SimpleNamespace(pod_retention="7d")),
                    info=SimpleNamespace(uid=f"0b7a-{number}", namespace="ns", name=f"dag-{number}"),
                    finished_at=NOW,
                ),
            )
        )
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(runs.retention) == 5000
    assert (after - before) / 5000 < 700
    for number in range(5000):
        runs.retention.pods_gone(f"0b7a-{number}")
    runs.finish("one")
    assert len(runs.retention._heap) < 100
    await runs.stop()


async def test_many_that_are_due_at_once_go_a_few_at_a_time() -> None:
    runs = Runs()
    for number in range(100):
        runs.finish(f"r{number}")
    await asyncio.sleep(0.02)
    assert not runs.deleted
    runs.clock.at += timedelta(hours=2)
    runs.finish("later")
    await runs.until(100)
    assert runs.most == AT_ONCE
    assert sorted(runs.deleted) == sorted(f"r{number}" for number in range(100))
    await runs.stop()


async def test_a_clock_that_is_set_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "LOOK_AGAIN", 0.05)
    runs = Runs()
    runs.finish("r", "1d")
    await asyncio.sleep(0.1)
    runs.clock.at += timedelta(days=2)
    await runs.until(1)
    await runs.stop()


async def test_a_run_that_finished_later_than_its_pods_tell_keeps_them_until_then() -> None:
    runs = Runs()
    labels = {"tradewind.dev/dag": "d", "tradewind.dev/run": "r"}
    runs.pods["r"] = {"pod": None}
    runs.finished["r"] = (NOW + timedelta(minutes=30)).isoformat()
    pod = SimpleNamespace(
        metadata=SimpleNamespace(labels=labels, namespace="ns", annotations={}, owner_references=[]),
        status=SimpleNamespace(
            start_time=NOW, container_statuses=[], phase="Running", conditions=[], init_container_statuses=[], reason=""
        ),
    )
    runs.retention.found("r", [cast("PodObject", pod)])
    (appointment,) = runs.retention._known.values()
    assert appointment.due == NOW + timedelta(hours=1)
    runs.clock.at += timedelta(minutes=70)
    runs.finish("other")
    await asyncio.sleep(0.1)
    assert runs.asked == 1
    assert runs.deleted == []
    assert runs.retention._known["r"].due == NOW + timedelta(minutes=90)
    runs.clock.at += timedelta(minutes=21)
    runs.finish("another")
    await runs.until(1)
    assert runs.deleted == ["r"]
    await runs.stop()


async def test_an_unexpected_error_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradewind.aio.background.FIRST_PAUSE", 0.01)
    runs = Runs()
    runs.finish("poison", "1s")
    runs.clock.at += timedelta(hours=1)
    runs.finish("other", "1h")
    await runs.until(1)
    assert runs.failures == 1
    assert runs.deleted == ["poison"]
    await runs.stop()


async def test_a_retention_that_cannot_be_read_keeps_them() -> None:
    runs = Runs()
    runs.finish("r", "soon")
    assert len(runs.retention) == 0
    runs.finish("s", None)
    assert runs.retention._known["s"].retention == timedelta(days=1)
    await runs.stop()


async def test_a_watch_that_has_yet_to_tell_of_the_end_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradewind.controller.pods.retention.TRY_AGAIN", timedelta(seconds=5))
    runs, active = Runs(), True
    monkeypatch.setattr(runs, "is_active", lambda uid: active)
    runs.finish("one", "1s")
    runs.clock.at += timedelta(seconds=2)
    runs.finish("other", "1h")
    await asyncio.sleep(0.05)
    assert (runs.deleted, runs.asked) == ([], 0)
    active = False
    runs.clock.at += timedelta(seconds=10)
    runs.finish("third", "1h")
    await runs.until(1)
    assert runs.deleted == ["one"]
    await runs.stop()
