"""The writer's order, urgency, patience and restraint, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.kube.memory_client import ScriptedClient
from tests.unit.kube.virtual_time import VirtualClock, settle
from tradewind.kube import writes
from tradewind.kube.errors import ApiError, Unreachable
from tradewind.kube.resources import CONFIGMAPS, PODS
from tradewind.kube.writer import PATIENCE, SHARE, NotWanted, Priority, Writer, WriterStopped


@pytest.fixture
def client() -> ScriptedClient:
    return ScriptedClient()


@pytest.fixture
def writer(client: ScriptedClient, clock: VirtualClock) -> Writer:
    return Writer(client, concurrency=4, clock=clock)


def pod(name: str) -> writes.Write:
    return writes.create(PODS, "ns", {"metadata": {"name": name}})


def names(client: ScriptedClient) -> list[str]:
    return [call.body["metadata"]["name"] for call in client.calls if call.method == "POST"]


async def test_create_sends_what_it_says(client: ScriptedClient, writer: Writer) -> None:
    task = asyncio.create_task(writer.create(PODS, "ns", {"metadata": {"name": "a"}}))
    await settle()
    [call] = client.calls
    assert (call.method, call.path) == ("POST", "/api/v1/namespaces/ns/pods")
    assert call.options["partial"] is True
    call.succeed(metadata={"uid": "1"})
    assert await task == {"metadata": {"uid": "1"}}
    assert writer.writes == {("create", "pods", "200"): 1}
    assert (writer.queued, writer.in_flight) == (0, 0)


async def test_no_more_than_concurrency_are_in_flight(client: ScriptedClient, writer: Writer) -> None:
    futures = [writer.submit(pod(str(number))) for number in range(10)]
    await settle()
    assert len(client.open) == 4
    assert (writer.in_flight, writer.queued) == (4, 10)
    while client.open:
        client.open[0].succeed()
        await settle()
        assert len(client.open) <= 4
    assert all(future.done() for future in futures)
    assert names(client) == [str(number) for number in range(10)]


async def test_the_urgent_overtakes(client: ScriptedClient, clock: VirtualClock) -> None:
    writer = Writer(client, concurrency=1, clock=clock)
    writer.submit(pod("first"))
    writer.submit(writes.delete(PODS, "ns", "gone"))
    writer.submit(pod("second"))
    writer.submit(writes.patch(PODS, "ns", "status", {}, subresource="status"))
    sent = []
    for _ in range(4):
        await settle()
        [call] = client.open
        sent.append(call.method)
        call.succeed()
    assert sent == ["POST", "PATCH", "POST", "DELETE"]


async def test_writes_of_one_object_keep_their_order(client: ScriptedClient, writer: Writer) -> None:
    # The later ones are more urgent and there are slots for all: order wins.
    writer.submit(pod("a"))
    writer.submit(writes.delete(PODS, "ns", "a"))
    writer.submit(writes.patch(PODS, "ns", "a", {"n": 1}, subresource="status"))
    writer.submit(writes.patch(PODS, "other", "a", {"n": 2}))
    await settle()
    assert [(call.method, call.path) for call in client.open] == [
        ("POST", "/api/v1/namespaces/ns/pods"),
        ("PATCH", "/api/v1/namespaces/other/pods/a"),
    ]
    for method in ("POST", "DELETE", "PATCH"):
        [call] = [call for call in client.open if "/ns/" in call.path]
        assert call.method == method
        call.succeed()
        await settle()


async def test_a_retry_keeps_its_place_before_later_writes_of_the_object(
    client: ScriptedClient, writer: Writer, clock: VirtualClock
) -> None:
    writer.submit(pod("a"))
    writer.submit(writes.delete(PODS, "ns", "a"))
    await settle()
    client.open[0].fail(ApiError(500, "InternalError"))
    await clock.advance(0.1)
    assert client.open == []
    await clock.advance(0.2)
    [call] = client.open
    assert call.method == "POST"


@pytest.mark.parametrize(
    "error",
    [
        ApiError(500, "InternalError"),
        ApiError(503),
        ApiError(504, "Timeout"),
        Unreachable("reset"),
        Unreachable("slow", timed_out=True),
        ApiError(409, "Conflict", "lost a race", {"kind": "resourcequotas"}),
    ],
)
async def test_transient_failures_are_retried(
    client: ScriptedClient, writer: Writer, clock: VirtualClock, error: Any
) -> None:
    future = writer.submit(pod("a"))
    for _ in range(3):
        await clock.advance(2)
        client.open[0].fail(error)
        await settle()
        assert not future.done()
    await clock.advance(2)
    client.open[0].succeed(ok=1)
    assert await future == {"ok": 1}
    assert writer.retries == 3


@pytest.mark.parametrize(
    "error",
    [
        ApiError(400, "BadRequest"),
        ApiError(403, "Forbidden", "exceeded quota: q"),
        ApiError(404, "NotFound"),
        ApiError(409, "AlreadyExists"),
        ApiError(409, "Conflict"),
        ApiError(422, "Invalid"),
        ApiError(500, "", "etcdserver: request is too large"),
    ],
)
async def test_final_failures_are_the_callers(
    client: ScriptedClient, writer: Writer, clock: VirtualClock, error: ApiError
) -> None:
    future = writer.submit(pod("a"))
    await settle()
    client.open[0].fail(error)
    await clock.advance(100)
    with pytest.raises(ApiError) as caught:
        await future
    assert caught.value is error
    assert len(client.calls) == 1
    assert writer.queued == 0


async def test_unanswered_create_that_took_effect_is_reported_as_already_exists(
    client: ScriptedClient, writer: Writer, clock: VirtualClock
) -> None:
    future = writer.submit(pod("a"))
    await settle()
    client.open[0].fail(Unreachable("reset"))
    await clock.advance(1)
    client.open[0].fail(ApiError(409, "AlreadyExists"))
    with pytest.raises(ApiError) as caught:
        await future
    assert caught.value.is_already_exists
    assert writer.writes == {("create", "pods", "Unreachable"): 1, ("create", "pods", "409"): 1}


async def test_what_is_not_wanted_any_more_is_not_sent_again(
    client: ScriptedClient, writer: Writer, clock: VirtualClock
) -> None:
    wanted = [True]
    write = writes.create(PODS, "ns", {"metadata": {"name": "a"}}, wanted=lambda: wanted[0])
    future, after = writer.submit(write), writer.submit(writes.delete(PODS, "ns", "a"))
    await settle()
    client.open[0].fail(Unreachable("reset"))
    wanted.clear()
    wanted.append(False)
    await clock.advance(1)
    assert isinstance(future.exception(), NotWanted)
    assert [call.method for call in client.open] == ["DELETE"]
    client.open[0].succeed()
    await after
    assert writer.queued == 0


async def test_generated_names_are_not_created_twice(
    client: ScriptedClient, writer: Writer, clock: VirtualClock
) -> None:
    body = {"metadata": {"generateName": "a-"}}
    unanswered = writer.submit(writes.create(PODS, "ns", body))
    refused = writer.submit(writes.create(PODS, "ns", body))
    await settle()
    assert len(client.open) == 2, "two objects, whatever they will be called"
    first, second = client.open
    first.fail(Unreachable("reset"))
    second.fail(ApiError(429))
    await clock.advance(10)
    assert isinstance(unanswered.exception(), Unreachable)
    client.open[0].succeed()
    await refused


async def test_gives_up_after_its_time(client: ScriptedClient, writer: Writer, clock: VirtualClock) -> None:
    write = pod("a")
    write.retry_for = 10
    future = writer.submit(write)
    await settle()
    for _ in range(100):
        if client.open:
            client.open[0].fail(ApiError(503, "ServiceUnavailable"))
        await clock.advance(0.5)
        if future.done():
            break
    assert isinstance(future.exception(), ApiError)
    assert clock.time <= 1011
    assert 4 <= len(client.calls) <= 8


async def test_backing_off_writes_do_not_hold_slots(client: ScriptedClient, clock: VirtualClock) -> None:
    writer = Writer(client, concurrency=1, clock=clock)
    writer.submit(pod("poisoned"))
    writer.submit(pod("healthy"))
    await settle()
    client.open[0].fail(ApiError(500, "InternalError", "failed calling webhook"))
    await settle()
    assert names(client) == ["poisoned", "healthy"]


@pytest.mark.parametrize("status, reported", [(500, 1), (429, 0)])
async def test_others_need_not_wait_for_what_is_delayed_by_itself(
    client: ScriptedClient, clock: VirtualClock, status: int, reported: int
) -> None:
    """A request that a busy server rejects is delayed with all others."""
    writer = Writer(client, concurrency=1, clock=clock)
    delays: list[int] = []
    body = {"metadata": {"name": "poisoned"}}
    writer.submit(writes.create(PODS, "ns", body, delayed=lambda: delays.append(1)))
    await settle()
    client.open[0].fail(ApiError(status, "InternalError"))
    await settle()
    assert len(delays) == reported


async def test_too_many_requests_slows_everybody_down(
    client: ScriptedClient, writer: Writer, clock: VirtualClock
) -> None:
    for number in range(20):
        writer.submit(pod(str(number)))
    await settle()
    for call in client.open:
        call.fail(ApiError(429, "TooManyRequests", retry_after=5))
    await settle()
    await clock.advance(4.9)
    assert client.open == [], "no request may be sent before Retry-After expires"
    await clock.advance(0.2)
    assert len(client.open) == 2, "half as many as before, and halved once, not for each answer"
    most = 0
    while writer.queued:
        for call in client.open:
            call.succeed()
        await clock.advance(1)
        most = max(most, len(client.open))
    assert most == 4, "the speed comes back"
    assert sorted(names(client), key=int)[-1] == "19"


async def test_deposed_leader_writes_no_more(client: ScriptedClient, clock: VirtualClock) -> None:
    class DeposedError(Exception):
        pass

    leading = True

    def gate() -> None:
        if not leading:
            raise DeposedError

    writer = Writer(client, concurrency=1, clock=clock, before_send=gate)
    writing, queued = writer.submit(pod("a")), writer.submit(pod("b"))
    await settle()
    leading = False
    client.open[0].fail(ApiError(500))
    await clock.advance(5)
    assert isinstance(writing.exception(), DeposedError), "not even a retry"
    assert isinstance(queued.exception(), DeposedError)
    assert len(client.calls) == 1


async def test_cancelled_before_it_was_sent(client: ScriptedClient, clock: VirtualClock) -> None:
    writer = Writer(client, concurrency=1, clock=clock)
    writer.submit(pod("a"))
    futures = [writer.submit(pod("b")), writer.submit(pod("b")), writer.submit(pod("c"))]
    futures[0].cancel()
    futures[1].cancel()
    await settle()
    client.open[0].succeed()
    await settle()
    assert names(client) == ["a", "c"]
    client.open[0].succeed()
    assert await writer.drain(1)


async def test_the_body_is_that_of_the_moment_of_submission(client: ScriptedClient, writer: Writer) -> None:
    body = {"metadata": {"name": "a"}, "data": {"x": "1"}}
    writer.submit(writes.create(CONFIGMAPS, "ns", body))
    body["data"]["x"] = "2"
    await settle()
    assert client.open[0].body["data"] == {"x": "1"}


async def test_drain_finishes_and_takes_no_more(client: ScriptedClient, writer: Writer) -> None:
    future = writer.submit(pod("a"))
    draining = asyncio.create_task(writer.drain(5))
    await settle()
    late = writer.submit(pod("b"))
    assert isinstance(late.exception(), WriterStopped)
    assert not draining.done()
    client.open[0].succeed()
    assert await draining
    assert future.done()


async def test_drain_gives_up_and_stop_ends_the_rest(client: ScriptedClient, writer: Writer) -> None:
    futures = [writer.submit(pod(str(number))) for number in range(6)]
    await settle()
    assert not await writer.drain(0.01)
    await writer.stop()
    assert [type(future.exception()) for future in futures] == [WriterStopped] * 6
    assert writer.queued == 0


async def test_delete_options(client: ScriptedClient, writer: Writer) -> None:
    writer.submit(writes.delete(PODS, "ns", "a", uid="u1", grace=0, propagation="Background"))
    await settle()
    assert client.open[0].body == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "u1"},
        "gracePeriodSeconds": 0,
        "propagationPolicy": "Background",
    }


async def test_collections_are_deleted_in_pages(client: ScriptedClient, writer: Writer) -> None:
    task = asyncio.create_task(writer.delete_collection(PODS, "ns", label_selector="a=b", limit=2))
    await settle()
    assert client.open[0].options["params"] == {"labelSelector": "a=b", "limit": 2}
    client.open[0].succeed(metadata={"continue": "t1"}, items=[{}, {}])
    await settle()
    assert client.open[0].options["params"]["continue"] == "t1"
    client.open[0].fail(ApiError(410, "Expired"))
    await settle()
    assert "continue" not in client.open[0].options["params"]
    client.open[0].succeed(metadata={}, items=[{}])
    assert await task == 3


async def test_field_manager_and_observer(client: ScriptedClient, clock: VirtualClock) -> None:
    seen: list[tuple[Any, ...]] = []
    writer = Writer(client, clock=clock, field_manager="me", observe=lambda *observed: seen.append(observed))
    writer.submit(writes.patch(PODS, "ns", "a", {}, subresource="status", force=True))
    await settle()
    assert client.open[0].options["params"] == {"force": "true", "fieldManager": "me"}
    clock.jump(2)
    client.open[0].succeed()
    await settle()
    assert seen == [("patch", "pods/status", "200", 2.0)]


def test_priorities_put_what_is_due_first_and_results_before_new_work() -> None:
    stop, make = Priority.STOP, Priority.CREATE
    first = [Priority.TICK, Priority.STATUS, stop, make, Priority.CONDITION, Priority.DELETE, Priority.EVENT]
    assert sorted(Priority) == first


async def test_what_is_less_urgent_is_not_overtaken_for_ever(client: ScriptedClient, clock: VirtualClock) -> None:
    """A server that is slow, and a client that always has another Pod to create."""
    writer = Writer(client, concurrency=1, clock=clock)
    for number in range(3):
        writer.submit(pod(f"before-{number}"))
    late = [writer.submit(writes.delete(PODS, "ns", f"gone-{number}")) for number in range(10)]
    for number in range(100):
        await settle()
        writer.submit(pod(f"after-{number}"))
        clock.jump(0.5)
        client.open[0].succeed()
        await settle()
    sent = [call.method for call in client.calls]
    assert all(write.done() for write in late)
    assert sent.index("DELETE") <= PATIENCE / 0.5 + SHARE
    last = len(sent) - sent[::-1].index("DELETE")
    assert (SHARE - 1) * 10 <= last <= SHARE * 13, "a share of the writes, and not more"


async def test_what_is_due_overtakes_thousands_that_have_waited_for_long(
    client: ScriptedClient, clock: VirtualClock
) -> None:
    writer = Writer(client, concurrency=1, clock=clock)
    for number in range(1000):
        writer.submit(writes.patch(PODS, "ns", f"{number}", {}, priority=Priority.CONDITION))
    await settle()
    clock.jump(60)
    ticks = [
        writer.submit(writes.create(PODS, "ns", {"metadata": {"name": f"t{n}"}}, priority=Priority.TICK))
        for n in range(3)
    ]
    for _ in range(1 + SHARE):
        client.open[0].succeed()
        await settle()
    assert all(tick.done() for tick in ticks)


async def test_what_was_taken_back_or_sent_again_is_sent_once(client: ScriptedClient, clock: VirtualClock) -> None:
    """Whatever the order in which those that wait are taken."""
    writer = Writer(client, concurrency=1, clock=clock)
    futures = [writer.submit(pod(f"{number}")) for number in range(20)]
    deletes = [writer.submit(writes.delete(PODS, "ns", f"x{number}")) for number in range(20)]
    for future in (*futures[5:8], *deletes[5:8]):
        future.cancel()
    for number in range(60):
        await settle()
        if not client.open:
            break
        if number % 5 == 3:
            client.open[0].fail(ApiError(500, "InternalError"))
        else:
            client.open[0].succeed()
        await clock.advance(0.7)
    assert writer.queued == 0
    answered = [(call.method, call.path, (call.body or {}).get("metadata", {}).get("name")) for call in client.calls]
    well = [each for each, call in zip(answered, client.calls, strict=True) if not call.answer.exception()]
    assert len(well) == len(set(well)) == 34


async def test_a_write_that_is_sent_again_keeps_its_place(client: ScriptedClient, clock: VirtualClock) -> None:
    writer = Writer(client, concurrency=1, clock=clock)
    writer.submit(pod("first"))
    await settle()
    client.open[0].fail(ApiError(500, "InternalError"))
    await settle()
    writer.submit(pod("second"))
    await settle()
    clock.jump(1)
    writer.submit(pod("third"))
    await clock.advance(1)
    client.open[0].succeed()
    await settle()
    assert [call.body["metadata"]["name"] for call in client.calls] == ["first", "second", "first"]


async def test_slots_are_fewer_while_the_server_asks_for_it(
    client: ScriptedClient, writer: Writer, clock: VirtualClock
) -> None:
    assert writer.slots == 4
    writer.submit(pod("a"))
    await settle()
    client.open[0].fail(ApiError(429, "TooManyRequests", retry_after=1))
    await settle()
    assert writer.slots == 2


async def test_32_are_in_flight_by_default(client: ScriptedClient, clock: VirtualClock) -> None:
    writer = Writer(client, clock=clock)
    futures = [writer.submit(pod(str(number))) for number in range(40)]
    await settle()
    assert len(client.open) == 32
    while client.open:
        client.open[0].succeed()
        await settle()
    assert all(future.done() for future in futures)
