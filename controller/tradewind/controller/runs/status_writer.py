"""Writes the status of scheduled runs under an optimistic lock, at most once a second for each run (status_pace.py)."""

import contextlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from tradewind.cache.resources import DAGRUNS, DagRunObject
from tradewind.controller.pods.tries import Tries
from tradewind.controller.runs.record import Detail, Record, Written, recorded
from tradewind.controller.runs.status_pace import WRITE_EVERY, StatusPace, cost_of_write
from tradewind.controller.runs.table import RunTable, read_run
from tradewind.controller.term import Term
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase
from tradewind.engine.status.size import DOES_NOT_FIT, TOO_LARGE
from tradewind.kube.backoff import Backoff
from tradewind.kube.clock import whole_second
from tradewind.kube.errors import ApiError, KubeError
from tradewind.kube.objects import Key
from tradewind.kube.persist import keep_trying

log = logging.getLogger(__name__)

FIRST_WRITE_AFTER = 0.1
"""Seconds for which changes are collected before status is written."""

_PASSING: dict[str, Any] = {"reason": None, "message": None, "params": None}
"""Optional fields of status: a merge patch keeps fields that it does not name."""


class WriteHandler(Protocol):
    """Handles the outcomes of writes."""

    def final_status_written(self, record: Record) -> None:
        """The final status of a run is written."""
        ...

    def deleted(self, key: Key, uid: str) -> None:
        """A run was deleted."""
        ...

    def reload(self, record: Record, found: DagRunObject) -> None:
        """Another controller has written the status that `found` has."""
        ...


class StatusWriter:
    """Writes the status of runs when they change."""

    def __init__(
        self,
        term: Term,
        table: RunTable,
        tries: Tries,
        outcomes: WriteHandler,
        *,
        in_turn: Callable[[Key], contextlib.AbstractAsyncContextManager[Any]],
    ) -> None:
        """`in_turn(dag)` is held while a run's final status is written."""
        self._client, self._writer, self._cluster = term.client, term.writer, term.cluster
        self._scheduler, self._clock, self._spawn, self._wake = term.scheduler, term.clock, term.spawn, term.wake
        self._table, self._tries, self._outcomes, self._in_turn = table, tries, outcomes, in_turn
        self._pace, self._pace_of_queued = StatusPace(term.clock), StatusPace(term.clock)
        """Separate, so that a long queue does not delay the status of running runs, nor the other way round."""

    def schedule(self, state: RunState) -> None:
        """Write the status of a run soon; at once if it is finished."""
        record = self._table.records.get(state.info.uid)
        if record is None:
            return
        record.dirty.set()
        if state.finished:
            record.finished.set()
        if record.writer is None or record.writer.done():
            again = partial(self.schedule, state)
            record.writer = self._spawn(self._keep_written(record), f"status {record.key[0]}/{record.key[1]}", again)

    async def flush(self) -> None:
        """Write all changes that are not written yet: this leader is about to stop."""
        for record in list(self._table.records.values()):
            if record.dirty.is_set() or record.state.changed:
                try:
                    async with record.turn:
                        while await self._write(record) is Written.NOT_YET:
                            pass
                except KubeError as error:  # no keep_trying: there is no time for it
                    message = "cannot write the status of DagRun %s/%s: %s; the next leader restores it from the Pods"
                    log.warning(message, *record.key, error)

    async def _keep_written(self, record: Record) -> None:
        """Write the status until it is up to date or the run is dropped; `schedule` starts this again."""
        pace = self._pace_of_queued if record.state.phase is RunPhase.QUEUED else self._pace
        await pace.wait(FIRST_WRITE_AFTER, record.write_cost, record.finished)
        what, backoff = f"write the status of DagRun {record.key[0]}/{record.key[1]}", Backoff(0.5, 15.0)
        attempt = partial(self._write_in_turn, record)
        while record.dirty.is_set():
            written = await keep_trying(attempt, what, backoff, on_error=lambda error: record.dirty.set())
            if written is Written.NOT_YET:
                record.dirty.set()
            elif written is Written.LAST:
                self._outcomes.final_status_written(record)
                return
            elif written is Written.YES:
                await pace.wait(WRITE_EVERY, record.write_cost, record.finished)
            else:
                return

    async def _write_in_turn(self, record: Record) -> Written:
        """Write once, in the Dag's turn if the run is finished. Raises KubeError."""
        record.dirty.clear()
        info, last = record.state.info, record.state.finished
        in_turn = self._in_turn((info.namespace, info.dag)) if last else contextlib.nullcontext()
        async with in_turn, record.turn:
            written = await self._write(record)
        return Written.LAST if last and written is Written.YES else written

    async def _write(self, record: Record) -> Written:
        """Write once. Raises KubeError."""
        state, recorded_pods = record.state, recorded(record, self._cluster)
        state.changed = False
        status = record.status()
        record.ours = [*record.ours[:1], status]
        record.writing = True
        body = {"metadata": {"resourceVersion": record.resource_version}, "status": _PASSING | status}
        started = self._clock.monotonic()
        try:
            answer = await self._writer.patch(DAGRUNS, *record.key, body, subresource="status")
        except ApiError as error:
            if error.is_not_found:
                self._outcomes.deleted(record.key, state.info.uid)
                return Written.NEVER
            if error.is_conflict:
                return await self._after_conflict(record)
            if error.is_too_large and record.shorten():
                if record.detail is Detail.LEAST:
                    self._scheduler.fail(state.info.uid, TOO_LARGE, DOES_NOT_FIT, whole_second(self._clock.now()))
                    self._wake()
                return Written.NOT_YET
            raise
        finally:
            record.writing = False
        record.write_cost = cost_of_write(self._clock.monotonic() - started, len(status["tasks"]))
        record.resource_version = max(record.resource_version, answer["metadata"]["resourceVersion"], key=int)
        record.ours = [status]
        record.finished_pods -= recorded_pods
        for name in sorted(recorded_pods):
            pod = self._cluster.pod(state.info.uid, name)
            if pod is not None:
                self._spawn(self._tries.release(pod), f"release {name}")
        return Written.YES

    async def _after_conflict(self, record: Record) -> Written:
        """Read the object that someone else changed. If its status changed, reload the run from it."""
        key, uid = record.key, record.state.info.uid
        fresh = await read_run(self._client, key)
        status = fresh.decoded_status()
        if fresh.metadata.uid == uid and status in record.ours:
            record.resource_version = fresh.metadata.resource_version
            return Written.NOT_YET
        if not self._table.has(record):
            return Written.NEVER
        if fresh.metadata.uid != uid:
            self._outcomes.deleted(key, uid)
            return Written.NEVER
        self._outcomes.reload(record, fresh)
        return Written.NEVER
