"""One watch: the changes that concern it, as lines, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from tests.apiserver import refusals
from tests.apiserver.kinds import Place
from tests.apiserver.refusals import Refusal
from tests.apiserver.selectors import Matches, selection
from tests.apiserver.store import Commit, Store

_KNOWN = {"watch", "allowWatchBookmarks", "resourceVersion", "timeoutSeconds", "labelSelector", "fieldSelector"}


class Watch:
    """The server's end of a stream. `lines` wait to be sent; `on_line` is called when there is one more."""

    def __init__(self, place: Place, matches: Matches, *, bookmarks: bool, timeout: float | None) -> None:
        self.place, self.timeout = place, timeout
        self.bookmarks = bookmarks
        """True if the client wants bookmarks."""
        self.lines: deque[bytes] = deque()
        self.ended = False
        """No line follows after `lines`."""
        self.on_line: Callable[[], None] = lambda: None
        self.on_close: Callable[[], object] = lambda: None
        self._matches = matches

    def offer(self, commit: Commit) -> None:
        """Something has changed."""
        if commit.kind is not self.place.kind:
            return
        if self.place.namespace and not commit.key.startswith(f"{self.place.namespace}/"):
            return
        line = commit.line(self._matches)
        if line is not None:
            self.send(line)

    def bookmark(self, revision: int) -> None:
        """Tell how far the history is, if the client asked for that."""
        if self.bookmarks:
            kind = self.place.kind
            metadata = {"resourceVersion": str(revision), "creationTimestamp": None}
            document = {"kind": kind.name, "apiVersion": kind.api_version, "metadata": metadata}
            self.send(orjson.dumps({"type": "BOOKMARK", "object": document}) + b"\n")

    def send(self, line: bytes) -> None:
        self.lines.append(line)
        self.on_line()

    def fail(self, refusal: Refusal) -> None:
        """End the stream with an ERROR event."""
        self.send(orjson.dumps({"type": "ERROR", "object": refusal.document()}) + b"\n")
        self.end()

    def end(self) -> None:
        """Nothing more will come."""
        self.ended = True
        self.on_close()
        self.on_line()


def open_watch(store: Store, place: Place, params: Mapping[str, Any]) -> Watch:
    """A watch with what happened since the version it asks for."""
    if unknown := set(params) - _KNOWN:
        raise AssertionError(f"the server in memory does not know {unknown} of a watch")
    matches = selection(place.kind, str(params.get("labelSelector", "")), str(params.get("fieldSelector", "")))
    timeout = params.get("timeoutSeconds")
    watch = Watch(
        place,
        matches,
        bookmarks=params.get("allowWatchBookmarks") == "true",
        timeout=None if timeout is None else float(timeout),
    )
    version = str(params.get("resourceVersion", ""))
    if version in ("", "0"):
        for key, stored in store.all(place.kind, place.namespace):
            watch.offer(Commit(store.revision, place.kind, key, None, stored))
        return watch
    since = int(version)
    if since < store.oldest:
        watch.fail(refusals.expired(since, store.oldest))
        return watch
    for commit in store.history(place.kind, since):
        watch.offer(commit)
    return watch
