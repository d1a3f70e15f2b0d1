"""Suspends Dags of which too many runs have failed in a row (`maxConsecutiveFailedRuns`), each time once.

The number is written into the Dag's status first, then `spec.suspend` is set under an optimistic lock. A leader that
comes between the two goes on from there; one that comes after a person has resumed the Dag starts counting anew.

The status also says which run was counted last. The ends of a Dag's runs are written one after the other, so those that
have a later resourceVersion are those that were not counted.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tradewind import logs
from tradewind.cache.resources import DAGS, DagObject, regarding
from tradewind.controller.term import Term
from tradewind.engine.schedule.consecutive_failures import TOO_MANY_FAILED_RUNS, FailureStreak, streak_in_status
from tradewind.engine.schedule.ended_run import EndedRun
from tradewind.engine.status.check import usable_dag_status
from tradewind.kube.errors import ApiError, KubeError, SteppedDown
from tradewind.kube.objects import Key

log = logging.getLogger(__name__)

AFTER_CONFLICT = 0.5
TRY_AGAIN = 30.0
"""Seconds until a Dag that could not be suspended is tried again."""


@dataclass(slots=True)
class _State:
    uid: str
    generation: int
    suspended: bool
    streak: FailureStreak
    counted_until: int
    """The resourceVersion of the run that was counted last, or of the Dag when counting began."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    last_failed: str = ""
    asking: bool = False
    """A request to suspend it is under way."""
    untold: bool = False
    """It was asked for, and nobody was told that it is suspended."""
    suspended_by_us: int | None = None
    """The generation that our request made."""


class FailureLimits:
    """The Dags that have a limit, and how many of their runs have failed in a row."""

    def __init__(self, term: Term, changed: Callable[[Key], None]) -> None:
        """`changed(dag)`: the Dag is to be reconciled."""
        self._writer, self._recorder, self._spawn, self._changed = term.writer, term.recorder, term.spawn, changed
        self._states: dict[Key, _State] = {}

    def understand(self, key: Key, found: DagObject) -> None:
        """A Dag is new or was changed."""
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
                before.suspended_by_us, before.untold = None, False

    def forget(self, key: Key) -> None:
        """The Dag is gone, or has no limit any more."""
        self._states.pop(key, None)

    def note_ended(self, key: Key, run: EndedRun) -> None:
        """A run of a Dag has ended. While the Dag is suspended that changes nothing: it is counted anew after it."""
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
        """The last run of a Dag was marked Succeeded: so none has failed since. That resumes no Dag."""
        state = self._states.get(key)
        if state is not None and not state.suspended and not state.streak.too_many:
            state.streak = FailureStreak(state.streak.limit)

    @asynccontextmanager
    async def in_turn(self, key: Key) -> AsyncIterator[None]:
        """To be held while the end of a run is written, and left only when it is noted, or was not written."""
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
        """Whether the end of a run is being written. The watch may tell of it before the answer does; until then nobody
        knows whether there are too many."""
        state = self._states.get(key)
        return state is not None and state.turn.locked()

    def counted_until(self, key: Key) -> str | None:
        """The resourceVersion of the run that was counted last; None where there is no limit."""
        state = self._states.get(key)
        return str(state.counted_until) if state is not None else None

    def count(self, key: Key) -> int | None:
        """Runs that failed in a row; None where there is no limit."""
        state = self._states.get(key)
        return state.streak.count if state is not None else None

    def too_many(self, key: Key) -> str | None:
        """Why no scheduled run may start, for people; None if this is no reason."""
        state = self._states.get(key)
        if state is None or not state.streak.too_many:
            return None
        return f"{_summary(state)}; {_how_to_resume(key)}"

    def recorded(self, key: Key, status: dict[str, Any]) -> bool:
        """Whether the Dag's status has the number as it is."""
        return status.get("consecutiveFailedRuns") == self.count(key)

    def enforce(self, key: Key, found: DagObject) -> None:
        """Suspend a Dag whose status says that it is due, and tell once it is."""
        state = self._states.get(key)
        if state is None:
            return
        if state.suspended and state.untold:
            state.untold = False
            self._tell(key, state)
        written = self.recorded(key, found.status) and found.status.get("observedGeneration") == state.generation
        if state.streak.too_many and not state.suspended and written and not state.asking:
            state.asking = state.untold = True
            suspension = self._suspend(key, state, found.metadata.resource_version)
            self._spawn(suspension, f"suspend Dag {key[1]}", partial(self._asked, key, state))

    def _tell(self, key: Key, state: _State) -> None:
        last = f" (the last: {state.last_failed})" if state.last_failed else ""
        note = f"{_summary(state)}{last}; {_how_to_resume(key)}"
        log.info("Dag %s/%s is suspended: %s", *key, note, extra=logs.about(key[0], dag=key[1]))
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
                log.warning("cannot suspend Dag %s/%s: %s", *key, error)
                await asyncio.sleep(TRY_AGAIN)
        self._asked(key, state)

    def _asked(self, key: Key, state: _State) -> None:
        state.asking = False
        self._changed(key)


def limit_of(dag: DagObject) -> int:
    """maxConsecutiveFailedRuns of a Dag that need not be valid otherwise; 0 for none."""
    limit = dag.facts.max_consecutive_failed_runs
    return limit if isinstance(limit, int) and limit > 0 else 0


def _summary(state: _State) -> str:
    count = state.streak.count
    failed = f"{count} failed runs in a row" if count > 1 else "a failed run"
    return f"{'suspended' if state.suspended else 'held back'} after {failed}"


def _how_to_resume(key: Key) -> str:
    return f"`tradewind resume {key[1]}`, or spec.suspend: false, resumes it"
