"""Every Pod of a run that there ever is, as the official client's watch tells, in the order in which they are made."""

from __future__ import annotations

import threading
from typing import Any

import kubernetes
import urllib3

from tests.cluster import Witness

Try = tuple[str, str, str, str, str]
"""(namespace, run, task, index, try)"""
PREFIX = "tradewind.dev/"
SELECTOR = PREFIX + "run"
LONGEST_SECONDS = 900


class AllPods(threading.Thread):
    """Watches until `end()`."""

    def __init__(self, witness: Witness) -> None:
        super().__init__(daemon=True)
        self.made: dict[Try, list[str]] = {}
        """UIDs of the Pods of each try."""
        self.labels: dict[str, dict[str, str]] = {}
        """By UID."""
        self.failure: BaseException | None = None
        self._list = witness.core.list_pod_for_all_namespaces
        self._watch: Any = kubernetes.watch.Watch()  # type: ignore[no-untyped-call]
        self._version = self._list(label_selector=SELECTOR).metadata.resource_version
        self._ended = False
        self.start()

    def run(self) -> None:
        options = {"label_selector": SELECTOR, "timeout_seconds": LONGEST_SECONDS}
        try:
            for event in self._watch.stream(self._list, resource_version=self._version, **options):
                if event["type"] == "ADDED":
                    self._note(event["object"].metadata)
        except BaseException as error:
            if not (self._ended and isinstance(error, urllib3.exceptions.HTTPError)):
                self.failure = error

    def _note(self, metadata: Any) -> None:
        labels = metadata.labels
        values = (labels.get(PREFIX + name, "") for name in ("run", "task", "index", "try"))
        self.made.setdefault((metadata.namespace, *values), []).append(metadata.uid)  # type: ignore[arg-type]
        self.labels[metadata.uid] = labels

    def count(self, namespaces: set[str]) -> int:
        """Return the number of Pods so far in these namespaces."""
        assert self.failure is None, repr(self.failure)
        return sum(len(uids) for place, uids in list(self.made.items()) if place[0] in namespaces)

    def end(self) -> None:
        """Watch no more; fails if something has been missed."""
        self._ended = True
        self._watch.stop()
        assert self.failure is None, repr(self.failure)
