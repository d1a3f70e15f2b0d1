"""/healthz fails when the loop or a watch is stuck, says which, and does not fail if a restart would not help."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from socket import socket
from typing import Any

import aiohttp
import pytest

from tests.apiserver import Request
from tests.unit.controller.memory_cluster import MemoryCluster
from tradewind.controller.process import controller as controller_module
from tradewind.controller.process import endpoints
from tradewind.kube.backoff import Backoff
from tradewind.kube.errors import Unreachable

pytestmark = pytest.mark.unit


class JumpingClock:
    """The machine's time, and what was added; waits are short."""

    def __init__(self) -> None:
        self.added = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.added

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
async def cluster(clock: JumpingClock) -> AsyncIterator[MemoryCluster]:
    cluster = MemoryCluster(clock)
    await cluster.start()
    yield cluster
    await cluster.stop()


def bookmarks(cluster: MemoryCluster) -> None:
    """Send an event to every open watch."""
    for watch in list(cluster.server.watches):
        watch.bookmark(cluster.server.store.revision)


async def pass_time(cluster: MemoryCluster, clock: JumpingClock, seconds: float) -> None:
    """So much time passes, with a bookmark once a minute and the event loop turning."""
    while seconds > 0:
        clock.added += min(seconds, 50)
        seconds -= 50
        bookmarks(cluster)
        beat = cluster.controller._beat
        await cluster.eventually(lambda then=beat: cluster.controller._beat > then, "the loop turns")


def task_named(name: str) -> asyncio.Task[Any]:
    [found] = [task for task in asyncio.all_tasks() if task.get_name() == name]
    return found


async def test_it_is_well(cluster: MemoryCluster, clock: JumpingClock) -> None:
    await pass_time(cluster, clock, 1000)
    assert cluster.controller.unhealthy() is None
    assert cluster.controller.unready() is None


async def test_a_watch_that_was_stopped(cluster: MemoryCluster, clock: JumpingClock) -> None:
    task_named("informer pods").cancel()
    await pass_time(cluster, clock, 100)
    assert cluster.controller.unhealthy() is None, "it might yet come back"
    await pass_time(cluster, clock, 200)
    assert str(cluster.controller.unhealthy()).startswith("the watch of pods has been stuck for ")
    assert cluster.controller.unready() == cluster.controller.unhealthy()


async def test_the_event_loop_is_blocked(cluster: MemoryCluster, clock: JumpingClock) -> None:
    """While it is blocked nothing answers, which fails the probe as well; this is what is said right after."""
    clock.added += 100
    assert str(cluster.controller.unhealthy()).startswith("the event loop has been blocked for 100 s")


async def test_the_loop_of_the_leader_takes_no_step(
    cluster: MemoryCluster, clock: JumpingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = cluster.controller.leader
    assert leader is not None
    await cluster.eventually(
        lambda: task_named("lead") and leader in cluster.controller.cluster._listeners._listeners.values(), "it leads"
    )
    loop_hangs = asyncio.Event()
    monkeypatch.setattr(leader._news, "wait", loop_hangs.wait)
    cluster.dag("sales")
    await cluster.eventually(lambda: leader.has_news or cluster.dag(f"d{time.monotonic_ns()}"), "there is news")
    await pass_time(cluster, clock, 200)
    assert "the leader's loop has not run for " in str(cluster.controller.unhealthy())
    loop_hangs.set()
    await cluster.eventually(lambda: cluster.controller.unhealthy() is None, "it has taken one")


async def test_a_server_that_cannot_be_reached_is_no_reason_to_restart(
    cluster: MemoryCluster, clock: JumpingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(request: Request) -> None:
        raise Unreachable("no route to host")

    async def no_watch(request: Request) -> Any:
        await asyncio.sleep(0.01)
        unreachable(request)

    cluster.before_request = unreachable
    monkeypatch.setattr(cluster._client, "_open_in_memory", no_watch)
    monkeypatch.setattr(Backoff, "next", lambda backoff, at_least=None: 0.01)
    for watch in list(cluster.server.watches):
        watch.end()
    for _ in range(8):
        tried = {informer: informer.restarts for informer in cluster.controller.cluster.informers}
        clock.added += 50
        await cluster.eventually(
            lambda then=tried: all(informer.restarts > count for informer, count in then.items()),
            "each has tried again",
        )
        beat = cluster.controller._beat
        await cluster.eventually(lambda then=beat: cluster.controller._beat > then, "the loop turns")
        assert cluster.controller.unhealthy() is None


async def test_the_kubelet_is_notified(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    async with AsyncExitStack() as stack:
        await endpoints.serve(cluster.controller, metrics_port=0, probe_port=port, stack=stack)
        async with aiohttp.ClientSession() as session:

            async def ask(path: str) -> tuple[int, str]:
                async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                    return answer.status, await answer.text()

            assert await ask("/healthz") == (200, "ok")
            task_named("informer dags").cancel()
            monkeypatch.setattr(controller_module, "SILENT_WATCH", -1.0)
            status, text = await ask("/healthz")
            assert status == 503
            assert "has been stuck for" in text
            assert (await ask("/readyz"))[0] == 503
