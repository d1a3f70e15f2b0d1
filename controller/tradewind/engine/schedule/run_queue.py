"""The runs of one Dag, or of one of its Backfills, that wait for maxActiveRuns.

Ten thousand may wait: whatever happens to one of them, or to a run that runs, costs the same as in a short queue.
"""

import heapq
from datetime import datetime
from itertools import islice

Place = tuple[datetime, str, str]
"""(logical date, namespace, name): the lowest leaves first."""


class RunQueue:
    """Runs by UID, in the order in which they leave."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[Place, str] | None] = {}
        """All of them; None for those that may not leave now."""
        self._heap: list[tuple[Place, str]] = []
        """Those that may, and some that have left since or may not any more."""
        self._untold: dict[str, None] = {}
        self._hurried: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, uid: str) -> bool:
        return uid in self._entries

    def put(self, uid: str, place: Place, *, may_leave: bool) -> None:
        """A run waits here, or (known already) whether it may leave is another matter now."""
        if not may_leave:
            self._entries[uid] = None
            return
        entry = self._entries[uid] = (place, uid)
        heapq.heappush(self._heap, entry)
        self._untold[uid] = self._hurried[uid] = None
        if len(self._heap) > 2 * len(self._entries) + 16:
            self._heap = [entry for entry in self._entries.values() if entry is not None]
            heapq.heapify(self._heap)

    def discard(self, uid: str) -> None:
        """A run has left."""
        self._entries.pop(uid, None)
        self._untold.pop(uid, None)
        self._hurried.pop(uid, None)

    @property
    def first(self) -> str | None:
        """The run whose turn it is, if any may leave."""
        while self._heap:
            entry = self._heap[0]
            if self._entries.get(entry[1]) is entry:
                return entry[1]
            heapq.heappop(self._heap)
        return None

    def hurry(self, uid: str) -> None:
        """A run may be one that another waits for."""
        if uid in self._entries:
            self._hurried[uid] = None

    def take_hurried(self) -> list[str]:
        """The runs that may have become ones that others wait for since the last call, and may leave."""
        hurried, self._hurried = self._hurried, {}
        return [uid for uid in hurried if self._entries.get(uid) is not None]

    def tell_all(self) -> None:
        """Why they wait has changed."""
        self._untold = dict.fromkeys(self._entries)

    def take_untold(self, most: int) -> list[str]:
        """Some of those that do not say yet why they wait."""
        taken = list(islice(self._untold, most))
        for uid in taken:
            del self._untold[uid]
        return [uid for uid in taken if self._entries.get(uid) is not None]

    @property
    def has_untold(self) -> bool:
        """Whether there are more of those."""
        return bool(self._untold)
