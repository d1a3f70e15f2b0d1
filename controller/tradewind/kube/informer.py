"""Keeps a local copy of the objects of one kind and reports every change to it, in order.

It lists once and then watches. After any failure of the connection or the server, or a gap in the history, it catches
up and reports the differences as changes, including deletions. It does not interpret changes: an object that leaves the
selection (labels, fields) is also reported as DELETED.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import random
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from tradewind.kube.backoff import Backoff
from tradewind.kube.client import PAGE_LIMIT, ApiClient
from tradewind.kube.clock import SYSTEM_CLOCK, Clock
from tradewind.kube.decoding import Item, MalformedStream, Page, decoder_for
from tradewind.kube.errors import ApiError, KubeError
from tradewind.kube.objects import Key
from tradewind.kube.resources import Resource
from tradewind.kube.working_on import working_on

T = TypeVar("T")

log = logging.getLogger(__name__)

CATCH_UP_POLL = 0.05
CATCH_UP_PATIENCE = 1.0
"""Seconds that catch_up() first waits for a watch to deliver missing changes before it opens another one."""
FIRST_PAGE = 20
"""The number of objects in the first page of a list, whose size is still unknown."""
PAGE_BYTES = 4 * 2**20
"""The target size of a page, estimated from the objects of the previous page: decoding a page blocks the event loop."""
LONGEST_PAUSE = 120.0
"""The maximum pause in seconds, whatever the server requests: an informer that is idle for longer counts as stuck."""
REFUSALS = 3
"""The number of consecutive rejections (this kind is forbidden, or does not exist) before they count as permanent: some
API servers learn of a new role later than others."""
HEALTHY_AFTER = 10.0
"""Seconds after which a stream counts as healthy, so that its end is a new failure."""


class ChangeKind(enum.StrEnum):
    """The kind of a change to the local copy."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


class Change(msgspec.Struct, Generic[T], frozen=True):
    """One difference between the previous and the current copy.

    `object` is the new state; for DELETED it is the last state from the event, or the last cached state if the event
    was missed (`synthetic`). `old` is the previous state, None for ADDED (and for DELETED of an object that was never
    cached). `synthetic` changes come from a list (including the first one) instead of a watch.
    """

    kind: ChangeKind
    object: T
    old: T | None = None
    synthetic: bool = False


