"""At most one replica is the leader, and there is one: in virtual time, against leases with optimistic locking."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.kube.memory_client import LeaseClient
from tests.unit.kube.virtual_time import SkewedClock, VirtualClock
from tradewind.kube.errors import ApiError, Unreachable
from tradewind.kube.lease import LeaderElection, NotLeader

PATH = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/controller"


class Candidate:
    def __init__(
        self, leases: dict[str, Any], clock: Any, identity: str, name: str = "controller", **options: Any
    ) -> None:
        self.client = LeaseClient(leases)
        self.log: list[str] = []
        self.election = LeaderElection(
            self.client,
            namespace="ns",
            name=name,
            identity=identity,
            on_started=lambda: self.log.append("started"),
            on_stopped=lambda: self.log.append("stopped"),
            clock=clock,
            **{"rng": random.Random(1)} | options,
        )
        self.task = asyncio.create_task(self.election.run())

    @property
    def leads(self) -> bool:
        return self.election.is_leader

    async def stop(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@pytest.fixture
def leases() -> dict[str, Any]:
    return {}


@pytest.fixture
async def candidate(leases: dict[str, Any], clock: VirtualClock) -> AsyncIterator[Callable[..., Candidate]]:
    started: list[Candidate] = []

    def start(identity: str, *, clock: Any = clock, **options: Any) -> Candidate:
        started.append(Candidate(leases, clock, identity, **options))
        return started[-1]

    yield start
    for one in started:
        await one.stop()


async def test_the_first_leads_and_the_second_waits(
    candidate: Callable[..., Candidate], clock: VirtualClock, leases: dict[str, Any]
) -> None:
    a = candidate("a")
    await clock.advance(0)
    b = candidate("b")
    await clock.advance(120)
    assert (a.leads, b.leads) == (True, False)
    assert (a.log, b.log) == (["started"], [])
    spec = leases[PATH]["spec"]
    assert spec["holderIdentity"] == "a"
    assert spec["leaseDurationSeconds"] == 15
    assert spec["leaseTransitions"] == 0
    assert spec["acquireTime"] < spec["renewTime"]
    assert b.election.holder == "a"
    assert b.client.writes == 0
    a.election.ensure_leader()
    with pytest.raises(NotLeader):
        b.election.ensure_leader()


async def test_standby_takes_over_from_a_dead_leader_within_the_lease_duration(
    candidate: Callable[..., Candidate], clock: VirtualClock, leases: dict[str, Any]
) -> None:
    a = candidate("a")
    await clock.advance(0)
    b = candidate("b")
    await clock.advance(30)
    a.client.broken = Unreachable("cut off")
    waited = 0.0
    while not b.leads:
        assert not (a.leads and b.leads)
        await clock.advance(0.25)
        waited += 0.25
        assert waited <= 15 + 2 + 2, "the standby did not take over"
    assert waited > 10
    assert a.log == ["started", "stopped"]
    assert leases[PATH]["spec"]["leaseTransitions"] == 1
    assert b.election.transitions == 1
    # The old leader is back: it follows.
    a.client.broken = None
    await clock.advance(60)
    assert (a.leads, b.leads) == (False, True)


async def test_a_container_that_starts_again_takes_the_lease_of_the_one_before_it(
    candidate: Callable[..., Candidate], clock: VirtualClock, leases: dict[str, Any]
) -> None:
    first = candidate("pod-a_uid-1_x")
    standby = candidate("pod-b_uid-2_y", ended="pod-b_uid-2_")
    await clock.advance(10)
    first.task.cancel()
    first.client.broken = Unreachable("killed")
    await clock.advance(1)
    again = candidate("pod-a_uid-1_z", ended="pod-a_uid-1_")
    await clock.advance(0)
    assert (again.leads, standby.leads) == (True, False)
    # The standby sees a renewal, and keeps waiting.
    await clock.advance(60)
    assert (again.leads, standby.leads) == (True, False)
    assert leases[PATH]["spec"]["leaseTransitions"] == 1


async def test_graceful_stop_hands_over_at_once(
    candidate: Callable[..., Candidate], clock: VirtualClock, leases: dict[str, Any]
) -> None:
    a = candidate("a")
    await clock.advance(0)
    b = candidate("b")
    await clock.advance(10)
    await a.stop()
    assert a.log == ["started", "stopped"]
    assert not leases[PATH]["spec"].get("holderIdentity")
    await clock.advance(2)
    assert b.leads
    assert leases[PATH]["spec"]["leaseTransitions"] == 1


async def test_stop_releases_also_when_the_last_renewal_was_not_answered(
    candidate: Callable[..., Candidate], clock: VirtualClock, leases: dict[str, Any]
) -> None:
    a = candidate("a")
    await clock.advance(0)
    a.client.lose_answers = Unreachable("cut off")
    await clock.advance(2)
    a.client.lose_answers = None
    assert a.leads
    await a.stop()
    assert not leases[PATH]["spec"].get("holderIdentity")


async def test_a_frozen_leader_knows_that_it_leads_no_more(
    candidate: Callable[..., Candidate], clock: VirtualClock
) -> None:
    a = candidate("a")
    await clock.advance(0)
    assert a.leads
    clock.jump(10.5)
    # Nothing of the election's own has run since: the question alone has to know.
    assert not a.leads
    with pytest.raises(NotLeader):
        a.election.ensure_leader()


async def test_a_leader_that_wakes_late_steps_down_before_it_leads_again(
    candidate: Callable[..., Candidate], clock: VirtualClock
) -> None:
    a = candidate("a")
    await clock.advance(0)
    clock.jump(300)
    await clock.advance(4)
    assert a.log == ["started", "stopped", "started"]
    assert a.leads


async def test_an_answer_that_comes_too_late_does_not_prolong_leadership(
    candidate: Callable[..., Candidate], clock: VirtualClock
) -> None:
    a = candidate("a")
    await clock.advance(0)
    # Sent in time and answered in less than the deadline, but after that of the previous renewal: for a moment
    # there was no leader, and users of `on_started` and `on_stopped` have to be notified.
    a.client.meanwhile = lambda: clock.jump(9)
    await clock.advance(2)
    a.client.meanwhile = lambda: None
    assert a.log == ["started", "stopped"]
    assert not a.leads
    await clock.advance(2)
    assert a.log == ["started", "stopped", "started"]


async def test_short_outages_do_not_end_leadership(candidate: Callable[..., Candidate], clock: VirtualClock) -> None:
    a = candidate("a")
    await clock.advance(0)
    for error in (Unreachable("down"), ApiError(500, "InternalError"), ApiError(429, "TooManyRequests")):
        a.client.broken = error
        await clock.advance(7)
        a.client.broken = None
        await clock.advance(4)
    assert a.leads
    assert a.log == ["started"]


async def test_a_renewal_without_an_answer_is_recognised_as_our_own(
    candidate: Callable[..., Candidate], clock: VirtualClock, leases: dict[str, Any]
) -> None:
    a = candidate("a")
    await clock.advance(0)
    a.client.lose_answers = Unreachable("the answer got lost")
    await clock.advance(4)
    a.client.lose_answers = None
    await clock.advance(4)
    assert a.leads
    assert a.log == ["started"]
    assert leases[PATH]["spec"]["leaseTransitions"] == 0


async def test_another_process_of_the_same_identity_is_not_us(
    candidate: Callable[..., Candidate], clock: VirtualClock
) -> None:
    a = candidate("same")
    await clock.advance(0.5)
    b = candidate("same")
    await clock.advance(60)
    assert (a.leads, b.leads) == (True, False)


@pytest.mark.parametrize("skew", [timedelta(days=-3), timedelta(days=3)])
async def test_wrong_wall_clocks_do_not_matter(
    candidate: Callable[..., Candidate], clock: VirtualClock, skew: timedelta
) -> None:
    a = candidate("a", clock=SkewedClock(clock, skew))
    await clock.advance(0)
    b = candidate("b")
    await clock.advance(60)
    assert (a.leads, b.leads) == (True, False)
    a.client.broken = Unreachable("cut off")
    await clock.advance(20)
    assert (a.leads, b.leads) == (False, True)


async def test_a_lease_taken_away_ends_leadership_at_the_next_renewal(
    candidate: Callable[..., Candidate], clock: VirtualClock, leases: dict[str, Any]
) -> None:
    a = candidate("a")
    await clock.advance(0)
    leases[PATH]["spec"]["holderIdentity"] = "thief"
    leases[PATH]["metadata"]["resourceVersion"] = "77"
    await clock.advance(2.1)
    assert a.log == ["started", "stopped"]
    assert a.election.holder == "thief"


async def test_deleted_lease_is_made_again(
    candidate: Callable[..., Candidate], clock: VirtualClock, leases: dict[str, Any]
) -> None:
    a = candidate("a")
    await clock.advance(0)
    leases.clear()
    await clock.advance(2.1)
    assert a.leads
    assert leases[PATH]["spec"]["holderIdentity"] == "a"


async def test_foreign_edit_of_the_lease_does_not_end_leadership(
    candidate: Callable[..., Candidate], clock: VirtualClock, leases: dict[str, Any]
) -> None:
    a = candidate("a")
    await clock.advance(0)
    leases[PATH]["metadata"] |= {"resourceVersion": "50", "labels": {"edited": "by-hand"}}
    await clock.advance(2.1)
    assert a.leads
    assert a.log == ["started"]
    assert leases[PATH]["metadata"]["labels"] == {"edited": "by-hand"}


@pytest.mark.parametrize("seed", range(20))
async def test_never_two_leaders_under_random_trouble(
    candidate: Callable[..., Candidate], clock: VirtualClock, seed: int
) -> None:
    rng = random.Random(seed)
    candidates = [candidate(f"c{number}") for number in range(3)]
    led = set()
    for _ in range(400):
        victim = rng.choice(candidates).client
        victim.broken = rng.choice([None, None, Unreachable("down"), ApiError(503)])
        victim.lose_answers = rng.choice([None, None, None, Unreachable("lost")])
        await clock.advance(rng.random() * 8)
        leading = [one.election.identity for one in candidates if one.leads]
        assert len(leading) <= 1
        led.update(leading)
    for one in candidates:
        one.client.broken = one.client.lose_answers = None
    await clock.advance(40)
    assert sum(one.leads for one in candidates) == 1
    assert len(led) > 1, "the trouble was none"


def test_unsafe_durations_are_refused(leases: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="renew_deadline"):
        LeaderElection(
            LeaseClient(leases),
            namespace="ns",
            name="n",
            identity="i",
            on_started=print,
            on_stopped=print,
            renew_deadline=15,
        )


async def test_it_is_renewed_a_little_sooner_than_the_retry_period(
    candidate: Callable[..., Candidate], clock: VirtualClock
) -> None:
    """Replicas that began together do not ask together."""
    slept: list[float] = []
    sleep = clock.sleep

    async def note(seconds: float) -> None:
        slept.append(seconds)
        await sleep(seconds)

    clock.sleep = note  # type: ignore[method-assign]
    candidate("a", retry_period=2.0)
    await clock.advance(200)
    assert len(set(slept)) > 10
    assert all(1.6 <= seconds <= 2.0 for seconds in slept)


async def test_a_request_that_hangs_is_given_up_before_the_lease_is_lost(
    candidate: Callable[..., Candidate], clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = candidate("a")
    await clock.advance(0)
    left: list[tuple[float, float]] = []
    request = a.client.request

    async def note(method: str, path: str, **options: Any) -> dict[str, Any]:
        left.append((options["timeout"], a.election._held_until - clock.monotonic()))
        raise Unreachable("no answer")

    monkeypatch.setattr(a.client, "request", note)
    await clock.advance(30)
    assert all(timeout <= max(0.001, rest) for timeout, rest in left if rest > 0)
    assert min(timeout for timeout, _ in left) < 2.0
    monkeypatch.setattr(a.client, "request", request)
