"""What the leader keeps of a run that it schedules, beside the run itself: how far its status is written."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from tradewind.cache.cluster import Cluster
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
    """How much status tells."""

    FULL = auto()
    SHORT = auto()
    """What the run needs to go on: etcd does not take more."""
    LEAST = auto()
    """Not even that fits, so the run has ended."""


@dataclass(slots=True, eq=False)
class Record:
    """One loaded run."""

    key: Key
    state: RunState
    resource_version: str
    generation: int = 0
    """Of the spec as it was last heard of."""
    writer: asyncio.Task[None] | None = None
    write_cost: float = FIRST_GUESS
    """Seconds for which the last write of its status counts."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while its status is written: by its writer, or by what is asked of the run."""
    frozen: bool = False
    """While true nothing of it starts: what is asked of it is being carried out."""
    over: set[str] = field(default_factory=set)
    """Names of Pods that wait for their result to be in status before they are let go."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    detail: Detail = Detail.FULL
    failed: bool = False
    """It cannot be worked on, and is about to be loaded anew."""
    writing: bool = False
    """Whether a write of status is under way."""
    ours: list[Mapping[str, Any]] = field(default_factory=list)
    """The status as last read or acknowledged, and as last sent: what a conflict is compared with."""

    def status(self) -> dict[str, Any]:
        """What is written of the run: as much as fits."""
        status = {"observedGeneration": self.generation, **run_status(self.state)}
        if self.detail is Detail.FULL:
            return status
        return smallest(status) if self.detail is Detail.LEAST else shorter(status, self.state.graph)

    def stop_writing(self) -> None:
        """Its status is written no more. A task that was cancelled keeps all that it had in hand, this record too: it
        is let go."""
        writer, self.writer = self.writer, None
        if writer is not None and writer is not asyncio.current_task():
            writer.cancel()

    def shorten(self) -> bool:
        """Its status does not fit into etcd: whether less can be written of it."""
        if self.detail is Detail.LEAST:
            return False
        log.warning("the status of DagRun %s/%s is too large: less is written of it", *self.key)
        self.detail = Detail.SHORT if self.detail is Detail.FULL else Detail.LEAST
        return True


def recorded(record: Record, cluster: Cluster) -> set[str]:
    """Those of `record.over` whose result is in status: not what came before the run knew of the try."""
    found = set()
    for name in record.over:
        pod = cluster.pod(record.state.info.uid, name)
        identity = try_of(pod) if pod is not None else None
        if identity is None or known_tries.has_result(record.state, identity):
            found.add(name)
    return found


class Written(Enum):
    """What became of a write of a status."""

    YES = auto()
    LAST = auto()
    """The same, and the run had finished."""
    NOT_YET = auto()
    """Something else of the object was changed meanwhile: the write is to be tried again."""
    NEVER = auto()
    """The run is not ours to write any more."""


def version_of(run: DagRunObject) -> int:
    """Its resourceVersion: of two, the higher is the newer."""
    return int(run.metadata.resource_version)


def may_not_start(found: DagRunObject, state: RunState) -> bool:
    """Whether nothing of a run may start now: it is suspended, or something is asked of one that has not begun, which
    may be that it never does."""
    asked = found.spec.get("request") if state.started_at is None else None
    known = isinstance(asked, Mapping) and any(each.get("id") == asked.get("id") for each in state.requests)
    return found.suspend or bool(asked and not known)


def keep_up(record: Record, found: DagRunObject) -> None:
    """Write over a newer version only if what is new about it is none of the controller's business: its status is what
    we know it to be. Of any other a conflict will tell."""
    # A version that our own write makes is known by its answer; its status need not be read.
    newer = not record.writing and version_of(found) > int(record.resource_version)
    if newer and found.decoded_status() in record.ours:
        record.resource_version = found.metadata.resource_version
