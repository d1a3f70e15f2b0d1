"""The informer's copy stays true, and every difference is reported, whatever happens to the watch."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import orjson
import pytest
from aiohttp import web

from tests.unit.kube.fake_apiserver import FakeApiServer, failure, status
from tests.unit.kube.virtual_time import HastyClock
from tradewind.kube import informer
from tradewind.kube.client import KubeClient
from tradewind.kube.errors import ApiError
from tradewind.kube.informer import Change, ChangeKind, Informer
from tradewind.kube.objects import KubeObject
from tradewind.kube.resources import PODS

ADDED, MODIFIED, DELETED = ChangeKind.ADDED, ChangeKind.MODIFIED, ChangeKind.DELETED


class Pod(KubeObject):
    phase: str = ""


class Watching:
    """An informer at work, and what it reported."""

    def __init__(self, client: KubeClient, clock: HastyClock, **options: Any) -> None:
        self.changes: list[Change[Any]] = []
        options = {"namespace": "ns", "decode": Pod, "on_change": self.changes.append, **options}
        self.informer: Informer[Any] = Informer(client, PODS, clock=clock, **options)
        self.task = asyncio.create_task(self.informer.run())

    @property
    def seen(self) -> list[tuple[str, str, str]]:
        return [(c.kind.value, c.object.metadata.name, c.object.phase) for c in self.changes]

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - any condition, not only ours
                await asyncio.sleep(0.002)

    async def until_seen(self, count: int) -> None:
        try:
            await self.until(lambda: len(self.changes) >= count)
        except TimeoutError:
            pytest.fail(f"{count} changes expected, seen: {self.seen}")


@pytest.fixture
async def watch(client: KubeClient, hasty: HastyClock) -> AsyncIterator[Callable[..., Watching]]:
    running: list[Watching] = []

    def start(**options: Any) -> Watching:
        running.append(Watching(client, hasty, **options))
        return running[-1]

    yield start
    for watching in running:
        watching.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching.task


async def test_lists_then_watches(server: FakeApiServer, watch: Callable[..., Watching]) -> None:
    server.put("a", phase="Pending")
    w = watch()
    await w.until(w.informer.synced.is_set)
    assert w.seen == [("ADDED", "a", "Pending")]
    await w.until(lambda: server.open_watches)
    server.put("b", phase="Pending")
    server.put("a", phase="Running")
    server.remove("a", phase="Succeeded")
    await w.until_seen(4)
    assert w.seen[1:] == [("ADDED", "b", "Pending"), ("MODIFIED", "a", "Running"), ("DELETED", "a", "Succeeded")]
    added, _, modified, deleted = w.changes
    assert (added.synthetic, modified.synthetic, deleted.synthetic) == (True, False, False)
    assert modified.old is not None and modified.old.phase == "Pending"
    assert deleted.old is not None and deleted.old.phase == "Running"
    assert set(w.informer.store) == {("ns", "b")}
    assert (w.informer.lists, w.informer.watches, w.informer.events) == (1, 1, 3)


async def test_sends_selectors_and_pages(server: FakeApiServer, watch: Callable[..., Watching]) -> None:
    for number in range(7):
        server.put(f"p{number}")
    w = watch(page_limit=3, label_selector="a=b,c", field_selector="status.phase!=Running")
    await w.until(lambda: server.open_watches)
    assert len(w.informer.store) == 7
    lists = server.asked(watch=False)
    assert len(lists) == 3
    for request in server.requests:
        assert request.path == "/api/v1/namespaces/ns/pods"
        assert request.query["labelSelector"] == "a=b,c"
        assert request.query["fieldSelector"] == "status.phase!=Running"
    [watched] = server.asked(watch=True)
    assert watched.query["allowWatchBookmarks"] == "true"
    assert watched.query["resourceVersion"] == str(server.version)
    assert 300 <= int(watched.query["timeoutSeconds"]) <= 400


@pytest.mark.parametrize(("size", "limits"), [(20, [2, 124]), (4_000, [2, 4, 4, 4]), (40_000, [2] + [1] * 10)])
async def test_a_page_has_as_many_objects_as_fit(
    server: FakeApiServer,
    watch: Callable[..., Watching],
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    limits: list[int],
) -> None:
    monkeypatch.setattr(informer, "FIRST_PAGE", 2)
    monkeypatch.setattr(informer, "PAGE_BYTES", 20_000)
    for number in range(12):
        server.put(f"p{number}", text="x" * size)
    w = watch()
    await w.until(w.informer.synced.is_set)
    assert [int(request.query["limit"]) for request in server.asked(watch=False)] == limits
    assert len(w.informer.store) == 12


async def test_expired_continue_token_restarts_the_list(server: FakeApiServer, watch: Callable[..., Watching]) -> None:
    for number in range(5):
        server.put(f"p{number}")

    async def pass_by(request: web.Request) -> None:
        return None

    async def compact(request: web.Request) -> None:
        server.remove("p0")
        server.compact()

    server.faults = [pass_by, compact]
    w = watch(page_limit=2)
    await w.until(w.informer.synced.is_set)
    # p0 was reported from the first page of the list that broke off, and must not stay.
    assert set(w.informer.store) == {("ns", f"p{n}") for n in range(1, 5)}
    assert w.seen.count(("ADDED", "p1", "")) == 1
    assert w.seen[-1] == ("DELETED", "p0", "")


async def test_list_that_keeps_expiring_is_taken_in_one_piece(
    server: FakeApiServer, watch: Callable[..., Watching]
) -> None:
    for number in range(5):
        server.put(f"p{number}")

    async def pass_by(request: web.Request) -> None:
        return None

    async def expire(request: web.Request) -> web.Response:
        return failure(410, "Expired")

    server.faults = [pass_by, expire, pass_by, expire]
    w = watch(page_limit=2)
    await w.until(w.informer.synced.is_set)
    assert "limit" not in server.asked(watch=False)[-1].query
    assert len(w.informer.store) == 5


async def test_resumes_from_the_last_version_after_a_cut(server: FakeApiServer, watch: Callable[..., Watching]) -> None:
    w = watch()
    await w.until(lambda: server.open_watches)
    last = server.put("a")["metadata"]["resourceVersion"]
    await w.until_seen(1)
    server.cut()
    await w.until(lambda: not server.open_watches)
    server.put("b")
    await w.until_seen(2)
    assert w.informer.lists == 1, "a cut stream is no reason to list"
    assert server.asked(watch=True)[1].query["resourceVersion"] == last


async def test_bookmarks_move_the_version(server: FakeApiServer, watch: Callable[..., Watching]) -> None:
    w = watch()
    await w.until(lambda: server.open_watches)
    server.bookmark()
    version = server.version
    await w.until(lambda: w.informer.events == 1)
    server.cut()
    await w.until(lambda: len(server.asked(watch=True)) == 2)
    assert server.asked(watch=True)[1].query["resourceVersion"] == str(version)
    assert w.changes == []


@pytest.mark.parametrize("how", ["as the answer", "inside the stream"])
async def test_gone_relists_and_reports_what_was_missed(
    server: FakeApiServer, watch: Callable[..., Watching], how: str
) -> None:
    for name in ("stays", "changes", "goes", "replaced"):
        server.put(name, phase="before")
    w = watch()
    await w.until(lambda: server.open_watches)
    # The watch loses what happens now.
    server.stalled = True
    server.put("changes", phase="after")
    server.remove("goes")
    server.remove("replaced")
    server.put("replaced", phase="another")
    server.put("new", phase="after")
    server.compact()
    server.stalled = False
    before = len(w.changes)
    if how == "inside the stream":
        event = {"type": "ERROR", "object": status(410, "Expired", "too old resource version")}
        server.send(orjson.dumps(event) + b"\n")
    else:
        server.cut()
    await w.until_seen(before + 5)
    await w.until(lambda: server.open_watches)
    assert sorted(w.seen[before:]) == [
        ("ADDED", "new", "after"),
        ("ADDED", "replaced", "another"),
        ("DELETED", "goes", "before"),
        ("DELETED", "replaced", "before"),
        ("MODIFIED", "changes", "after"),
    ]
    assert all(change.synthetic for change in w.changes[before:])
    kinds = [change.kind for change in w.changes if change.object.metadata.name == "replaced"]
    assert kinds == [ADDED, DELETED, ADDED], "the one that went is reported before the one that came"
    assert w.informer.lists == 2
    assert set(w.informer.store) == {("ns", n) for n in ("stays", "changes", "replaced", "new")}


async def test_stalled_stream_is_reopened(server: FakeApiServer, watch: Callable[..., Watching]) -> None:
    w = watch(idle_timeout=0.1)
    await w.until(lambda: server.open_watches)
    server.stalled = True
    server.put("a")
    await w.until(lambda: len(server.asked(watch=True)) >= 2)
    server.stalled = False
    await w.until_seen(1)
    assert w.informer.restarts >= 1


@pytest.mark.parametrize(
    "line",
    [b"{not json}\n", b'{"type":"ADDED"}\n', b'{"type":"ADDED","object":{"metadata":{"name":7}}}\n', b"[]\n"],
)
@pytest.mark.parametrize("decode", [Pod, lambda document: msgspec.convert(document, Pod)])
async def test_malformed_event_is_survived(
    server: FakeApiServer, watch: Callable[..., Watching], line: bytes, decode: Any
) -> None:
    w = watch(decode=decode)
    await w.until(lambda: server.open_watches)
    server.send(line)
    await w.until(lambda: w.informer.lists == 2)
    await w.until(lambda: server.open_watches)
    server.put("a")
    await w.until_seen(1)
    assert w.informer.malformed == 1


async def test_one_undecodable_object_spoils_no_other(server: FakeApiServer, watch: Callable[..., Watching]) -> None:
    server.put("good", phase="x")
    server.put("bad", phase=["not", "a", "string"])
    w = watch()
    await w.until(lambda: server.open_watches)
    assert w.seen == [("ADDED", "good", "x")]
    server.put("other", phase="x")
    await w.until_seen(2)
    server.put("other", phase={})
    server.remove("other", phase=3)
    await w.until_seen(3)
    assert w.seen[2] == ("DELETED", "other", "x")
    assert w.changes[2].synthetic, "the state is the last that could be read, not the last there was"
    assert w.informer.malformed == 3, "the bad one, the change and the last state of the other"
    assert w.informer.lists == 1
    # A relist must not take the unreadable state of an object for its absence.
    server.put("good", phase=None)
    server.compact()
    server.cut()
    await w.until(lambda: w.informer.lists == 2)
    assert ("ns", "good") in w.informer.store


async def test_catching_up_waits_for_what_the_watch_is_about_to_bring(
    server: FakeApiServer, watch: Callable[..., Watching]
) -> None:
    server.put("a")
    w = watch()
    await w.until(lambda: server.open_watches)
    server.stalled = True
    server.put("b")
    server.remove("a")
    catching_up = asyncio.create_task(w.informer.catch_up())
    await w.until(lambda: len(server.asked(watch=False)) == 2)
    assert not catching_up.done()
    server.stalled = False
    for _, line in server.history[1:]:
        server.send(line)
    await asyncio.wait_for(catching_up, 60)
    assert list(w.informer.store) == [("ns", "b")]


async def test_catching_up_opens_a_watch_that_hangs_anew(server: FakeApiServer, watch: Callable[..., Watching]) -> None:
    server.put("a")
    w = watch()
    await w.until(lambda: server.open_watches)
    server.stalled = True
    server.put("b")
    await asyncio.wait_for(w.informer.catch_up(), 60)
    assert ("ns", "b") in w.informer.store
    assert len(server.asked(watch=True)) >= 2
    assert w.informer.lists == 1


class PatientClock(HastyClock):
    """Long sleeps do not end."""

    async def sleep(self, seconds: float) -> None:
        if seconds >= 0.25:
            await asyncio.Event().wait()
        await super().sleep(seconds)


async def test_catching_up_ends_the_pause_after_an_outage(server: FakeApiServer, client: KubeClient) -> None:
    """The server has just answered: however long it was away, it can be asked now."""
    server.put("a")
    server.fail_next(503)
    w = Watching(client, PatientClock())
    try:
        await w.until(lambda: w.informer.restarts == 1)
        await asyncio.wait_for(w.informer.catch_up(), 60)
        assert list(w.informer.store) == [("ns", "a")]
    finally:
        w.task.cancel()
        await asyncio.gather(w.task, return_exceptions=True)


async def test_what_is_not_to_be_kept_is_as_if_it_were_not_there(
    server: FakeApiServer, watch: Callable[..., Watching]
) -> None:
    server.put("a")
    server.put("not-a")
    w = watch(keep=lambda key: not key[1].startswith("not-"))
    await w.until(lambda: server.open_watches)
    server.put("not-a", phase="Running")
    server.remove("not-a")
    server.put("not-b")
    server.put("b")
    await w.until_seen(2)
    assert [name for _, name, _ in w.seen] == ["a", "b"]
    assert [name for _, name in w.informer.store] == ["a", "b"]
    # Nor is it waited for.
    async with asyncio.timeout(30):
        await w.informer.catch_up()
    # A list after a gap says the same.
    server.stalled = True
    server.put("not-c")
    server.put("c")
    server.compact()
    server.stalled = False
    server.cut()
    await w.until_seen(3)
    assert sorted(name for _, name in w.informer.store) == ["a", "b", "c"]


async def test_there_is_nothing_to_catch_up_with(server: FakeApiServer, watch: Callable[..., Watching]) -> None:
    """Versions that others have made, and an object that cannot be read, are not waited for."""
    for number in range(5):
        server.put(str(number), phase=["not", "a", "string"] if number == 3 else "x")
    w = watch(page_limit=2)
    await w.until(lambda: server.open_watches)
    server.version += 10
    await asyncio.wait_for(w.informer.catch_up(), 60)
    assert len(server.asked(watch=True)) == 1
    server.fail_next(503)
    with pytest.raises(ApiError):
        await w.informer.catch_up()


async def test_handler_errors_do_not_stop_the_watch(server: FakeApiServer, watch: Callable[..., Watching]) -> None:
    names: list[str] = []

    def handler(change: Change[Pod]) -> None:
        names.append(change.object.metadata.name)
        raise RuntimeError("a bug in the handler")

    w = watch(on_change=handler)
    await w.until(lambda: server.open_watches)
    server.put("a")
    server.put("b")
    await w.until(lambda: names == ["a", "b"])
    assert w.informer.callback_errors == 2
    assert w.informer.watches == 1


async def test_server_failures_are_waited_out_with_growing_pauses(
    server: FakeApiServer, watch: Callable[..., Watching], hasty: HastyClock
) -> None:
    server.fail_next(500, "InternalError", times=4)
    server.fail_next(429, "TooManyRequests", headers={"Retry-After": "7"})
    w = watch()
    await w.until(w.informer.synced.is_set)
    assert len(hasty.slept) >= 5
    for pause, (low, high) in zip(hasty.slept, [(0.25, 0.5), (0.5, 1), (1, 2), (2, 4), (7, 8)], strict=False):
        assert low <= pause <= high
    assert w.informer.restarts == 5


async def test_watches_closed_at_once_are_not_reopened_in_a_tight_loop(
    server: FakeApiServer, watch: Callable[..., Watching], hasty: HastyClock
) -> None:
    async def close(request: web.Request) -> web.StreamResponse | None:
        return web.Response(body=b"") if "watch" in request.query else None

    server.faults = [close] * 5
    w = watch()
    await w.until(lambda: server.open_watches)
    assert len(hasty.slept) == 4
    assert hasty.slept[-1] > hasty.slept[0]


async def test_events_may_arrive_in_any_pieces(server: FakeApiServer, watch: Callable[..., Watching]) -> None:
    w = watch()
    await w.until(lambda: server.open_watches)
    server.stalled = True
    server.put("a", phase="ü" * 1000)
    server.put("b")
    await asyncio.sleep(0.01)
    server.stalled = False
    lines = b"".join(line for _, line in server.history)
    for start in range(0, len(lines), 97):
        server.send(lines[start : start + 97])
        await asyncio.sleep(0)
    await w.until_seen(2)
    assert w.changes[0].object.phase == "ü" * 1000
    assert (w.informer.malformed, w.informer.lists) == (0, 1)


async def test_cluster_wide_and_dict_decoding(server: FakeApiServer, watch: Callable[..., Watching]) -> None:
    server.put("a", namespace="one")
    w = watch(namespace=None, decode=lambda document: document["metadata"]["name"])
    await w.until(lambda: server.open_watches)
    server.put("b", namespace="two")
    await w.until_seen(2)
    assert w.informer.store == {("one", "a"): "a", ("two", "b"): "b"}
    assert server.requests[0].path == "/api/v1/pods"


async def test_struct_without_metadata_is_refused(client: KubeClient) -> None:
    class Bare(msgspec.Struct):
        spec: str

    with pytest.raises(TypeError, match="metadata"):
        Informer(client, PODS, namespace=None, decode=Bare, on_change=print)
