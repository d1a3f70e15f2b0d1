"""Keeps a local copy of the objects of one kind and reports every change to it, in order.

List once, then watch from there on; whatever happens to the connection, the server or the history, the copy
catches up and the differences come out as changes, deletions included. Nothing is decided here about what a
change means: an object that leaves the selection (labels, fields) arrives as DELETED as well.
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
HANGS_AFTER = 1.0
"""Seconds for which catch_up() waits for a watch to bring what is missing before it opens another, at first."""
FIRST_PAGE = 20
"""Objects of the first page of a list, whose size nobody knows yet."""
PAGE_BYTES = 4 * 2**20
"""What a page may have, by the size of the objects in the one before: to decode one takes a turn of the event loop."""
LONGEST_PAUSE = 120.0
"""Seconds, whatever the server asks for: who does nothing for longer is taken for stuck."""
REFUSALS = 3
"""Answers in a row that we may not see this kind here, or that there is none, until that is taken for lasting: all API
servers know of a role a moment after it was made."""
HEALTHY_AFTER = 10.0
"""Seconds that a stream must have lived for what ends it to count as a new trouble."""


class ChangeKind(enum.StrEnum):
    """What happened to the local copy."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


class Change(msgspec.Struct, Generic[T], frozen=True):
    """One difference between the copy before and after.

    `object` is the new state; for DELETED the last state: from the event, or, if nobody saw the event
    (`synthetic`), the last one known. `old` is the state before, None for ADDED (and for the DELETED of an
    object that was never seen). `synthetic` changes come from a list, the first included, not from a watch.
    """

    kind: ChangeKind
    object: T
    old: T | None = None
    synthetic: bool = False


