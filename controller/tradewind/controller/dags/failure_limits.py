"""Suspends Dags after too many failed runs in a row (`maxConsecutiveFailedRuns`), once each time.

The count is written into the Dag's status first, then `spec.suspend` is set under an optimistic lock. A new leader
between the two steps continues from the status; if a person has resumed the Dag, it counts from zero.

The status also has the resourceVersion of the run that was counted last. Final statuses of a Dag's runs are written one
after the other, so runs with a later resourceVersion are not counted yet.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tradewind import logs
from tradewind.cache.resources import DAGS, DagObject
from tradewind.controller.term import Term, regarding
from tradewind.engine.schedule.consecutive_failures import TOO_MANY_FAILED_RUNS, FailureStreak, streak_in_status
from tradewind.engine.schedule.finished_run import FinishedRun
from tradewind.engine.status.check import usable_dag_status
from tradewind.kube.errors import ApiError, KubeError, SteppedDown
from tradewind.kube.objects import Key

log = logging.getLogger(__name__)

AFTER_CONFLICT = 0.5
TRY_AGAIN = 30.0
"""Seconds before a failed attempt to suspend a Dag is retried."""


@dataclass(slots=True)
class _State:
    uid: str
    generation: int
    suspended: bool
    streak: FailureStreak
    counted_until: int
    """The resourceVersion of the run that was counted last, or of the Dag when counting started."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    last_failed: str = ""
    suspending: bool = False
    """A request to suspend the Dag is in progress."""
    unreported: bool = False
    """A suspension was requested, and its Event is not sent yet."""
    suspended_by_us: int | None = None
    """The generation that our request created."""


