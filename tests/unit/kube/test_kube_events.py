"""Events inform and never get in the way."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.kube.memory_client import ScriptedClient
from tests.unit.kube.virtual_time import VirtualClock, settle
from tradewind.kube.errors import ApiError
from tradewind.kube.events import EventRecorder, Regarding
from tradewind.kube.writer import Writer

POD = Regarding("v1", "Pod", "ns", "p", "uid-p")


@pytest.fixture
def client() -> ScriptedClient:
    return ScriptedClient()


@pytest.fixture
def writer(client: ScriptedClient, clock: VirtualClock) -> Writer:
    return Writer(client, clock=clock)


@pytest.fixture
def recorder(writer: Writer, clock: VirtualClock) -> EventRecorder:
    return EventRecorder(writer, "example.dev/controller", "controller-0", clock=clock)


async def test_the_event(client: ScriptedClient, recorder: EventRecorder) -> None:
    recorder.record(POD, "Warning", "TaskFailed", "exit code 1", action="Retry", related=POD)
    await settle()
    [call] = client.open
    assert (call.method, call.path) == ("POST", "/apis/events.k8s.io/v1/namespaces/ns/events")
    name = call.body["metadata"].pop("name")
    assert name.startswith("p.")
    reference = {"apiVersion": "v1", "kind": "Pod", "namespace": "ns", "name": "p", "uid": "uid-p"}
    assert call.body == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"namespace": "ns"},
        "eventTime": "2026-01-01T00:16:40.000000Z",
        "type": "Warning",
        "reason": "TaskFailed",
        "action": "Retry",
        "note": "exit code 1",
        "regarding": reference,
        "related": reference,
        "reportingController": "example.dev/controller",
        "reportingInstance": "controller-0",
    }


async def test_repeats_are_counted_on_the_first(
    client: ScriptedClient, recorder: EventRecorder, clock: VirtualClock
) -> None:
    recorder.record(POD, "Normal", "Waiting", "no slot")
    await settle()
    created = client.open[0]
    recorder.record(POD, "Normal", "Waiting", "no slot")
    recorder.record(POD, "Normal", "Waiting", "no slot")
    await settle()
    assert len(client.calls) == 1, "the first is not answered yet"
    created.succeed()
    await settle()
    clock.jump(5)
    recorder.record(POD, "Normal", "Waiting", "no slot")
    await settle()
    [call] = client.open
    assert call.method == "PATCH"
    assert call.path.endswith(created.body["metadata"]["name"])
    assert call.body == {"series": {"count": 4, "lastObservedTime": "2026-01-01T00:16:45.000000Z"}}
    call.succeed()
    recorder.record(POD, "Normal", "Waiting", "another note")
    await settle()
    assert client.open[0].method == "POST"


async def test_an_old_series_is_not_continued(
    client: ScriptedClient, recorder: EventRecorder, clock: VirtualClock
) -> None:
    for _ in range(2):
        recorder.record(POD, "Normal", "Waiting", "no slot")
        await settle()
        client.open[0].succeed()
        await settle()
        clock.jump(601)
    assert [call.method for call in client.calls] == ["POST", "POST"]


async def test_an_expired_event_is_made_again(client: ScriptedClient, recorder: EventRecorder) -> None:
    for method, error in (("POST", None), ("PATCH", ApiError(404, "NotFound")), ("POST", None)):
        recorder.record(POD, "Normal", "Waiting", "no slot")
        await settle()
        [call] = client.open
        assert call.method == method
        call.fail(error) if error else call.succeed()
        await settle()
    assert recorder.dropped == 1


async def test_a_talkative_object_is_cut_short_and_others_are_not(
    client: ScriptedClient, recorder: EventRecorder, clock: VirtualClock
) -> None:
    def recorded() -> list[str]:
        return [call.body["regarding"]["name"] for call in client.calls if call.method == "POST"]

    for number in range(40):
        recorder.record(POD, "Normal", "Talk", f"word {number}")
        await settle()
        for call in client.open:
            call.succeed()
    assert recorded() == ["p"] * 25
    assert recorder.dropped == 15
    recorder.record(POD._replace(name="q"), "Normal", "Talk", "word")
    clock.jump(61)
    recorder.record(POD, "Normal", "Talk", "later")
    recorder.record(POD, "Normal", "Talk", "even later")
    await settle()
    assert recorded()[25:] == ["q", "p"]


async def test_of_much_that_goes_well_a_part_is_reported_and_of_what_goes_wrong_all(
    client: ScriptedClient, recorder: EventRecorder, clock: VirtualClock
) -> None:
    def recorded() -> dict[str, int]:
        types = [call.body["type"] for call in client.calls if call.method == "POST"]
        return {type: types.count(type) for type in types}

    async def say(count: int, generation: str) -> None:
        for number in range(count):
            about = POD._replace(name=f"{generation}-{number}")
            recorder.record(about, "Normal", "Succeeded", "the run has succeeded")
            recorder.record(about, "Warning", "Failed", "exit code 1")
            await settle()
            for call in client.open:
                call.succeed()

    await say(150, "first")
    assert recorded() == {"Normal": 100, "Warning": 150}
    assert recorder.dropped == 50
    clock.jump(4)
    await say(30, "second")
    assert recorded() == {"Normal": 120, "Warning": 180}


async def test_limits_of_the_api(client: ScriptedClient, recorder: EventRecorder) -> None:
    recorder.record(POD._replace(name="x" * 253), "Normal", "pod lost: again", "nü" * 5000)
    await settle()
    body = client.open[0].body
    assert body["reason"] == body["action"] == "PodLostAgain"
    assert 1020 <= len(body["note"].encode()) <= 1024, "bytes, not characters"
    assert body["note"].startswith("nünü")
    assert body["note"].endswith("…")
    assert len(body["metadata"]["name"]) == 253


async def test_cluster_scoped_objects_have_their_events_in_default(
    client: ScriptedClient, recorder: EventRecorder
) -> None:
    recorder.record(Regarding("v1", "Node", "", "n", "u"), "Normal", "Seen", "")
    await settle()
    assert client.open[0].path == "/apis/events.k8s.io/v1/namespaces/default/events"
    assert "namespace" not in client.open[0].body["regarding"]


async def test_failures_stay_here(
    client: ScriptedClient, writer: Writer, recorder: EventRecorder, clock: VirtualClock
) -> None:
    recorder.record(POD, "Normal", "One", "")
    await settle()
    client.open[0].fail(ApiError(403, "Forbidden"))
    await settle()
    recorder.record(POD, "Normal", "Two", "")
    await settle()
    for _ in range(40):
        for call in client.open:
            call.fail(ApiError(500))
        await clock.advance(1)
    await writer.stop()
    recorder.record(POD, "Normal", "Three", "")
    bad: Any = None
    recorder.record(POD, "Normal", bad, bad)
    await settle()
    assert recorder.dropped == 4
    assert writer.queued == 0


async def test_no_queue_of_events_builds_up(client: ScriptedClient, writer: Writer, clock: VirtualClock) -> None:
    recorder = EventRecorder(writer, "c", "i", clock=clock, max_pending=10)
    for number in range(50):
        recorder.record(POD._replace(name=f"p{number}"), "Normal", "Seen", "")
    assert (writer.queued, recorder.dropped) == (10, 40)


async def test_memory_is_bounded(client: ScriptedClient, writer: Writer, clock: VirtualClock) -> None:
    recorder = EventRecorder(writer, "c", "i", clock=clock, memory=8, max_pending=1000)
    for number in range(100):
        recorder.record(POD._replace(name=f"p{number}"), "Normal", "Seen", "")
    assert len(recorder._series) == len(recorder._buckets) == 8


def test_regarding_of_an_object() -> None:
    document = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "uid": "u"}}
    assert Regarding.of(document) == ("v1", "Node", "", "n", "u")
