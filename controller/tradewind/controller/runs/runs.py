"""The DagRuns that this leader schedules, from loading until their final status is written.

A run is loaded from its status and its Pods (loading.py), by a new leader and also after a write conflict with another
controller. Its state is written to its status (status_writer.py).
"""

import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from tradewind.api import names
from tradewind.cache.observation import is_finished
from tradewind.cache.resources import DagRunObject, PodObject
from tradewind.controller.dags.revisions import Revision
from tradewind.controller.pods.tries import Tries
from tradewind.controller.runs.events import RunEvents
from tradewind.controller.runs.loading import RunLoader
from tradewind.controller.runs.record import Record, keep_up, may_not_start, version_of
from tradewind.controller.runs.status_writer import StatusWriter
from tradewind.controller.runs.table import RunTable, read_run
from tradewind.controller.runs.versions import RunVersions
from tradewind.controller.term import Term
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.run.slots import Slots
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import FINISHED_PHASES
from tradewind.engine.status.restore import load
from tradewind.kube.objects import Key

log = logging.getLogger(__name__)


class Runs:
    """The runs that this leader schedules."""

    def __init__(
        self,
        term: Term,
        versions: RunVersions,
        tries: Tries,
        events: RunEvents,
        *,
        in_turn: Callable[[Key], contextlib.AbstractAsyncContextManager[Any]],
        find_previous: Callable[[RunInfo], Awaitable[None]],
    ) -> None:
        """`in_turn(dag)` is held while a run's final status is written; `find_previous(run)` is awaited before a run
        that depends on previous runs is scheduled."""
        self._client, self._cluster, self._scheduler = term.client, term.cluster, term.scheduler
        self._spawn, self._wake, self._on_failure = term.spawn, term.wake, term.on_failure
        self._tries, self._events = tries, events
        self._table = RunTable(term.cluster)
        self.records = self._table.records
        """By UID."""
        self._status = StatusWriter(term, self._table, tries, self, in_turn=in_turn)
        self._loader = RunLoader(
            term,
            self._table,
            versions,
            tries,
            events,
            look=self.pod_changed,
            in_turn=in_turn,
            find_previous=find_previous,
        )

    # Changes of DagRuns -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start to load runs. Call this when `changed` was called for the existing ones."""
        self._loader.start()

    async def loaded(self, *, started: bool = False) -> None:
        """Wait until all runs are loaded; with `started`, all that have started."""
        await self._loader.loaded(started=started)

    def changed(self, key: Key) -> None:
        """Reconcile a DagRun with the cache."""
        found = self._table.newest(key)
        known = self._table.uid(key)
        if known is not None and (found is None or found.metadata.uid != known):
            self._drop(key, known)
        if found is None:
            return
        record = self.records.get(found.metadata.uid)
        if record is not None:
            keep_up(record, found)
            self._suspend(record)
            self._observe_generation(record, found)
        elif found.metadata.uid not in self._loader:
            self._loader.add(key, found)

    def dag_changed(self, dag: Key) -> None:
        """Load the runs that waited for a Dag, which was added or accepted."""
        for key in self._loader.take_waiting_for(dag):
            found = self._table.newest(key)
            if found is not None and found.metadata.uid not in self.records:
                self.changed(key)

    def freeze(self, record: Record, frozen: bool) -> None:
        """Freeze a run while a request is executed: no task starts."""
        record.frozen = frozen
        if self._table.has(record):
            self._suspend(record)

    def _suspend(self, record: Record) -> None:
        found = self._table.newest(record.key)
        suspended = record.frozen or (found is not None and may_not_start(found, record.state))
        if suspended != record.state.suspended:
            self._scheduler.suspend(record.state.info.uid, suspended)
            self._wake()

    def _observe_generation(self, record: Record, found: DagRunObject) -> None:
        """Schedule a write of observedGeneration after the spec changed."""
        if found.metadata.generation > record.generation and not found.metadata.deletion_timestamp:
            record.generation = found.metadata.generation
            record.state.changed = True
            self._status.schedule(record.state)

    def _drop(self, key: Key, uid: str) -> None:
        """Handle a run that was deleted, or that another controller finished."""
        self._scheduler.remove_run(uid)
        record = self._table.remove(key, uid)
        if record is not None and not record.state.finished:
            record.stop_writing()
        self._loader.discard(uid)
        self._wake()

    # Status -------------------------------------------------------------------------------------------------------

    def schedule_status_write(self, state: RunState) -> None:
        """Write the status of a run soon."""
        self._status.schedule(state)

    async def flush(self) -> None:
        """Write all changes that are not written yet: this leader is about to stop."""
        await self._status.flush()

    def final_status_written(self, record: Record) -> None:
        """Handle a run whose final status is written."""
        uid, version = record.state.info.uid, int(record.resource_version)
        self._table.note_finished(record.key, uid, version)
        self._scheduler.remove_run(uid)
        self._table.remove(record.key, uid)
        self._events.run_finished(record.state, version)
        self._wake()

    def deleted(self, key: Key, uid: str) -> None:
        """Handle a run that was deleted."""
        self._drop(key, uid)
        self._table.note_finished(key, uid)

    # Pods ---------------------------------------------------------------------------------------------------------

    def pod_changed(self, run_uid: str, pod: PodObject) -> None:
        """Note a finished protected Pod, whose finalizer is removed once status has its result. Stop a Pod that still
        runs although its try is not needed any more, or in which only sidecars run."""
        record = self.records.get(run_uid)
        if record is None:
            return
        if names.FINALIZER_RESULT in pod.metadata.finalizers and is_finished(pod):
            record.finished_pods.add(pod.metadata.name)
            record.state.changed = True
            self._status.schedule(record.state)
        self._end_unwanted(record.state, pod)

    def _end_unwanted(self, state: RunState, pod: PodObject) -> None:
        if (ending := self._tries.ending(state, pod)) is not None:
            self._spawn(ending, f"end {pod.metadata.name}")

    # Reloading ----------------------------------------------------------------------------------------------------

    def failed(self, uid: str, error: Exception) -> None:
        """Reload a run from its written status after an unexpected error in scheduling it."""
        record = self.records.get(uid)
        if record is not None and not record.failed:
            record.failed = True
            name = f"schedule DagRun {record.key[0]}/{record.key[1]}"
            self._on_failure(name, error, partial(self._start_reload, record))

    def _start_reload(self, record: Record) -> None:
        again = partial(self._start_reload, record)
        self._spawn(self._read_and_reload(record), f"reload DagRun {record.key[0]}/{record.key[1]}", again)

    async def _read_and_reload(self, record: Record) -> None:
        # Until then the run keeps its slots.
        key = record.key
        if not self._table.has(record):
            return
        fresh = await read_run(self._client, key)
        if self._table.has(record):
            record.stop_writing()
            self.reload(record, fresh)

    def reload(self, record: Record, found: DagRunObject) -> None:
        """Discard the state of a run and load it from `found`: another controller has written its status, or scheduling
        it failed."""
        key, uid = record.key, record.state.info.uid
        why = "scheduling it failed" if record.failed else "another controller has changed its status"
        log.info("reloading DagRun %s/%s: %s", *key, why)
        self._table.remove(key, uid)
        if found.decoded_status().get("phase") in FINISHED_PHASES:
            self._table.note_finished(key, uid, version_of(found))
            self._scheduler.remove_run(uid)
            self._wake()
        else:
            self._table.note_response(key, found)
            self.changed(key)

    def replace(
        self, record: Record, found: DagRunObject, info: RunInfo, revision: Revision, status: Mapping[str, Any]
    ) -> None:
        """Continue a run from a status that the holder of its turn has written; `found` has the version of that
        write."""
        key, uid = record.key, info.uid
        record.stop_writing()
        # The watch may have delivered that it finished or was deleted before the response to that write arrived.
        known = self._table.remove(key, uid)
        if status["phase"] not in FINISHED_PHASES and known is record:
            self._loader.schedule(key, found, self._loader.state(info, revision, status), status)
            return
        self._scheduler.remove_run(uid)
        if status["phase"] not in FINISHED_PHASES:
            self.changed(key)
            return
        self._table.note_finished(key, uid, version_of(found))
        state = load(info, revision.dag, Slots(), status=status, graph=revision.graph)
        for pod in list(self._cluster.pods.get(uid, {}).values()):
            self._end_unwanted(state, pod)
        self._events.run_finished(state, version_of(found))
        self._wake()
