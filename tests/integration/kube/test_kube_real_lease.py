"""Leader election among processes, on a real API server: killed, frozen and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import kubernetes
import pytest

DURATION, RETRY = 4.0, 0.5


class Candidate:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.states: list[str] = []
        self._reader = asyncio.create_task(self._read())

    @property
    def leads(self) -> bool:
        return bool(self.states) and self.states[-1] == "leads"

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.states.append(line.decode().strip())

    async def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self._reader


@pytest.fixture
async def candidate(kubeconfig: Path, namespace: str) -> AsyncIterator[Callable[[str], Any]]:
    started: list[Candidate] = []

    async def start(identity: str) -> Candidate:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("elector.py")),
            str(kubeconfig),
            namespace,
            identity,
            stdout=asyncio.subprocess.PIPE,
        )
        started.append(Candidate(process))
        await until(lambda: started[-1].states)
        return started[-1]

    yield start
    for one in started:
        await one.end()


@pytest.fixture
def lease(kubeconfig: Path, namespace: str) -> Callable[[], Any]:
    api = kubernetes.client.CoordinationV1Api(kubernetes.config.new_client_from_config(str(kubeconfig)))
    return lambda: api.read_namespaced_lease("election", namespace).spec


async def until(condition: Callable[[], Any], seconds: float = 120) -> float:
    """Return the seconds that it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "waited in vain"
        await asyncio.sleep(0.01)
    return time.monotonic() - start


async def test_one_leads_and_a_killed_leader_is_replaced(
    candidate: Callable[[str], Any], lease: Callable[[], Any]
) -> None:
    a = await candidate("a")
    await until(lambda: a.leads)
    b = await candidate("b")
    await asyncio.sleep(DURATION + 2 * RETRY)
    assert (a.leads, b.leads) == (True, False)
    assert (lease().holder_identity, lease().lease_transitions) == ("a", 0)
    a.process.kill()
    took = await until(lambda: b.leads)
    # Counted from the last renewal that the standby saw, at most a retry ago, and noticed at the next look.
    assert took > DURATION - 2 * RETRY - 0.5
    assert (lease().holder_identity, lease().lease_transitions) == ("b", 1)


async def test_a_graceful_stop_hands_over_at_once(candidate: Callable[[str], Any], lease: Callable[[], Any]) -> None:
    a = await candidate("a")
    await until(lambda: a.leads)
    b = await candidate("b")
    a.process.send_signal(signal.SIGTERM)
    took = await until(lambda: b.leads)
    assert took < DURATION
    assert await a.process.wait() == 0
    assert (lease().holder_identity, lease().lease_transitions) == ("b", 1)


async def test_a_frozen_leader_wakes_up_as_a_follower(
    candidate: Callable[[str], Any], lease: Callable[[], Any]
) -> None:
    a = await candidate("a")
    await until(lambda: a.leads)
    b = await candidate("b")
    a.process.send_signal(signal.SIGSTOP)
    await until(lambda: b.leads)
    before = len(a.states)
    a.process.send_signal(signal.SIGCONT)
    await until(lambda: len(a.states) > before)
    assert a.states[before:] == ["follows"]
    await asyncio.sleep(2 * RETRY)
    assert (a.leads, b.leads) == (False, True)
    assert lease().holder_identity == "b"
