"""Observes the cluster through watches, in the same way for both sides of a race."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from bench.harness.waiting import TookTooLong
from tradewind.cache.resources import DAGRUNS
from tradewind.kube.client import KubeClient
from tradewind.kube.informer import Change, ChangeKind, Informer
from tradewind.kube.objects import KubeObject
from tradewind.kube.resources import PODS, Resource

SUCCEEDED = "status.phase=Succeeded"
SYNC_SECONDS = 60.0


class _Phase(msgspec.Struct):
    phase: str = ""


class Phased(KubeObject):
    """An object with a phase."""

    status: _Phase = msgspec.field(default_factory=_Phase)


class Seen:
    """When objects were first seen; times by time.perf_counter()."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        """By name."""
        self.succeeded: dict[str, float] = {}
        self.labels: dict[str, dict[str, str]] = {}
        self._waiting: list[tuple[int, asyncio.Event]] = []

    @property
    def last(self) -> float:
        """When the last one was seen for the first time."""
        return max(self.at.values())

    async def number(self, count: int, what: str, seconds: float) -> None:
        """Return once `count` have been seen."""
        reached = asyncio.Event()
        self._waiting.append((count, reached))
        self._tell()
        try:
            async with asyncio.timeout(seconds):
                await reached.wait()
        except TimeoutError:
            raise TookTooLong(f"timed out after {seconds:g} s: {what}: {len(self.at)} of {count}") from None

    def note(self, change: Change[Phased]) -> None:
        """A change from an informer."""
        if change.kind is not ChangeKind.DELETED:
            now, name = time.perf_counter(), change.object.metadata.name
            if name not in self.at:
                self.at[name] = now
                self.labels[name] = change.object.metadata.labels
                self._tell()
            if change.object.status.phase == "Succeeded":
                self.succeeded.setdefault(name, now)

    def _tell(self) -> None:
        for count, reached in self._waiting:
            if len(self.at) >= count:
                reached.set()


@contextlib.asynccontextmanager
async def watching(
    client: KubeClient, resource: Resource, namespace: str, *, field_selector: str = "", label_selector: str = ""
) -> AsyncIterator[Seen]:
    """Watch the objects of a kind in a namespace."""
    seen = Seen()
    async with _informer(
        client, resource, namespace, seen.note, field_selector=field_selector, label_selector=label_selector
    ):
        yield seen


@contextlib.asynccontextmanager
async def watching_results(client: KubeClient, namespace: str) -> AsyncIterator[tuple[Seen, Seen]]:
    """Observers of (Pods, DagRuns) of a namespace that succeed: one event for each."""
    async with (
        watching(client, PODS, namespace, field_selector=SUCCEEDED) as pods,
        watching(client, DAGRUNS, namespace, field_selector=SUCCEEDED) as runs,
    ):
        yield pods, runs


@contextlib.asynccontextmanager
async def _informer(
    client: KubeClient, resource: Resource, namespace: str, note: Callable[[Change[Phased]], None], **selectors: Any
) -> AsyncIterator[None]:
    informer: Informer[Phased] = Informer(
        client, resource, namespace=namespace, decode=Phased, on_change=note, **selectors
    )
    task = asyncio.create_task(informer.run())
    try:
        async with asyncio.timeout(SYNC_SECONDS):
            await informer.synced.wait()
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
