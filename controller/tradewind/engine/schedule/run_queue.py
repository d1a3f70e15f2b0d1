"""The runs of one Dag, or of one of its Backfills, that wait for maxActiveRuns.

Ten thousand may wait: an event of one of them, or of a running run, costs the same as in a short queue.
"""

import heapq
from datetime import datetime
from itertools import islice

Place = tuple[datetime, str, str]
"""(logical date, namespace, name): the lowest starts first."""


class RunQueue:
    """Runs by UID, in the order in which they start."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[Place, str] | None] = {}
        """All runs; None for those that may not start now."""
        self._heap: list[tuple[Place, str]] = []
        """The runs that may start, and stale entries of runs that left or may not start any more."""
        self._unexplained: dict[str, None] = {}
        """Runs whose status does not have the current reason for waiting."""
        self._maybe_awaited: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, uid: str) -> bool:
        return uid in self._entries

    def put(self, uid: str, place: Place, *, may_start: bool) -> None:
        """Add a run, or change whether it may start."""
        if not may_start:
            self._entries[uid] = None
            return
        entry = self._entries[uid] = (place, uid)
        heapq.heappush(self._heap, entry)
        self._unexplained[uid] = self._maybe_awaited[uid] = None
        if len(self._heap) > 2 * len(self._entries) + 16:
            self._heap = [entry for entry in self._entries.values() if entry is not None]
            heapq.heapify(self._heap)

    def discard(self, uid: str) -> None:
        """Remove a run."""
        self._entries.pop(uid, None)
        self._unexplained.pop(uid, None)
        self._maybe_awaited.pop(uid, None)

    @property
    def first(self) -> str | None:
        """The run that starts next, or None if none may start."""
        while self._heap:
            entry = self._heap[0]
            if self._entries.get(entry[1]) is entry:
                return entry[1]
            heapq.heappop(self._heap)
        return None

    def note_maybe_awaited(self, uid: str) -> None:
        """Note that another run may be waiting for this one."""
        if uid in self._entries:
            self._maybe_awaited[uid] = None

    def take_maybe_awaited(self) -> list[str]:
        """The runs noted since the last call that may start."""
        taken, self._maybe_awaited = self._maybe_awaited, {}
        return [uid for uid in taken if self._entries.get(uid) is not None]

    def explain_all(self) -> None:
        """Note that the reason for waiting has changed for all runs."""
        self._unexplained = dict.fromkeys(self._entries)

    def take_unexplained(self, most: int) -> list[str]:
        """Up to `most` runs whose status does not have the current reason for waiting."""
        taken = list(islice(self._unexplained, most))
        for uid in taken:
            del self._unexplained[uid]
        return [uid for uid in taken if self._entries.get(uid) is not None]

    @property
    def has_unexplained(self) -> bool:
        """True if take_unexplained() has more runs to return."""
        return bool(self._unexplained)
