"""The leader's bookkeeping of one scheduled run: which part of its state is written to its status."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from tradewind.cache.caches import Caches
from tradewind.cache.observation import try_of
from tradewind.cache.resources import DagRunObject
from tradewind.controller.runs.status_pace import FIRST_GUESS
from tradewind.engine.run import known_tries
from tradewind.engine.run.state import RunState
from tradewind.engine.status.run_status import run_status
from tradewind.engine.status.size import shorter, smallest
from tradewind.kube.objects import Key

log = logging.getLogger(__name__)


class Detail(Enum):
    """The detail with which a run's status is written."""

    FULL = auto()
    SHORT = auto()
    """Only what the run needs to continue: the full status is too large for etcd."""
    LEAST = auto()
    """Even that is too large, so the run has failed."""


@dataclass(slots=True, eq=False)
class Record:
    """One loaded run."""

    key: Key
    state: RunState
    resource_version: str
    generation: int = 0
    """The generation of the newest known spec."""
    writer: asyncio.Task[None] | None = None
    write_cost: float = FIRST_GUESS
    """The cost of the last write of its status, in seconds; see status_pace.py."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while its status is written, by the writer or by a request."""
    frozen: bool = False
    """While true no task starts: a request is being executed."""
    finished_pods: set[str] = field(default_factory=set)
    """Names of protected Pods whose finalizer is removed once their result is in status."""
    dirty: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the state has changes that are not written."""
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    detail: Detail = Detail.FULL
    failed: bool = False
    """It cannot be scheduled, and is about to be reloaded."""
    writing: bool = False
    """A write of its status is in flight."""
    ours: list[Mapping[str, Any]] = field(default_factory=list)
    """The status as last read or acknowledged, and as last sent. After a conflict the stored status is compared with
    these."""

    def status(self) -> dict[str, Any]:
        """Return the status to write, with as much detail as fits."""
        status = {"observedGeneration": self.generation, **run_status(self.state)}
        if self.detail is Detail.FULL:
            return status
        return smallest(status) if self.detail is Detail.LEAST else shorter(status, self.state.graph)

    def stop_writing(self) -> None:
        """Stop writing its status. The reference to the cancelled task is dropped, since the task refers to this
        record."""
        writer, self.writer = self.writer, None
        if writer is not None and writer is not asyncio.current_task():
            writer.cancel()

    def shorten(self) -> bool:
        """Reduce the detail after the status was too large for etcd; return False if nothing can be left out."""
        if self.detail is Detail.LEAST:
            return False
        log.warning("the status of DagRun %s/%s is too large for etcd: writing it with less detail", *self.key)
        self.detail = Detail.SHORT if self.detail is Detail.FULL else Detail.LEAST
        return True


def recorded(record: Record, cluster: Caches) -> set[str]:
    """Return those of `record.finished_pods` whose result is in the run's state. A Pod that arrives before the run
    knows its try is not among them."""
    found = set()
    for name in record.finished_pods:
        pod = cluster.pod(record.state.info.uid, name)
        identity = try_of(pod) if pod is not None else None
        if identity is None or known_tries.has_result(record.state, identity):
            found.add(name)
    return found


class Written(Enum):
    """The outcome of a write of a status."""

    YES = auto()
    LAST = auto()
    """The final status of the run was written."""
    NOT_YET = auto()
    """Another part of the object changed meanwhile: the write is retried."""
    NEVER = auto()
    """The run was deleted, or another controller has written its status."""


def version_of(run: DagRunObject) -> int:
    """Return a run's resourceVersion: the higher one is newer."""
    return int(run.metadata.resource_version)


def may_not_start(found: DagRunObject, state: RunState) -> bool:
    """True if no task of a run may start now: it is suspended, or it has not started and has a new request, which may
    stop it."""
    request = found.spec.get("request") if state.started_at is None else None
    known = isinstance(request, Mapping) and any(each.get("id") == request.get("id") for each in state.requests)
    return found.suspend or bool(request and not known)


def keep_up(record: Record, found: DagRunObject) -> None:
    """Accept a newer resourceVersion for the next write if the status in it is the one that we know. A different status
    is detected by the conflict of that write."""
    # The response to our own write has its version; its status need not be decoded.
    newer = not record.writing and version_of(found) > int(record.resource_version)
    if newer and found.decoded_status() in record.ours:
        record.resource_version = found.metadata.resource_version
