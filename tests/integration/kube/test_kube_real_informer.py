"""The informer against a real API server; the official client makes the changes and counts."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import orjson
import pytest
from kubernetes.client.exceptions import ApiException

from tests.etcd import compact_etcd
from tradewind.kube import writes
from tradewind.kube.client import KubeClient, Params
from tradewind.kube.errors import Unreachable
from tradewind.kube.informer import Change, Informer
from tradewind.kube.objects import KubeObject
from tradewind.kube.resources import CONFIGMAPS, PODS, Resource
from tradewind.kube.writer import Writer


class ConfigMap(KubeObject):
    data: dict[str, str] = msgspec.field(default_factory=dict)


class Watching:
    def __init__(self, client: Any, resource: Resource, **options: Any) -> None:
        self.changes: list[Change[Any]] = []
        self.informer: Informer[Any] = Informer(
            client, resource, on_change=self.changes.append, **{"decode": ConfigMap} | options
        )
        self.task = asyncio.create_task(self.informer.run())

    async def until(self, condition: Callable[[], Any], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - any condition, not only ours
                await asyncio.sleep(0.01)

    async def next(self, count: int = 1) -> list[Change[Any]]:
        await self.until(lambda: len(self.changes) >= count)
        taken, self.changes[:count] = self.changes[:count], []
        return taken


@pytest.fixture
async def watch(client: KubeClient) -> AsyncIterator[Callable[..., Watching]]:
    running: list[Watching] = []

    def start(resource: Resource, *, client: Any = client, **options: Any) -> Watching:
        running.append(Watching(client, resource, **options))
        return running[-1]

    yield start
    for watching in running:
        watching.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching.task


class CountingClient(KubeClient):
    """Counts the pages, and breaks or misdirects watches on demand."""

    pages = 0
    break_watch = False
    watch_from: str | None = None

    async def request_bytes(self, *args: Any, **options: Any) -> bytes:
        self.pages += 1
        return await super().request_bytes(*args, **options)

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, *, params: Params | None = None, idle_timeout: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        if self.watch_from is not None:
            params = {**(params or {}), "resourceVersion": self.watch_from}
            self.watch_from = None
        async with super().stream(path, params=params, idle_timeout=idle_timeout) as pieces:
            yield self._until_broken(pieces)

    async def _until_broken(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        while True:
            waiting = asyncio.ensure_future(anext(pieces, None))
            while not waiting.done():
                await asyncio.wait([waiting], timeout=0.02)
                if self.break_watch:
                    waiting.cancel()
                    self.break_watch = False
                    raise Unreachable("cut by the test")
            piece = waiting.result()
            if piece is None:
                return
            yield piece


async def create_many(writer: Writer, namespace: str, count: int, **labels: str) -> None:
    await asyncio.gather(
        *(
            writer.submit(
                writes.create(CONFIGMAPS, namespace, {"metadata": {"name": f"many-{number:04}", "labels": labels}})
            )
            for number in range(count)
        )
    )


def names(objects: Any) -> set[str]:
    return {item.metadata.name for item in objects}


async def test_lists_in_pages_and_misses_none(
    client: KubeClient, writer: Writer, namespace: str, witness: Any, watch: Callable[..., Watching]
) -> None:
    await create_many(writer, namespace, 1201)
    counting = CountingClient(client.connection)
    async with counting:
        w = watch(CONFIGMAPS, client=counting, namespace=namespace)
        await w.until(w.informer.synced.is_set)
        w.task.cancel()
    expected = names(witness.list_namespaced_config_map(namespace).items)
    assert len(expected) >= 1201
    assert names(w.informer.store.values()) == expected
    assert counting.pages == 4  # a small one first, which tells how many objects fit
    assert w.informer.lists == 1


async def test_changes_arrive_with_old_and_last_state(
    namespace: str, witness: Any, watch: Callable[..., Watching]
) -> None:
    w = watch(CONFIGMAPS, namespace=namespace, field_selector="metadata.name=a")
    await w.until(lambda: w.informer.watches)
    witness.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}, "data": {"n": "1"}})
    witness.patch_namespaced_config_map("a", namespace, {"data": {"n": "2"}})
    witness.delete_namespaced_config_map("a", namespace)
    changes = await w.next(3)
    assert [(c.kind, c.object.data["n"], c.old and c.old.data["n"]) for c in changes] == [
        ("ADDED", "1", None),
        ("MODIFIED", "2", "1"),
        ("DELETED", "2", "2"),
    ]
    assert not any(change.synthetic for change in changes)
    assert w.informer.store == {}


async def test_an_object_that_leaves_the_label_selection(
    namespace: str, witness: Any, watch: Callable[..., Watching]
) -> None:
    labelled = {"metadata": {"name": "a", "labels": {"run": "x"}}}
    witness.create_namespaced_config_map(namespace, labelled)
    w = watch(CONFIGMAPS, namespace=namespace, label_selector="run=x")
    await w.next()
    await w.until(lambda: w.informer.watches)
    witness.patch_namespaced_config_map("a", namespace, {"metadata": {"labels": {"run": "y"}}})
    [left] = await w.next()
    assert (left.kind, left.synthetic) == ("DELETED", False)
    assert left.object.metadata.labels == {"run": "x"}, "the last state that was selected"
    assert names(witness.list_namespaced_config_map(namespace, label_selector="run=y").items) == {"a"}


class Status(KubeObject):
    status: dict[str, Any] = msgspec.field(default_factory=dict)


async def test_a_pod_that_leaves_the_field_selection(
    namespace: str, witness: Any, watch: Callable[..., Watching]
) -> None:
    pod = {
        "metadata": {"name": "p"},
        # On no node: only this test writes its status.
        "spec": {
            "schedulerName": "none",
            "automountServiceAccountToken": False,
            "containers": [{"name": "c", "image": "none"}],
        },
    }
    await until_created(lambda: witness.create_namespaced_pod(namespace, pod))
    w = watch(PODS, namespace=namespace, field_selector="status.phase!=Succeeded", decode=Status)
    [added] = await w.next()
    assert added.object.status["phase"] == "Pending"
    await w.until(lambda: w.informer.watches)
    witness.patch_namespaced_pod_status("p", namespace, {"status": {"phase": "Running"}})
    witness.patch_namespaced_pod_status("p", namespace, {"status": {"phase": "Succeeded"}})
    running, left = await w.next(2)
    assert (running.kind, running.object.status["phase"]) == ("MODIFIED", "Running")
    assert (left.kind, left.object.status["phase"]) == ("DELETED", "Running")
    assert witness.read_namespaced_pod("p", namespace).status.phase == "Succeeded"


async def test_a_cut_watch_resumes_where_it_was(
    client: KubeClient, namespace: str, witness: Any, watch: Callable[..., Watching]
) -> None:
    breaking = CountingClient(client.connection)
    async with breaking:
        w = watch(CONFIGMAPS, client=breaking, namespace=namespace, field_selector="metadata.name=a")
        await w.until(lambda: w.informer.watches)
        breaking.break_watch = True
        await w.until(lambda: w.informer.restarts)
        witness.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}})
        witness.delete_namespaced_config_map("a", namespace)
        changes = await w.next(2)
        assert [change.kind for change in changes] == ["ADDED", "DELETED"]
        assert w.informer.lists == 1
        w.task.cancel()


async def test_too_old_a_version_relists_and_tells_what_was_missed(
    client: KubeClient, namespace: str, witness: Any, watch: Callable[..., Watching]
) -> None:
    for name in ("stays", "changes", "goes"):
        witness.create_namespaced_config_map(namespace, {"metadata": {"name": name}, "data": {"n": "1"}})
    breaking = CountingClient(client.connection)
    async with breaking:
        w = watch(CONFIGMAPS, client=breaking, namespace=namespace, field_selector="metadata.name!=kube-root-ca.crt")
        await w.next(3)
        await w.until(lambda: w.informer.watches)
        # Long gone from the server's history, as after a night without a network.
        breaking.watch_from = "1"
        breaking.break_watch = True
        await w.until(lambda: w.informer.restarts)
        witness.patch_namespaced_config_map("changes", namespace, {"data": {"n": "2"}})
        witness.delete_namespaced_config_map("goes", namespace)
        witness.create_namespaced_config_map(namespace, {"metadata": {"name": "new"}})
        changes = await w.next(3)
        assert sorted((c.kind.value, c.object.metadata.name, c.synthetic) for c in changes) == [
            ("ADDED", "new", True),
            ("DELETED", "goes", True),
            ("MODIFIED", "changes", True),
        ]
        assert w.informer.lists == 2
        assert names(w.informer.store.values()) == {"stays", "changes", "new"}
        await w.until(lambda: w.informer.watches >= 2)
        witness.delete_namespaced_config_map("new", namespace)
        [deleted] = await w.next()
        assert (deleted.kind, deleted.synthetic) == ("DELETED", False)
        w.task.cancel()


async def test_a_snapshot_that_is_compacted_away_between_pages(
    client: KubeClient,
    writer: Writer,
    namespace: str,
    etcd: str,
    witness: Any,
    watch: Callable[..., Watching],
) -> None:
    """Newer servers answer recent continue tokens from memory, so the token is made to point far back."""
    await create_many(writer, namespace, 30)
    await compact_etcd(etcd)
    tokens: list[str] = []

    class Misdirecting(CountingClient):
        async def request_bytes(self, method: str, path: str, *, params: Any = None, **options: Any) -> bytes:
            if not tokens and "continue" in (params or {}):
                tokens.append(outdated(params["continue"]))
                params = {**params, "continue": tokens[0]}
            return await super().request_bytes(method, path, params=params, **options)

    misdirecting = Misdirecting(client.connection)
    async with misdirecting:
        w = watch(CONFIGMAPS, client=misdirecting, namespace=namespace, page_limit=10)
        await w.until(w.informer.synced.is_set)
        w.task.cancel()
    assert tokens
    assert misdirecting.pages == 2 + 4, "two pages until the 410, then four from the beginning"
    listed = names(witness.list_namespaced_config_map(namespace).items)
    assert names(w.informer.store.values()) == listed
    assert len(listed) >= 30


def outdated(token: str) -> str:
    document = orjson.loads(base64.urlsafe_b64decode(token + "=="))
    return base64.urlsafe_b64encode(orjson.dumps(document | {"rv": 2})).decode().rstrip("=")


async def test_bookmarks_keep_a_quiet_watch_up_to_date(
    client: KubeClient, namespace: str, witness: Any, watch: Callable[..., Watching]
) -> None:
    starts: list[int] = []

    class Noting(CountingClient):
        def stream(self, path: str, *, params: Any = None, idle_timeout: float) -> Any:
            starts.append(int(params["resourceVersion"]))
            return super().stream(path, params=params, idle_timeout=idle_timeout)

    async with Noting(client.connection) as noting:
        w = watch(CONFIGMAPS, client=noting, namespace=namespace, label_selector="no=thing", watch_timeout=4)
        await w.until(lambda: w.informer.watches)
        elsewhere = witness.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}})
        await w.until(lambda: len(starts) >= 2, 20)
        # The server sends a bookmark shortly before the timeout of a watch.
        assert starts[1] >= int(elsewhere.metadata.resource_version)
        assert w.changes == []
        assert w.informer.lists == 1
        w.task.cancel()


async def until_created(create: Callable[[], Any]) -> None:
    """A new namespace has no default service account for a moment, and without it no Pods."""
    for attempt in range(100):
        try:
            create()
            return
        except ApiException as error:
            if error.status != 403 or attempt == 99:
                raise
            await asyncio.sleep(0.1)