class FailureLimits:
    """Dags with a limit, and how many of their runs failed in a row."""

    def __init__(self, term: Term, changed: Callable[[Key], None]) -> None:
        """`changed(dag)` enqueues a Dag."""
        self._writer, self._recorder, self._spawn, self._changed = term.writer, term.recorder, term.spawn, changed
        self._states: dict[Key, _State] = {}

    def understand(self, key: Key, found: DagObject) -> None:
        """Read the limit of a new or changed Dag."""
        limit, suspended = limit_of(found), found.facts.suspend is True
        metadata, before = found.metadata, self._states.get(key)
        if not limit:
            self.forget(key)
        elif before is None or before.uid != metadata.uid:
            status = usable_dag_status(found.status)
            streak = streak_in_status(status, limit, suspended=suspended, generation=metadata.generation)
            version = int(status.get("lastRunResourceVersion") or metadata.resource_version)
            self._states[key] = _State(metadata.uid, metadata.generation, suspended, streak, version)
        else:
            ours = before.suspended_by_us
            resumed = not suspended and (before.suspended or (ours is not None and metadata.generation > ours))
            before.streak = FailureStreak(limit) if resumed else before.streak.limited(limit, suspended=suspended)
            before.generation, before.suspended = metadata.generation, suspended
            if resumed:
                before.suspended_by_us, before.unreported = None, False

    def forget(self, key: Key) -> None:
        """Forget a Dag that is deleted or has no limit."""
        self._states.pop(key, None)

    def note_finished(self, key: Key, run: FinishedRun) -> None:
        """Count a finished run. Runs of a suspended Dag are not counted: counting starts from zero when it resumes."""
        state = self._states.get(key)
        if state is None:
            return
        state.counted_until = max(state.counted_until, run.version)
        if not state.suspended:
            streak = state.streak.after(run)
            if streak.count > state.streak.count:
                state.last_failed = run.name
            state.streak = streak

    def note_marked(self, key: Key) -> None:
        """Reset the count: the last run of the Dag was marked Succeeded. A suspended Dag stays suspended."""
        state = self._states.get(key)
        if state is not None and not state.suspended and not state.streak.too_many:
            state.streak = FailureStreak(state.streak.limit)

    @asynccontextmanager
    async def in_turn(self, key: Key) -> AsyncIterator[None]:
        """Hold this while a run's final status is written, until the run is counted or the write has failed."""
        state = self._states.get(key)
        if state is None:
            yield
            return
        try:
            async with state.turn:
                yield
        finally:
            self._changed(key)

    def is_counting(self, key: Key) -> bool:
        """True while a run's final status is being written: whether too many have failed is known only after that."""
        state = self._states.get(key)
        return state is not None and state.turn.locked()

    def counted_until(self, key: Key) -> str | None:
        """Return the resourceVersion of the run that was counted last; None without a limit."""
        state = self._states.get(key)
        return str(state.counted_until) if state is not None else None

    def count(self, key: Key) -> int | None:
        """Return the number of failed runs in a row; None without a limit."""
        state = self._states.get(key)
        return state.streak.count if state is not None else None

    def too_many(self, key: Key) -> str | None:
        """Return the message if too many runs have failed for another scheduled run, else None."""
        state = self._states.get(key)
        if state is None or not state.streak.too_many:
            return None
        return f"{_summary(state)}; {_how_to_resume(key)}"

    def recorded(self, key: Key, status: dict[str, Any]) -> bool:
        """True if the Dag's status has the current count."""
        return status.get("consecutiveFailedRuns") == self.count(key)

    def enforce(self, key: Key, found: DagObject) -> None:
        """Suspend a Dag whose written status has too many failures, and report it once suspended."""
        state = self._states.get(key)
        if state is None:
            return
        if state.suspended and state.unreported:
            state.unreported = False
            self._report(key, state)
        written = self.recorded(key, found.status) and found.status.get("observedGeneration") == state.generation
        if state.streak.too_many and not state.suspended and written and not state.suspending:
            state.suspending = state.unreported = True
            suspension = self._suspend(key, state, found.metadata.resource_version)
            self._spawn(suspension, f"suspend Dag {key[1]}", partial(self._request_done, key, state))

    def _report(self, key: Key, state: _State) -> None:
        last = f" (the last: {state.last_failed})" if state.last_failed else ""
        note = f"{_summary(state)}{last}; {_how_to_resume(key)}"
        log.warning("Dag %s/%s: %s", *key, note, extra=logs.about(key[0], dag=key[1]))
        about = regarding("Dag", *key, state.uid)
        self._recorder.record(about, "Warning", TOO_MANY_FAILED_RUNS, note, action="Suspend")

    async def _suspend(self, key: Key, state: _State, version: str) -> None:
        body = {"metadata": {"resourceVersion": version}, "spec": {"suspend": True}}
        try:
            answer = await self._writer.patch(DAGS, *key, body)
            state.suspended_by_us = answer["metadata"]["generation"]
        except SteppedDown:
            return
        except KubeError as error:  # no keep_trying: the Dag is reconciled again, and may be suspended already
            if isinstance(error, ApiError) and (error.is_conflict or error.is_not_found):
                await asyncio.sleep(AFTER_CONFLICT)
            else:
                log.warning("cannot suspend Dag %s/%s: %s; retrying in %g s", *key, error, TRY_AGAIN)
                await asyncio.sleep(TRY_AGAIN)
        self._request_done(key, state)

    def _request_done(self, key: Key, state: _State) -> None:
        state.suspending = False
        self._changed(key)


def limit_of(dag: DagObject) -> int:
    """Return maxConsecutiveFailedRuns, 0 for none. The rest of the Dag need not be valid."""
    limit = dag.facts.max_consecutive_failed_runs
    return limit if isinstance(limit, int) and limit > 0 else 0


def _summary(state: _State) -> str:
    count = state.streak.count
    failed = f"{count} failed runs in a row" if count > 1 else "a failed run"
    return f"{'suspended' if state.suspended else 'about to be suspended'} after {failed}"


def _how_to_resume(key: Key) -> str:
    return f"to resume it, run `tradewind resume {key[1]}` or set spec.suspend to false"
