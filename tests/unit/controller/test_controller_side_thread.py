"""The Lease is renewed while the loop that works is held; who holds it is named; and it is given up in the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest

from tests.apiserver import ApiServer, Request, Response
from tests.apiserver.http import served
from tests.apiserver.kinds import LEASES
from tradewind.controller.metrics.instrumentation import Metrics
from tradewind.controller.process import watchdog as watchdog_module
from tradewind.controller.process.side_thread import ElectionThread, SideThread, ThreadEnded
from tradewind.controller.process.watchdog import Watchdog
from tradewind.kube.client import KubeClient
from tradewind.kube.config import Connection
from tradewind.kube.credentials import StaticCredentials
from tradewind.kube.lease import LeaderElection
from tradewind.kube.working_on import working_on

pytestmark = pytest.mark.unit

LEASE = 1.5


class LeaseServer:
    """An API server on threads of its own, which notes when the Lease is written."""

    def __init__(self) -> None:
        self.api = ApiServer(now=lambda: datetime.now(UTC), new_uid=lambda: str(uuid.uuid4()))
        self.renewals: list[float] = []
        self.url = ""
        self._lock = threading.Lock()

    @property
    def holder(self) -> str | None:
        lease = self.api.find(LEASES, "default", "lease") or {}
        return (lease.get("spec") or {}).get("holderIdentity")

    def answer(self, request: Request) -> Response:
        with self._lock:
            if request.method != "GET":
                self.renewals.append(time.monotonic())
            return self.api.handle(request)


@pytest.fixture
def server() -> Iterator[LeaseServer]:
    server = LeaseServer()
    with served(server.answer) as server.url:
        yield server


class Working:
    """The loop that works, and what it has heard of the election."""

    def __init__(self, server: LeaseServer) -> None:
        self.side = SideThread()
        self.side.start()
        self.client = KubeClient(Connection(server.url, None, StaticCredentials()))
        self.host = ElectionThread(self.client, self.side)
        self.heard: list[str] = []
        self.unfit: str | None = None
        self.election = LeaderElection(
            self.client,
            namespace="default",
            name="lease",
            identity="we",
            on_started=lambda: self.host.call_in_loop(lambda: self.heard.append("started")),
            on_stopped=lambda: self.host.call_in_loop(lambda: self.heard.append("stopped")),
            unfit=lambda: self.unfit,
            lease_duration=LEASE,
            renew_deadline=LEASE * 2 / 3,
            retry_period=LEASE * 2 / 15,
        )
        self.task = asyncio.create_task(self.host.run(self.election))

    async def leads(self) -> None:
        await self.reports(["started"])

    async def reports(self, what: list[str]) -> None:
        for _ in range(1000):
            if self.heard != what:
                await asyncio.sleep(0.01)
        assert self.heard == what

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        with contextlib.suppress(ThreadEnded):
            await self.side.call(self.client.close())
        await self.side.stop()


@pytest.fixture
async def working(server: LeaseServer) -> AsyncIterator[Working]:
    working = Working(server)
    yield working
    await working.stop()


def hold_the_loop(seconds: float) -> None:
    """Python code that takes long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(1000))


async def test_a_loop_that_is_held_for_longer_than_the_lease_keeps_it(server: LeaseServer, working: Working) -> None:
    await working.leads()
    before = len(server.renewals)
    hold_the_loop(2 * LEASE)
    assert working.election.is_leader
    assert len(server.renewals) - before >= 4, "it was renewed all the time"
    assert working.heard == ["started"]
    working.election.ensure_leader()


async def test_who_is_unfit_gives_the_lease_back_and_comes_back_when_fit(server: LeaseServer, working: Working) -> None:
    await working.leads()
    working.unfit = "the event loop was stuck"
    hold_the_loop(LEASE)
    assert not working.election.is_leader
    assert (server.holder, working.heard) == (None, ["started"]), "given back, though this loop has not heard of it"
    first = working.election.term
    working.unfit = None
    await working.reports(["started", "stopped", "started"])
    assert working.election.term == first + 1


async def test_who_stops_gives_the_lease_back_before_it_has_stopped(server: LeaseServer, working: Working) -> None:
    await working.leads()
    began = time.monotonic()
    working.task.cancel()
    await asyncio.gather(working.task, return_exceptions=True)
    assert (server.holder, time.monotonic() - began < 1) == (None, True)


async def test_without_the_thread_the_election_fails_and_there_is_no_leader_for_long(working: Working) -> None:
    await working.leads()
    await working.side.stop()
    with pytest.raises(ThreadEnded):
        await asyncio.wait_for(working.task, 5)
    await asyncio.sleep(LEASE)
    assert not working.election.is_leader
    with pytest.raises(ThreadEnded):
        await working.side.call(asyncio.sleep(0))


async def test_what_fails_on_the_thread_is_raised_to_the_caller() -> None:
    async def fail() -> None:
        raise ValueError("bad")

    side = SideThread()
    side.start()
    with pytest.raises(ValueError, match="bad"):
        await side.call(fail())
    assert await side.call(asyncio.sleep(0, "well")) == "well"
    await side.stop()


@pytest.fixture
async def watched() -> AsyncIterator[Metrics]:
    side, metrics = SideThread(), Metrics()
    side.start()
    task = asyncio.create_task(side.call(Watchdog(metrics).run()))
    await asyncio.sleep(0.3)
    yield metrics
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await side.stop()


def stalls(metrics: Metrics) -> list[tuple[dict[str, str], float]]:
    [family] = [found for found in metrics.registry.collect() if found.name == "tradewind_event_loop_stall_seconds"]
    return [(sample.labels, sample.value) for sample in family.samples]


async def test_an_object_that_holds_the_loop_is_named_while_it_does_and_after(
    watched: Metrics, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watchdog_module, "LONG_STALL", 0.5)
    seen: list[list[tuple[dict[str, str], float]]] = []
    with caplog.at_level(logging.INFO), working_on("Dag", ("ns", "around")):
        for name, seconds in (("quick", 0.01), ("slow", 1.0)):
            with working_on("DagRun", ("ns", name)):
                hold_the_loop(seconds)
                seen.append(stalls(watched))
    await asyncio.sleep(0.3)
    slow = {"kind": "DagRun", "namespace": "ns", "name": "slow"}
    assert [labels for labels, _ in seen[-1]] == [slow]
    [(labels, value)] = stalls(watched)
    assert (labels, 0.8 < value < 5) == (slow, True)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert re.match(r"the event loop has been blocked for 0\.\d s, and still is, by DagRun ns/slow \(", warnings[0])
    assert re.match(r"the event loop was blocked for \d\.\d s by DagRun ns/slow \(", warnings[1])
    count = watched.registry.get_sample_value
    assert count("tradewind_event_loop_delay_seconds_bucket", {"le": "0.5"}) != count(
        "tradewind_event_loop_delay_seconds_count"
    )


async def test_where_nothing_is_marked_the_task_is_named(watched: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        hold_the_loop(1.0)

    with caplog.at_level(logging.INFO):
        await asyncio.create_task(work(), name="load ns/big")
        await asyncio.sleep(0.3)
    [line, *_] = [record.getMessage() for record in caplog.records if "blocked for" in record.getMessage()]
    assert "load ns/big" in line


async def test_a_loop_that_is_free_is_not_talked_of(watched: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await asyncio.sleep(1)
    assert not caplog.records
    assert 3 < (watched.registry.get_sample_value("tradewind_event_loop_delay_seconds_count") or 0) < 30
    assert stalls(watched) == []
