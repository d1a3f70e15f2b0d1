"""The dependencies that the workers of one term of leadership share.

Created each time this replica becomes leader. A worker that needs only one or two of these takes those.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tradewind.aio.background import OnFailure, Spawn
from tradewind.api import API_VERSION
from tradewind.cache.caches import Caches
from tradewind.engine.scheduler import Scheduler
from tradewind.kube.client import KubeClient
from tradewind.kube.clock import Clock
from tradewind.kube.events import EventRecorder, Regarding
from tradewind.kube.lane import Lane
from tradewind.kube.writer import Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """Access to the cluster, the scheduler, and the leader's loop."""

    client: KubeClient
    writer: Writer
    cluster: Caches
    """The caches."""
    recorder: EventRecorder
    clock: Clock
    scheduler: Scheduler
    spawn: Spawn
    """Starts a background task, which is cancelled when the term ends."""
    on_failure: OnFailure
    """Reports an unexpected error."""
    wake: Callable[[], None]
    """Makes the loop take its next step soon."""

    def in_lane(self) -> Term:
        """Return a copy whose client has its own lane, for a worker that sends a request for each of thousands of
        objects."""
        return replace(self, client=Lane(self.client))


def regarding(kind: str, namespace: str, name: str, uid: str) -> Regarding:
    """One of our objects, as Events refer to it."""
    return Regarding(API_VERSION, kind, namespace, name, uid)