class Informer(Generic[T]):
    """A list-and-watch of one resource, in one namespace or in all (`namespace=None`).

    `decode` is a msgspec struct type with a `metadata` field (see `objects`), or a function of the dict.
    `on_change` is called synchronously, in order, after `store` was updated; its exceptions are logged and
    counted. Read `store` freely, never write it.
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
        """`watch_timeout`: seconds after which the server ends a watch (spread by up to a third).

        `idle_timeout`: seconds of silence after which a stream counts as stalled and is reopened. API
        servers send a bookmark about every minute, so 90 s of silence are more than a lack of news. `on_health` is told
        of every interruption, and None each time that a watch is open; the informer goes on by itself. What `keep` says
        no to, by its key and always alike, is passed over as if the server had not sent it.
        """
        self.resource = resource
        self.namespace = namespace
        self.store: dict[Key, T] = {}
        self.synced = asyncio.Event()
        """Set once everything has been listed. Whoever may not rely on it where the kind is refused since clears it: it
        is set again once the kind can be seen."""
        self.answered = asyncio.Event()
        """Set once everything has been listed, or that was refused for good, as far as one can know."""
        self.refused: ApiError | None = None
        """Why the server does not let us see this kind here, while it does not."""
        self._refusals = 0
        self.last_activity = clock.monotonic()
        """When it last did something: was answered, heard something, or failed and is about to try again. Whatever the
        server does, that is not long ago; only an informer that is stuck or has ended lets it grow old."""
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
        # Lists are dear: what makes this list again soon after the last time is asked to wait longer each
        # time, however well the short streams in between went.
        self._relist_backoff = Backoff(0.5, 60.0, rng=self._rng)
        self._stream_opened = clock.monotonic()
        self._versions: dict[Key, tuple[str, str]] = {}  # (uid, resourceVersion) of what is in the store
        self._resource_version = ""  # where the next watch starts; empty: list first
        self._unreadable: dict[Key, tuple[str, str]] = {}  # the same of what could not be decoded
        self._stream_limit: asyncio.Timeout | None = None  # ends the stream that is open, or was last
        self._hurry = asyncio.Event()  # ends the pause before the next attempt

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
                    continue  # catch_up() wants it opened anew
                # A bug here must not silence a kind for good while the process looks healthy.
                log.exception("%s: unexpected failure; listing again", self._path)
                await self._recover(MalformedStream(repr(error)))

    async def catch_up(self) -> None:
        """Return once the copy is as new as the server is now. KubeError if the server cannot be asked.

        Asks for the versions of all objects. A watch that does not bring what is missing may hang: it is opened anew.
        Or it waits for a server that was away: that has just answered.
        """
        versions, revision = await self._ask_versions()
        waited, patience = 0.0, HANGS_AFTER
        self._hurry.set()
        while self._lags_behind(versions, revision):
            await self._clock.sleep(CATCH_UP_POLL)
            waited += CATCH_UP_POLL
            if waited >= patience and self._stream_limit is not None:
                waited, patience = 0.0, patience * 2  # a server under load may take longer to open one
                self._hurry.set()
                with contextlib.suppress(RuntimeError):  # it has just ended by itself
                    self._stream_limit.reschedule(asyncio.get_running_loop().time())

    async def _ask_versions(self) -> tuple[dict[Key, tuple[str, str]], int]:
        """(uid, resourceVersion) of every object, and the version of the list."""
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
        """Whether the copy is older than a list, of which these are the objects."""
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
            log.warning("%s: malformed answer, listing again: %s", self._path, error)
        elif isinstance(error, ApiError) and _outdated(error):
            log.info("%s: the server no longer has what came after %s", self._path, self._resource_version)
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
            log.warning("%s cannot be listed or watched, and is tried again from time to time: %s", self._path, error)
        self.refused = error
        self.answered.set()

    def _note_allowed(self) -> None:
        if self.refused is not None:
            log.info("%s can be seen again", self._path)
        self._refusals, self.refused = 0, None
        self.synced.set()

    async def _pause(self, seconds: float) -> None:
        """Wait before the next attempt; not so long if somebody who wants to catch up was answered meanwhile."""
        self._hurry.clear()
        waits = [asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(self._hurry.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    # ---- list

    async def _list(self) -> None:
        """Fetch everything, report what differs from the store, and note where to watch from."""
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
                # The snapshot that the pages came from was compacted away: start anew. If that happens again
                # the list is longer than the server's memory: take it in one piece, as client-go does.
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
        """A page, and its size in bytes."""
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
        """Follow one stream to its end; the next one starts where this one got to."""
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
        # A remainder is an event cut off half-way: it will be sent again, since its version was not reached.
        if self.events == before and self._clock.monotonic() - self._stream_opened < 1.0:
            # A server that closes watches at once would otherwise be asked for them in a tight loop.
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
            # Deleted and made anew under the same name while nobody watched: two changes, not one.
            self._remove(key)
        old = self.store.get(key)
        self.store[key] = new
        self._unreadable.pop(key, None)
        self._versions[key] = (item.uid, item.resource_version)
        kind = ChangeKind.ADDED if old is None else ChangeKind.MODIFIED
        self._emit(key, Change(kind, new, old, synthetic))

    def _remove(self, key: Key, event: Item[T] | None = None) -> None:
        """Forget an object. `event` has its last state; without one it went while nobody watched."""
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
        """Have a change dealt with; an error in that is logged and counted."""
        try:
            with working_on(self.resource.plural, key):
                handle(change)
        except Exception:
            self.callback_errors += 1
            log.exception("%s: the handler of a change failed", self._path)

    def _note_undecodable(self, item: Item[T]) -> None:
        self.malformed += 1
        self._unreadable[item.key] = (item.uid, item.resource_version)
        log.warning("%s: cannot decode %s/%s, ignored: %s", self._path, *item.key, item.error)


def _everything(key: Key) -> bool:
    return True


def _outdated(error: ApiError) -> bool:
    """Whether the resourceVersion is of no use any more: compacted, or from before a restored backup."""
    return error.is_gone or error.has_cause("ResourceVersionTooLarge")
