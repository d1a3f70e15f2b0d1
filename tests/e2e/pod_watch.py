"""Every change of the Pods of a namespace, in the order of the API server."""

import threading
from typing import Any

import kubernetes
import urllib3

from tests.e2e.spaces import Space

LONGEST_SECONDS = 600


class PodWatch(threading.Thread):
    """Watches from before the first Pod until `end()`."""

    def __init__(self, space: Space) -> None:
        super().__init__(daemon=True)
        self._space = space
        self._events: list[tuple[str, Any]] = []
        self._ended = False
        self._watch: Any = kubernetes.watch.Watch()  # type: ignore[no-untyped-call]
        self._version = space.witness.core.list_namespaced_pod(space.name).metadata.resource_version
        self.start()

    def run(self) -> None:
        pods = self._space.witness.core.list_namespaced_pod
        options = {"resource_version": self._version, "timeout_seconds": LONGEST_SECONDS}
        try:
            for event in self._watch.stream(pods, self._space.name, **options):
                self._events.append((event["type"], event["object"]))
        except urllib3.exceptions.HTTPError:
            if not self._ended:
                raise

    def end(self) -> None:
        """Watch no more."""
        self._ended = True
        self._watch.stop()

    def most_at_once(self, weights: dict[str, int] | None = None) -> int:
        """Return the maximum of Pods at a time with a running container; `weights` by task, else 1 each."""
        active: dict[str, int] = {}
        most = 0
        for kind, pod in list(self._events):
            task = pod.metadata.labels["tradewind.dev/task"]
            if kind == "DELETED" or has_exited(pod):
                active.pop(pod.metadata.uid, None)
            else:
                active[pod.metadata.uid] = (weights or {}).get(task, 1)
            most = max(most, sum(active.values()))
        return most

    def created(self) -> list[str]:
        """Tasks in the order in which their first Pods were made."""
        made = [pod.metadata.labels["tradewind.dev/task"] for kind, pod in list(self._events) if kind == "ADDED"]
        return list(dict.fromkeys(made))


def has_exited(pod: Any) -> bool:
    """True if its container has exited."""
    return any(status.state.terminated for status in pod.status.container_statuses or ())
