"""Responses of the API server to the creation of a Pod, and unexpected responses and errors."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.unit.controller.memory_cluster import MemoryCluster
from tests.unit.controller.terms import part_of_term
from tradewind.controller.pods import tries
from tradewind.controller.pods.tries import Tries
from tradewind.engine.run.tries import TryEvent, TryKey, TryReport
from tradewind.kube.errors import ApiError
from tradewind.kube.resources import PODS
from tradewind.kube.writer import Priority, Writer

pytestmark = pytest.mark.unit

KEY = TryKey("load", None, 1)
INSECURE = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'
NO_ACCOUNT = 'pods "x" is forbidden: error looking up service account ns/x: serviceaccount "x" not found'
TERMINATING = {"causes": [{"reason": "NamespaceTerminating"}]}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ApiError(400, "BadRequest", "json: cannot unmarshal"), "InvalidPod"),
        (ApiError(413, "RequestEntityTooLarge", "too large"), "InvalidPod"),
        (ApiError(500, "", "etcdserver: request is too large"), "InvalidPod"),
        (ApiError(422, "Invalid", "spec.containers: Required value"), "InvalidPod"),
        (ApiError(403, "Forbidden", INSECURE), "Forbidden"),
    ],
)
def test_what_is_the_pods_fault_is_final(error: ApiError, reason: str) -> None:
    refusal = tries._refusal(KEY, error)
    assert (refusal.event, refusal.reason, refusal.message) == (TryEvent.REFUSED, reason, error.message)
    assert not refusal.retry


@pytest.mark.parametrize(
    ("error", "reason", "bounded"),
    [
        (ApiError(401, "Unauthorized", "Unauthorized"), "Unauthorized", False),
        (ApiError(403, "Forbidden", NO_ACCOUNT), "Forbidden", True),
        (ApiError(403, "Forbidden", "failed quota: quota: must specify limits.cpu"), "Forbidden", True),
        (ApiError(403, "Forbidden", "it is being terminated", TERMINATING), "NamespaceTerminating", False),
        (ApiError(404, "NotFound", 'namespaces "ns" not found'), "NamespaceTerminating", False),
        (ApiError(405, "MethodNotAllowed", "no"), "ApiUnavailable", False),
        (ApiError(409, "Conflict", "quota"), "ApiUnavailable", False),
        (ApiError(415, "UnsupportedMediaType", "no"), "ApiUnavailable", False),
        (ApiError(429, "TooManyRequests", "later"), "ApiUnavailable", False),
        (ApiError(501, "NotImplemented", "no"), "ApiUnavailable", False),
        (ApiError(503, "ServiceUnavailable", "apiserver is shutting down"), "ApiUnavailable", False),
    ],
)  # fmt: skip
def test_all_else_is_tried_again(error: ApiError, reason: str, bounded: bool) -> None:
    refusal = tries._refusal(KEY, error)
    assert (refusal.event, refusal.reason, refusal.message) == (TryEvent.POSTPONED, reason, error.message)
    assert refusal.retry is not bounded


async def test_a_401_does_not_fail_a_task(cluster: MemoryCluster) -> None:
    seen: list[str] = []

    def hook(method: str, plural: str, name: str, body: Any) -> None:
        if (method, plural) == ("POST", "pods") and not seen:
            seen.append(name)
            raise ApiError(401, "Unauthorized", "Unauthorized")

    cluster.before_write = hook
    cluster.dag("d")
    cluster.run("d", "r")
    await cluster.wait_phase("r", "Succeeded")
    assert cluster.status("dagruns", "r")["tasks"][0]["try"] == 1


async def test_a_pod_template_that_cannot_be_merged(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever let it in: what is accepted today may have been accepted by other rules."""

    def fail(*_: object) -> None:
        raise ValueError("podTemplate.spec.volumes: each item needs 'name'")

    monkeypatch.setattr(tries, "pod_manifest", fail)
    cluster.dag("d")
    cluster.run("d", "r")
    await cluster.wait_phase("r", "Failed")
    [entry] = cluster.status("dagruns", "r")["tasks"]
    assert (entry["reason"], entry["message"]) == (
        "InvalidPodTemplate",
        "podTemplate.spec.volumes: each item needs 'name'",
    )


