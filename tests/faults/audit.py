"""Every Pod that was ever created in a namespace, by a watch of the official client's, through whatever happens to the
API server meanwhile: what is doubled, lost or over a limit shows here, whatever status says."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import kubernetes
import urllib3

from tests.e2e.spaces import Space

Try = tuple[str, str, str, str]
"""(run, task, index, try)"""
PREFIX = "tradewind.dev/"
AGAIN_SECONDS = 0.2


@dataclass(slots=True)
class Made:
    """One Pod. Times by time.monotonic()."""

    name: str
    labels: dict[str, str]
    at: float
    order: int
    """By resourceVersion as it was first seen: the API server's own order."""
    ended: bool = False
    phases: list[str] = field(default_factory=list)

    @property
    def key(self) -> Try:
        """Which try it is."""
        return tuple(self.labels.get(PREFIX + name, "") for name in ("run", "task", "index", "try"))  # type: ignore[return-value]

    @property
    def run(self) -> str:
        """Name of its run."""
        return self.key[0]

    @property
    def task(self) -> str:
        """Name of its task."""
        return self.key[1]


class Audit(threading.Thread):
    """Watches from before the first Pod until `end()`. `gaps` counts how often the watch had to restart."""

    def __init__(self, space: Space) -> None:
        super().__init__(daemon=True)
        self.made: dict[str, Made] = {}
        """By UID, in the order in which they were seen."""
        self.gaps = 0
        self._active: list[tuple[str, bool]] = []
        self._space = space
        self._list: Any = space.witness.core.list_namespaced_pod
        self._version = ""
        self._ended = False
        self._list_all()
        self.start()

    def run(self) -> None:
        while not self._ended:
            try:
                if not self._version:
                    self._list_all()
                for event in self._events():
                    if event["type"] == "ERROR":
                        self._version = ""
                        break
                    self._note(event["type"], event["object"])
            except (urllib3.exceptions.HTTPError, kubernetes.client.ApiException, OSError, ValueError) as error:
                if getattr(error, "status", None) == 410:
                    self._version = ""
                self.gaps += 1
                time.sleep(AGAIN_SECONDS)

    def end(self) -> None:
        """Watch no more, once it has seen all that is there."""
        newest = self._raw(limit=1)["metadata"]["resourceVersion"]
        self._space.eventually(
            lambda: int(self._version or 0) >= int(newest) or self._has_all(), "the audit is up to date"
        )
        self._ended = True

    def doubled(self) -> dict[Try, int]:
        """Tries that had more than one Pod."""
        return {
            key: count for key, count in Counter(made.key for made in list(self.made.values())).items() if count > 1
        }

    def of(self, run: str, task: str = "") -> list[Made]:
        """The Pods of a run, in the order in which the API server made them."""
        found = [made for made in list(self.made.values()) if made.run == run and task in ("", made.task)]
        return sorted(found, key=lambda made: made.order)

    def first_after(self, at: float) -> float | None:
        """When the first Pod was seen after a moment (time.monotonic())."""
        return min((made.at for made in list(self.made.values()) if made.at >= at), default=None)

    def most_at_once(self, counts: Callable[[Made], bool]) -> int:
        """Return the maximum of Pods at a time whose containers were running."""
        now = most = 0
        for uid, begins in list(self._active):
            if counts(self.made[uid]):
                now += 1 if begins else -1
                most = max(most, now)
        return most

    # ------------------------------------------------------------------------------------------------------------

    def _has_all(self) -> bool:
        known = {uid: made.ended for uid, made in self.made.items()}
        pods = self._raw()["items"]
        return all(known.get(pod["metadata"]["uid"]) == _is_finished(pod) for pod in pods)

    def _raw(self, **options: Any) -> Any:
        return json.loads(self._list(self._space.name, _preload_content=False, **options).data)

    def _list_all(self) -> None:
        page = self._raw()
        there = {pod["metadata"]["uid"] for pod in page["items"]}
        for pod in page["items"]:
            self._note("MODIFIED", pod)
        for uid, made in self.made.items():
            if uid not in there:
                self._over(uid, made)
        self._version = page["metadata"]["resourceVersion"]

    def _events(self) -> Iterator[Any]:
        options = {"resource_version": self._version, "timeout_seconds": 300, "allow_watch_bookmarks": True}
        # A dead API server may leave the connection open: after this silence the watch restarts.
        answer = self._list(self._space.name, watch=True, _preload_content=False, _request_timeout=(5, 90), **options)
        rest = b""
        try:
            for piece in answer.stream(2**16, decode_content=False):
                *lines, rest = (rest + piece).split(b"\n")
                yield from map(json.loads, filter(None, lines))
        finally:
            answer.close()

    def _note(self, kind: str, pod: Any) -> None:
        metadata = pod["metadata"]
        self._version = metadata["resourceVersion"]
        uid = metadata.get("uid")
        if kind == "BOOKMARK" or PREFIX + "run" not in metadata.get("labels", {}):
            return
        made = self.made.get(uid)
        if made is None:
            made = Made(metadata["name"], metadata["labels"], time.monotonic(), int(metadata["resourceVersion"]))
            self.made[uid] = made
            self._active.append((uid, True))
        phase = pod.get("status", {}).get("phase", "")
        if made.phases[-1:] != [phase]:
            made.phases.append(phase)
        if kind == "DELETED" or _is_finished(pod):
            self._over(uid, made)

    def _over(self, uid: str, made: Made) -> None:
        if not made.ended:
            made.ended = True
            self._active.append((uid, False))


def _is_finished(pod: Any) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
