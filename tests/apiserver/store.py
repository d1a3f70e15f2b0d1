"""The part of etcd and the watch cache: objects by key, one revision for each change, a history.

Stored documents are never changed: a change stores another document.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.apiserver.kinds import Kind
from tests.apiserver.selectors import Matches

Json = dict[str, Any]


@dataclass(slots=True, eq=False)
class Stored:
    """One version of one object."""

    document: Json
    _encoded: bytes | None = None

    @property
    def encoded(self) -> bytes:
        if self._encoded is None:
            self._encoded = orjson.dumps(self.document)
        return self._encoded

    @property
    def metadata(self) -> Json:
        metadata: Json = self.document["metadata"]
        return metadata


@dataclass(slots=True, eq=False)
class Commit:
    """One change. `new` is None for a deletion, `old` for a creation; `last` is what a deletion's event shows."""

    revision: int
    kind: Kind
    key: str
    old: Stored | None
    new: Stored | None
    last: Stored | None = None

    def line(self, matches: Matches) -> bytes | None:
        """The watch event of it for those who watch what `matches`; None where it does not concern them."""
        before = self.old is not None and matches(self.old.document)
        after = self.new is not None and matches(self.new.document)
        if after:
            assert self.new is not None
            return _line(b"MODIFIED" if before else b"ADDED", self.new.encoded)
        if not before:
            return None
        if self.last is None:
            assert self.old is not None
            self.last = _with_version(self.old, self.revision)
        return _line(b"DELETED", self.last.encoded)


def _with_version(stored: Stored, revision: int) -> Stored:
    metadata = {**stored.metadata, "resourceVersion": str(revision)}
    return Stored({**stored.document, "metadata": metadata})


def _line(kind: bytes, encoded: bytes) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (kind, encoded)


@dataclass(slots=True)
class _Shelf:
    """All objects of a kind."""

    objects: dict[str, Stored] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    """Sorted."""
    history: deque[Commit] = field(default_factory=deque)
    snapshots: dict[int, list[tuple[str, Stored]]] = field(default_factory=dict)


class Store:
    """All objects. `on_commit` is called after each change, in order."""

    def __init__(self, *, revision: int = 1) -> None:
        self.revision = revision
        self.oldest = 0
        """Versions before this cannot be watched from any more."""
        self.on_commit: list[Callable[[Commit], None]] = []
        self._shelves: dict[Kind, _Shelf] = {}

    def get(self, kind: Kind, key: str) -> Stored | None:
        return self._shelf(kind).objects.get(key)

    def all(self, kind: Kind, namespace: str = "") -> Iterator[tuple[str, Stored]]:
        """Objects by key, in order, of one namespace or of all."""
        shelf = self._shelf(kind)
        start = bisect.bisect_left(shelf.keys, f"{namespace}/") if namespace else 0
        for key in shelf.keys[start:]:
            if namespace and not key.startswith(f"{namespace}/"):
                return
            yield key, shelf.objects[key]

    def put(self, kind: Kind, key: str, document: Json) -> Stored:
        """Store a new version; its resourceVersion is filled in."""
        shelf = self._shelf(kind)
        old = shelf.objects.get(key)
        self.revision += 1
        metadata = {**document["metadata"], "resourceVersion": str(self.revision)}
        new = Stored({**document, "metadata": metadata})
        if old is None:
            bisect.insort(shelf.keys, key)
        shelf.objects[key] = new
        self._commit(shelf, Commit(self.revision, kind, key, old, new))
        return new

    def remove(self, kind: Kind, key: str) -> Stored:
        """Delete for good; the last state, as its event shows it."""
        shelf = self._shelf(kind)
        old = shelf.objects.pop(key)
        del shelf.keys[bisect.bisect_left(shelf.keys, key)]
        self.revision += 1
        last = _with_version(old, self.revision)
        self._commit(shelf, Commit(self.revision, kind, key, old, None, last))
        return last

    def history(self, kind: Kind, since: int) -> Iterator[Commit]:
        """Changes of a kind after a version."""
        shelf = self._shelf(kind)
        first = bisect.bisect_right(shelf.history, since, key=lambda commit: commit.revision)
        for index in range(first, len(shelf.history)):
            yield shelf.history[index]

    def compact(self) -> None:
        """Forget everything but the present, continue tokens included."""
        self.oldest = self.revision
        for shelf in self._shelves.values():
            shelf.history.clear()
            shelf.snapshots.clear()

    def snapshot(self, kind: Kind, revision: int) -> list[tuple[str, Stored]] | None:
        """All objects as they were when a list in pages began; None if that is forgotten."""
        shelf = self._shelf(kind)
        if revision == self.revision and revision not in shelf.snapshots:
            shelf.snapshots[revision] = list(self.all(kind))
        return shelf.snapshots.get(revision)

    def _commit(self, shelf: _Shelf, commit: Commit) -> None:
        shelf.history.append(commit)
        for callback in self.on_commit:
            callback(commit)

    def _shelf(self, kind: Kind) -> _Shelf:
        shelf = self._shelves.get(kind)
        if shelf is None:
            shelf = self._shelves[kind] = _Shelf()
        return shelf