async def test_an_unexpected_error_fails_the_try_and_is_logged_in_full_once(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("mountPath")

    monkeypatch.setattr(tries, "pod_manifest", fail)
    cluster.dag("d", tasks=[{"name": name, "image": "busybox"} for name in ("a", "b", "c")])
    cluster.run("d", "r")
    await cluster.wait_phase("r", "Failed")
    for entry in cluster.status("dagruns", "r")["tasks"]:
        assert (entry["state"], entry["reason"]) == ("Failed", "InternalError")
        assert entry["message"] == "the controller failed to create its Pod: KeyError: 'mountPath'"
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.exc_info is not None for record in logged] == [True, False, False]
    leader = cluster.controller.leader
    assert leader is not None
    assert leader.scheduler.slots.active == 0


async def test_one_while_the_pod_may_be_there_postpones_the_try(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, broken = Tries._adopt, [True]

    async def adopt(self: Tries, *args: Any, **options: Any) -> None:
        if broken:
            broken.pop()
            raise TypeError("what is this?")
        await real(self, *args, **options)

    monkeypatch.setattr(Tries, "_adopt", adopt)

    def hook(method: str, plural: str, name: str, body: Any) -> None:
        if (method, plural) == ("POST", "pods") and broken:
            raise ApiError(403, "Forbidden", "no")

    cluster.before_write = hook
    cluster.dag("d")
    cluster.run("d", "r")
    said = "load is waiting: InternalError: the controller failed to create its Pod: TypeError: what is this?"
    await cluster.eventually(lambda: cluster.status("dagruns", "r").get("message") == said, "it says why")
    status = await cluster.wait_phase("r", "Succeeded")
    assert "message" not in status


async def test_a_start_that_was_lost_is_made_again(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it was that should have started the try: it keeps its slots no longer than a minute."""
    from tradewind.engine import scheduler

    monkeypatch.setattr(scheduler, "START_AGAIN", scheduler.START_AGAIN / 100)
    real, lost = Tries.start, [True]

    async def start(self: Tries, *args: Any) -> None:
        if not lost:
            await real(self, *args)
        lost.clear()

    monkeypatch.setattr(Tries, "start", start)
    cluster.dag("d")
    cluster.run("d", "r")
    await cluster.eventually(lambda: not lost, "it was to be started")
    await asyncio.sleep(1)
    cluster.run("d", "other")  # any news will do
    await cluster.wait_phase("r", "Succeeded")


# Under flow control -----------------------------------------------------------------------------------------------


def no_report(run_uid: str, report: TryReport) -> None:
    """The signal is ignored."""


class BusyServer:
    """An API server that takes a few requests at a time, each for 10 ms, and answers 429 to all others."""

    def __init__(self, at_once: int) -> None:
        self.at_once, self.now, self.refused = at_once, 0, 0
        self.made: list[str] = []

    async def request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        self.now += 1
        try:
            if self.now > self.at_once:
                self.refused += 1
                raise ApiError(429, "TooManyRequests", "busy", retry_after=0.05)
            await asyncio.sleep(0.01)
            self.made.append(method)
            return {}
        finally:
            self.now -= 1


@pytest.mark.parametrize("at_once", [1, 8])
async def test_deletions_and_the_status_of_dags_get_through_while_pods_are_made(at_once: int) -> None:
    server: Any = BusyServer(at_once)
    writer = Writer(server)
    queue = Tries(part_of_term(writer=writer), no_report)._queue

    async def make(number: int) -> None:
        async with queue.acquire(("ns", "d", "r")) as permit:
            await writer.create(PODS, "ns", {"metadata": {"name": f"p{number}"}}, delayed=permit.release)

    making = [asyncio.create_task(make(number)) for number in range(2000)]
    await asyncio.sleep(0.5)
    try:
        async with asyncio.timeout(15):
            await asyncio.gather(
                writer.delete(PODS, "ns", "x", priority=Priority.STOP),
                writer.patch(PODS, "ns", "d", {}, subresource="status", priority=Priority.CONDITION),
                writer.delete(PODS, "ns", "y"),
            )
        assert server.refused
        assert server.made.count("POST") < 1500, "it was busy all the time"
    except TimeoutError:
        pytest.fail(f"starved: {server.made.count('POST')} Pods made, {server.made[-20:]}")
    finally:
        for task in making:
            task.cancel()
        await writer.stop()


def test_pods_are_made_sixteen_at_a_time_while_no_one_objects() -> None:
    class Slots:
        slots = 32

    queue = Tries(part_of_term(writer=Slots()), no_report)._queue
    for slots, at_once in ((32, 16), (64, 16), (8, 4), (3, 1), (1, 1)):
        Slots.slots = slots
        assert queue._limit() == at_once
