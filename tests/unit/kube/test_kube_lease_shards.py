"""Leases that exclude each other, as those of one controller and of the two that take its place.

The orders of the requests of several candidates are played one by one, without an event loop: each candidate is a
coroutine that stops at each request, before the server acts on it and again before the answer arrives.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.kube.memory_client import LeaseClient
from tests.unit.kube.test_kube_lease import Candidate
from tests.unit.kube.virtual_time import VirtualClock
from tradewind.api.shards import Shard, shard_of_lease
from tradewind.kube.errors import ApiError, KubeError, Unreachable
from tradewind.kube.lease import LeaderElection

LEASES = "/apis/coordination.k8s.io/v1/namespaces/ns/leases"
ONE, HALF, OTHER_HALF, THIRD = Shard(0, 1), Shard(0, 2), Shard(1, 2), Shard(2, 3)
RENEW, DURATION = 10.0, 15.0


def excluded_by(part: Shard) -> Callable[[str], bool]:
    def excludes(name: str) -> bool:
        other = shard_of_lease("controller", name)
        return other is not None and other != part and other.overlaps(part)

    return excludes


class SharedClock:
    """Moves when the order that is played says so."""

    def __init__(self) -> None:
        self.time = 1000.0

    def monotonic(self) -> float:
        return self.time

    def now(self) -> datetime:
        # Of no use for telling who was first, as on machines whose clocks differ.
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.time % 7, microseconds=self.time * 1000 % 997)

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("cycles are driven by hand")


class _Step:
    def __await__(self) -> Generator[None, None, None]:
        yield


class SteppedClient(LeaseClient):
    """Stops before the server acts, and before the answer arrives."""

    async def request(self, method: str, path: str, *, body: Any = None, **options: Any) -> dict[str, Any]:
        await _Step()
        answer: dict[str, Any] | KubeError
        try:
            if method == "GET" and path == LEASES:
                answer = {"items": [dict(lease) for _, lease in sorted(self.leases.items())]}
            elif method == "GET":
                answer = dict(self.leases[path]) if path in self.leases else ApiError(404, "NotFound")
            else:
                answer = self._write(method, path, body)
        except KubeError as error:
            answer = error
        await _Step()
        if isinstance(answer, KubeError):
            raise answer
        return answer


class Stepped:
    """A candidate for a shard, whose attempts proceed one step at a time."""

    def __init__(self, leases: dict[str, Any], clock: SharedClock, part: Shard, identity: str) -> None:
        self.part = part
        self.election = LeaderElection(
            SteppedClient(leases),
            namespace="ns",
            name=part.lease_name("controller"),
            identity=identity,
            on_started=lambda: None,
            on_stopped=lambda: None,
            renew_deadline=RENEW,
            lease_duration=DURATION,
            clock=clock,
            rng=random.Random(1),
            excludes=excluded_by(part),
        )
        self.cycles = 0
        self._steps = self._run()

    def step(self) -> None:
        next(self._steps)

    def _run(self) -> Iterator[None]:
        while True:
            cycle = self.election._cycle()
            try:
                while True:
                    cycle.send(None)
                    yield
            except StopIteration:
                self.cycles += 1
                yield


def assert_one_owner(candidates: list[Stepped]) -> None:
    for one, other in itertools.combinations(candidates, 2):
        if one.part.overlaps(other.part):
            assert not (one.election.is_leader and other.election.is_leader), f"{one.part} and {other.part}"


@pytest.mark.parametrize(("first", "second"), [(ONE, HALF)])
def test_every_order_of_two_that_come_at_once(first: Shard, second: Shard) -> None:
    """All orders in which two first attempts can run: reads, writes and events of both."""

    def length(part: Shard) -> int:
        alone = Stepped({}, SharedClock(), part, "alone")
        steps = 0
        while alone.cycles == 0:
            alone.step()
            steps += 1
        assert alone.election.is_leader
        return steps

    steps = length(first)
    assert steps == length(second) == 9
    led = set()
    for turns in itertools.combinations(range(2 * steps), steps):
        leases: dict[str, Any] = {}
        clock = SharedClock()
        candidates = [Stepped(leases, clock, first, "a"), Stepped(leases, clock, second, "b")]
        mine = set(turns)
        for turn in range(2 * steps):
            candidates[0 if turn in mine else 1].step()
            assert_one_owner(candidates)
        led.add(tuple(each.election.is_leader for each in candidates))
    assert (True, False) in led
    assert (False, True) in led


@pytest.mark.parametrize("parts", [(ONE, HALF, OTHER_HALF), (ONE, ONE, HALF, THIRD), (HALF, HALF, Shard(1, 3), THIRD)])
def test_many_orders_of_several_over_time(parts: tuple[Shard, ...]) -> None:
    """Candidates that come, lead, freeze at any point, die and come back, while time goes by."""
    led: set[Shard] = set()
    for seed in range(200):
        chance = random.Random(seed)
        leases: dict[str, Any] = {}
        clock = SharedClock()
        candidates = [Stepped(leases, clock, part, f"{number}") for number, part in enumerate(parts)]
        asleep: dict[int, int] = {}
        for moment in range(300):
            number = chance.randrange(len(candidates))
            what = chance.random()
            if what < 0.03:
                # Dead, and another process in its place.
                candidates[number] = Stepped(leases, clock, parts[number], f"{number}-{moment}")
                asleep.pop(number, None)
            elif what < 0.06:
                asleep[number] = moment + chance.randrange(150)
            elif what < 0.2:
                clock.time += chance.choice([0.01, 1.0, 3.0, 6.0, 16.0])
            elif asleep.get(number, 0) <= moment:
                candidates[number].step()
            assert_one_owner(candidates)
            led |= {each.part for each in candidates if each.election.is_leader}
    assert led == set(parts), "each of them leads at some time"


def in_time(leases: dict[str, Any], clock: VirtualClock, part: Shard, identity: str) -> Candidate:
    name, rng = part.lease_name("controller"), random.Random(identity)
    return Candidate(leases, clock, identity, name, excludes=excluded_by(part), rng=rng)


async def test_the_parts_take_over_from_the_whole_and_give_it_back(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    leases: dict[str, Any] = {}
    whole = in_time(leases, clock, ONE, "whole")
    await clock.advance(1)
    with caplog.at_level(logging.INFO):
        halves = [in_time(leases, clock, part, f"half {part.index}") for part in (HALF, OTHER_HALF)]
        await clock.advance(120)
    assert [each.leads for each in (whole, *halves)] == [True, False, False]
    assert f"{LEASES}/controller-0-of-2" not in leases, "who may not lead takes nothing"
    said = "half 0 is waiting: the lease ns/controller is held by whole"
    assert [record.getMessage() for record in caplog.records].count(said) == 1
    await whole.stop()
    await clock.advance(4)
    assert [each.leads for each in halves] == [True, True]
    again = in_time(leases, clock, ONE, "again")
    await clock.advance(60)
    assert not again.leads
    await halves[0].stop()
    await clock.advance(60)
    assert not again.leads, "half of it still has a holder"
    await halves[1].stop()
    await clock.advance(4)
    assert again.leads
    await again.stop()


async def test_a_dead_whole_is_waited_for_until_its_lease_is_over(clock: VirtualClock) -> None:
    leases: dict[str, Any] = {}
    whole = in_time(leases, clock, ONE, "whole")
    await clock.advance(1)
    whole.client.broken = Unreachable("cut off")
    half = in_time(leases, clock, HALF, "half")
    waited = 0.0
    while not half.leads:
        assert not (whole.leads and half.leads)
        await clock.advance(0.25)
        waited += 0.25
        assert waited <= 15 + 2 + 2
    assert waited > 14
    whole.client.broken = None
    await clock.advance(60)
    assert (whole.leads, half.leads) == (False, True)
    await whole.stop()
    await half.stop()


async def test_those_that_come_at_once_agree_in_the_end(clock: VirtualClock) -> None:
    for number in range(20):
        leases: dict[str, Any] = {}
        candidates = [in_time(leases, clock, part, f"{part} {number}") for part in (ONE, HALF, OTHER_HALF)]
        await clock.advance(30)
        leads = [each.leads for each in candidates]
        assert leads in ([True, False, False], [False, True, True])
        for each in candidates:
            await each.stop()
        assert not any(lease["spec"].get("holderIdentity") for lease in leases.values())


async def test_who_stops_between_writing_and_leading_gives_the_lease_back(clock: VirtualClock) -> None:
    leases: dict[str, Any] = {}
    half = in_time(leases, clock, HALF, "half")
    half.client.fail_lists_after = 1
    await clock.advance(1)
    assert not half.leads, "it could not look whether it may"
    assert leases[f"{LEASES}/controller-0-of-2"]["spec"]["holderIdentity"] == "half"
    await half.stop()
    assert not leases[f"{LEASES}/controller-0-of-2"]["spec"].get("holderIdentity")


async def test_without_the_right_to_list_leases_there_is_no_leader(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    leases: dict[str, Any] = {}
    half = in_time(leases, clock, ONE, "whole")
    half.client.fail_lists_after = 0
    await clock.advance(30)
    assert (half.leads, leases) == (False, {})
    assert "leases is forbidden" in caplog.text
    await half.stop()


async def test_a_leader_whose_lease_a_person_deleted_looks_again(clock: VirtualClock) -> None:
    leases: dict[str, Any] = {}
    whole = in_time(leases, clock, ONE, "whole")
    await clock.advance(1)
    del leases[f"{LEASES}/controller"]
    half = in_time(leases, clock, HALF, "half")
    await clock.advance(0)
    assert half.leads
    await clock.advance(5)
    assert (whole.leads, half.leads) == (False, True)
    await whole.stop()
    await half.stop()


async def test_the_lease_says_what_it_is_for(clock: VirtualClock) -> None:
    leases: dict[str, Any] = {}
    one = Candidate(leases, clock, "a", labels={"tradewind.dev/shards": "2"})
    await clock.advance(1)
    lease = leases[f"{LEASES}/controller"]
    assert lease["metadata"]["labels"] == {"tradewind.dev/shards": "2"}
    lease["metadata"] |= {"labels": {"team": "data"}, "resourceVersion": "99"}
    await clock.advance(5)
    assert leases[f"{LEASES}/controller"]["metadata"]["labels"] == {"tradewind.dev/shards": "2", "team": "data"}
    await one.stop()
