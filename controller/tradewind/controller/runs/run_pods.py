"""The Pods of a run that is being loaded: of 10,000 only some are processed in one turn of the event loop."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import TypeVar

from tradewind.cache.caches import Caches, Observed
from tradewind.cache.observation import observe
from tradewind.cache.resources import PodObject
from tradewind.engine.run import known_tries
from tradewind.engine.run.state import RunState
from tradewind.engine.run.tries import TryReport
from tradewind.engine.transitions import run_lifecycle, try_lifecycle

T = TypeVar("T")

SLICE = 500
"""Pods that are processed in one turn."""

Piece = Callable[[], AbstractAsyncContextManager[None]]


async def observe_pods(cluster: Caches, run_uid: str, piece: Piece) -> Observed:
    """Return the observations of a run's Pods, to be reused for Pods that do not change meanwhile."""
    observed: Observed = {}
    pods = list(cluster.pods.get(run_uid, {}).values())
    if len(pods) > SLICE:
        for some in _slices(pods):
            async with piece():
                observed |= {pod.metadata.name: (pod, observe(pod, gone=False)) for pod in some}
    return observed


def catch_up(state: RunState, reports: Iterable[TryReport], now: datetime) -> None:
    """Report the state of its Pods to a run."""
    reports = list(reports)
    if not state.started_at:
        news = [report for report in reports if known_tries.is_unrecorded(state, report.key)]
        if news:
            # A Pod exists whose try is not in the status: the run has started, but that was never written.
            run_lifecycle.begin(state, min(now, *(report.created_at or now for report in news)))
    for report in reports:
        try_lifecycle.apply_report(state, report, now)
    run_lifecycle.advance(state, now)


async def look_at_pods(
    cluster: Caches, run_uid: str, names: list[str], look: Callable[[str, PodObject], None], piece: Piece
) -> None:
    """Call `look` with each Pod that still exists."""
    for some in _slices(names):
        async with piece():
            for name in some:
                if (pod := cluster.pod(run_uid, name)) is not None:
                    look(run_uid, pod)


def _slices(items: list[T]) -> Iterator[list[T]]:
    return (items[first : first + SLICE] for first in range(0, len(items), SLICE))