class Informer(Generic[T]):
    """A list and watch of one resource, in one namespace or in all (`namespace=None`).

    `decode` is a msgspec struct type with a `metadata` field (see `objects`), or a function of the dict. `on_change` is
    called synchronously, in order, after `store` was updated; its exceptions are logged and counted. Read `store`
    freely, but never write to it.
    """

    def __init__(
        self,
        client: ApiClient,
        resource: Resource,
        *,
        namespace: str | None,
        decode: Callable[[dict[str, Any]], T] | type[T],
        on_change: Callable[[Change[T]], None],
        label_selector: str = "",
        field_selector: str = "",
        keep: Callable[[Key], bool] | None = None,
        page_limit: int = PAGE_LIMIT,
        watch_timeout: float = 300.0,
        idle_timeout: float = 90.0,
        on_health: Callable[[KubeError | MalformedStream | None], None] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        rng: random.Random | None = None,
    ) -> None:
        """`watch_timeout`: seconds after which the server ends a watch (with jitter of up to a third).

        `idle_timeout`: seconds of silence after which a stream counts as stalled and is reopened. API servers send a
        bookmark about every minute, so 90 s of silence mean a failure. `on_health` gets the error of every
        interruption, and None whenever a watch is open; the informer recovers automatically. Objects for whose key
        `keep` returns False are ignored; `keep` must be deterministic.
        """
        self.resource = resource
        self.namespace = namespace
        self.store: dict[Key, T] = {}
        self.synced = asyncio.Event()
        """Set once everything has been listed. A consumer that cannot use the copy while the kind is forbidden clears
        it; it is set again once the kind is accessible."""
        self.answered = asyncio.Event()
        """Set once everything has been listed, or listing was permanently rejected."""
        self.refused: ApiError | None = None
        """The current rejection by the server, if this kind is forbidden or does not exist here."""
        self._refusals = 0
        self.last_activity = clock.monotonic()
        """Time of the last activity: a response, data of a stream, or a failure before a retry. It stays recent
        whatever the server does; it is old only if the informer is stuck or its task has exited."""
        self.last_error: KubeError | MalformedStream | None = None
        self.lists = self.watches = self.events = self.restarts = 0
        self.malformed = self.callback_errors = 0
        self._client = client
        self._decoder = decoder_for(decode)
        self._on_change, self._on_health = on_change, on_health
        self._keep = keep or _everything
        self._path = resource.path(namespace)
        self._selectors: dict[str, str | int] = {}
        if label_selector:
            self._selectors["labelSelector"] = label_selector
        if field_selector:
            self._selectors["fieldSelector"] = field_selector
        self._page_limit = page_limit
        self._watch_timeout = watch_timeout
        self._idle_timeout = idle_timeout
        self._clock = clock
        self._rng = rng or random.Random()
        self._backoff = Backoff(0.5, 30.0, rng=self._rng)
        # Lists are expensive: frequent causes for a new list get increasing delays, even if the short streams in
        # between were healthy.
        self._relist_backoff = Backoff(0.5, 60.0, rng=self._rng)
        self._stream_opened = clock.monotonic()
        self._versions: dict[Key, tuple[str, str]] = {}  # (uid, resourceVersion) of the objects in the store
        self._resource_version = ""  # start of the next watch; empty: list first
        self._unreadable: dict[Key, tuple[str, str]] = {}  # the same of objects that could not be decoded
        self._stream_limit: asyncio.Timeout | None = None  # ends the current or last stream
        self._retry_now = asyncio.Event()  # ends the pause before the next attempt

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            try:
                if not self._resource_version:
                    await self._list()
                async with asyncio.timeout(None) as self._stream_limit:
                    await self._watch()
            except (KubeError, MalformedStream) as error:
                await self._recover(error)
            except Exception as error:
                if self._stream_limit is not None and self._stream_limit.expired():
                    continue  # catch_up() requested a new stream
                # A bug here must not silence a kind permanently while the process looks healthy.
                log.exception("%s: unexpected failure; listing again", self._path)
                await self._recover(MalformedStream(repr(error)))

    async def catch_up(self) -> None:
        """Return once the copy is as new as the server is now. Raises KubeError if the server cannot be reached.

        It requests the versions of all objects. A watch that does not deliver missing changes may hang: it is reopened.
        If the informer waits before a retry, the wait ends, because the server has just responded.
        """
        versions, revision = await self._list_versions()
        waited, patience = 0.0, CATCH_UP_PATIENCE
        self._retry_now.set()
        while self._lags_behind(versions, revision):
            await self._clock.sleep(CATCH_UP_POLL)
            waited += CATCH_UP_POLL
            if waited >= patience and self._stream_limit is not None:
                waited, patience = 0.0, patience * 2  # a server under load may take longer to open a watch
                self._retry_now.set()
                with contextlib.suppress(RuntimeError):  # the stream has just ended
                    self._stream_limit.reschedule(asyncio.get_running_loop().time())

    async def _list_versions(self) -> tuple[dict[Key, tuple[str, str]], int]:
        """Return (uid, resourceVersion) of every object, and the version of the list."""
        versions: dict[Key, tuple[str, str]] = {}
        params = self._selectors | {"limit": self._page_limit}
        while True:
            page = await self._client.request("GET", self._path, params=params, partial="list")
            for item in page.get("items") or ():
                metadata = item["metadata"]
                key = (metadata.get("namespace", ""), metadata["name"])
                if self._keep(key):
                    versions[key] = (metadata["uid"], metadata["resourceVersion"])
            token = page["metadata"].get("continue")
            if not token:
                return versions, int(page["metadata"]["resourceVersion"])
            params = params | {"continue": token}

    def _lags_behind(self, versions: dict[Key, tuple[str, str]], revision: int) -> bool:
        """True if the copy is older than a list with these objects and this version."""
        if int(self._resource_version or 0) >= revision:
            return False
        return self._versions | self._unreadable != versions

    async def _recover(self, error: KubeError | MalformedStream) -> None:
        self.last_error = error
        self.restarts += 1
        self.last_activity = self._clock.monotonic()
        if self._on_health is not None:
            self._on_health(error)
        if isinstance(error, ApiError) and (error.is_forbidden or error.is_not_found):
            self._note_refused(error)
            await self._pause(min(self._backoff.next(error.retry_after), LONGEST_PAUSE))
            return
        if isinstance(error, MalformedStream):
            self.malformed += 1
            log.warning("%s: malformed response, listing again: %s", self._path, error)
        elif isinstance(error, ApiError) and _outdated(error):
            log.info(
                "%s: version %s is too old; listing again",
                self._path,
                self._resource_version,
            )
        else:
            level = logging.INFO if error.is_transient else logging.WARNING
            log.log(level, "%s: interrupted: %s", self._path, error)
            wait = error.retry_after if isinstance(error, ApiError) else None
            await self._pause(min(self._backoff.next(wait), LONGEST_PAUSE))
            return
        self._resource_version = ""
        if self._clock.monotonic() - self._stream_opened > HEALTHY_AFTER:
            self._relist_backoff.reset()
        await self._pause(self._relist_backoff.next())

    def _note_refused(self, error: ApiError) -> None:
        self._refusals += 1
        if self._refusals < REFUSALS:
            log.info("%s: %s", self._path, error)
            return
        if self.refused is None:
            log.warning("%s cannot be listed or watched; retrying: %s", self._path, error)
        self.refused = error
        self.answered.set()

    def _note_allowed(self) -> None:
        if self.refused is not None:
            log.info("%s can be listed and watched again", self._path)
        self._refusals, self.refused = 0, None
        self.synced.set()

    async def _pause(self, seconds: float) -> None:
        """Wait before the next attempt, or until catch_up() ends the wait."""
        self._retry_now.clear()
        waits = [asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(self._retry_now.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    # ---- list

    async def _list(self) -> None:
        """Fetch everything, report the differences to the store, and note where the watch starts."""
        seen: set[Key] = set()
        self._unreadable.clear()
        first = self._selectors | {"limit": min(self._page_limit, FIRST_PAGE)}
        params, expired = first, False
        while True:
            try:
                page, size = await self._list_page(params)
            except ApiError as error:
                if not error.is_gone or "continue" not in params:
                    raise
                # The snapshot of the pages was compacted: start over. If that happens again, the list takes longer than
                # the server keeps its history: fetch it in one piece, as client-go does.
                seen.clear()
                params = self._selectors if expired else first
                expired = True
                continue
            for item in page.items:
                if self._keep(item.key):
                    seen.add(item.key)
                    self._apply_listed(item)
            if not page.continue_token:
                break
            fit = PAGE_BYTES * max(1, len(page.items)) // size
            params = params | {"continue": page.continue_token, "limit": max(1, min(self._page_limit, fit))}
        for key in [key for key in self.store if key not in seen]:
            self._remove(key)
        self._resource_version = page.resource_version
        self.lists += 1
        self._note_allowed()
        self.answered.set()

    async def _list_page(self, params: dict[str, str | int]) -> tuple[Page[T], int]:
        """Return a page, and its size in bytes."""
        body = await self._client.request_bytes("GET", self._path, params=params)
        self.last_activity = self._clock.monotonic()
        return self._decoder.page(body), len(body)

    def _apply_listed(self, item: Item[T]) -> None:
        known = self._versions.get(item.key)
        if known == (item.uid, item.resource_version):
            return
        if item.object is None:
            self._note_undecodable(item)
            return
        self._put(item, item.object, synthetic=True)

    # ---- watch

    async def _watch(self) -> None:
        """Read one stream to its end; the next one resumes there."""
        params = self._selectors | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._resource_version,
            "timeoutSeconds": int(self._watch_timeout * (1 + self._rng.random() / 3)),
        }
        before = self.events
        async with self._client.stream(self._path, params=params, idle_timeout=self._idle_timeout) as pieces:
            self.watches += 1
            self.last_activity = self._stream_opened = self._clock.monotonic()
            self._note_allowed()
            if self._on_health is not None:
                self._on_health(None)
            rest = b""
            async for piece in pieces:
                self.last_activity = self._clock.monotonic()
                complete = (rest + piece if rest else piece).split(b"\n")
                rest = complete.pop()
                for line in complete:
                    if line:
                        self._apply_line(line)
                if self.events != before:
                    self._backoff.reset()
        # A remainder is an incomplete event: the server sends it again, because its version was not reached.
        if self.events == before and self._clock.monotonic() - self._stream_opened < 1.0:
            # Do not reopen watches in a tight loop if the server closes them at once.
            await self._clock.sleep(self._backoff.next())

    def _apply_line(self, line: bytes) -> None:
        kind, item = self._decoder.event(line)
        self.events += 1
        if kind != "BOOKMARK" and not self._keep(item.key):
            pass
        elif kind == "DELETED":
            self._remove(item.key, item)
        elif kind != "BOOKMARK":
            if item.object is None:
                self._note_undecodable(item)
            else:
                self._put(item, item.object)
        if item.resource_version:
            self._resource_version = item.resource_version

    # ---- the store

    def _put(self, item: Item[T], new: T, *, synthetic: bool = False) -> None:
        key = item.key
        known = self._versions.get(key)
        if known is not None and known[0] != item.uid:
            # Deleted and recreated with the same name while no watch was open: two changes, not one.
            self._remove(key)
        old = self.store.get(key)
        self.store[key] = new
        self._unreadable.pop(key, None)
        self._versions[key] = (item.uid, item.resource_version)
        kind = ChangeKind.ADDED if old is None else ChangeKind.MODIFIED
        self._emit(key, Change(kind, new, old, synthetic))

    def _remove(self, key: Key, event: Item[T] | None = None) -> None:
        """Remove an object. `event` has its last state; without it, the deletion was missed."""
        old = self.store.pop(key, None)
        self._versions.pop(key, None)
        if event is not None and event.error is not None:
            self._note_undecodable(event)
        self._unreadable.pop(key, None)
        last = event.object if event is not None else None
        if last is not None:
            self._emit(key, Change(ChangeKind.DELETED, last, old))
        elif old is not None:
            self._emit(key, Change(ChangeKind.DELETED, old, old, synthetic=True))

    def _emit(self, key: Key, change: Change[T]) -> None:
        self.report(key, change, self._on_change)

    def report(self, key: Key, change: Change[T], handle: Callable[[Change[T]], None]) -> None:
        """Pass a change to `handle`; its errors are logged and counted."""
        try:
            with working_on(self.resource.plural, key):
                handle(change)
        except Exception:
            self.callback_errors += 1
            log.exception("%s: the handler of a change failed", self._path)

    def _note_undecodable(self, item: Item[T]) -> None:
        self.malformed += 1
        self._unreadable[item.key] = (item.uid, item.resource_version)
        log.warning("%s: ignoring %s/%s, which cannot be decoded: %s", self._path, *item.key, item.error)


def _everything(key: Key) -> bool:
    return True


def _outdated(error: ApiError) -> bool:
    """True if the resourceVersion can no longer be used: compacted, or newer than the server after a restored
    backup."""
    return error.is_gone or error.has_cause("ResourceVersionTooLarge")
