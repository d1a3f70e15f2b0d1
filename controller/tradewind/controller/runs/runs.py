"""DagRuns: those that this leader schedules, from when they are loaded until their end is written.

A run is loaded from its status and from what its Pods say (loading.py), which is also how a new leader or a lost write
conflict is dealt with. What becomes of it is written into its status (status_writer.py).
"""

import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from tradewind.api import names
from tradewind.cache.observation import is_over
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
        """`in_turn(dag)` is held while the end of a run is written; `find_previous(run)` is awaited before one is
        scheduled that asks for the runs before it."""
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

    # Coming and going ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to load runs: `changed` was called for those that there are."""
        self._loader.start()

    async def loaded(self, *, begun: bool = False) -> None:
        """Return once no run, or none that has `begun`, is left to be loaded."""
        await self._loader.loaded(begun=begun)

    def changed(self, key: Key) -> None:
        """Something about a DagRun is new; look at what is in the cache."""
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
            self._observe(record, found)
        elif found.metadata.uid not in self._loader:
            self._loader.add(key, found)

    def dag_changed(self, dag: Key) -> None:
        """A Dag came or was accepted: runs that waited for it can be loaded."""
        for key in self._loader.waiting_for(dag):
            found = self._table.newest(key)
            if found is not None and found.metadata.uid not in self.records:
                self.changed(key)

    def freeze(self, record: Record, frozen: bool) -> None:
        """While a run is frozen nothing of it starts: what is asked of it is being carried out."""
        record.frozen = frozen
        if self._table.has(record):
            self._suspend(record)

    def _suspend(self, record: Record) -> None:
        found = self._table.newest(record.key)
        suspended = record.frozen or (found is not None and may_not_start(found, record.state))
        if suspended != record.state.suspended:
            self._scheduler.suspend(record.state.info.uid, suspended)
            self._wake()

    def _observe(self, record: Record, found: DagRunObject) -> None:
        """Status says of which generation of the spec it speaks."""
        if found.metadata.generation > record.generation and not found.metadata.deletion_timestamp:
            record.generation = found.metadata.generation
            record.state.changed = True
            self._status.schedule(record.state)

    def _drop(self, key: Key, uid: str) -> None:
        """The run is gone, or somebody else ended it."""
        self._scheduler.remove_run(uid)
        record = self._table.remove(key, uid)
        if record is not None and not record.state.finished:
            record.stop_writing()
        self._loader.discard(uid)
        self._wake()

    # Status -------------------------------------------------------------------------------------------------------

    def schedule_status_write(self, state: RunState) -> None:
        """Something happened in a run."""
        self._status.schedule(state)

    async def flush(self) -> None:
        """Write what is not written yet: this leader is about to go."""
        await self._status.flush()

    def end_written(self, record: Record) -> None:
        """The run has finished, and its status says so."""
        uid, version = record.state.info.uid, int(record.resource_version)
        self._table.note_finished(record.key, uid, version)
        self._scheduler.remove_run(uid)
        self._table.remove(record.key, uid)
        self._events.run_finished(record.state, version)
        self._wake()

    def gone(self, key: Key, uid: str) -> None:
        """There is no such run any more."""
        self._drop(key, uid)
        self._table.note_finished(key, uid)

    # Pods ---------------------------------------------------------------------------------------------------------

    def pod_changed(self, run_uid: str, pod: PodObject) -> None:
        """Note a protected Pod that is over: it is let go once status has its result. End one that goes on though
        nobody waits for its try any more, or only what is beside its task."""
        record = self.records.get(run_uid)
        if record is None:
            return
        if names.FINALIZER_RESULT in pod.metadata.finalizers and is_over(pod):
            record.over.add(pod.metadata.name)
            record.state.changed = True
            self._status.schedule(record.state)
        self._end_unwanted(record.state, pod)

    def _end_unwanted(self, state: RunState, pod: PodObject) -> None:
        if (ending := self._tries.ending(state, pod)) is not None:
            self._spawn(ending, f"end {pod.metadata.name}")

    # From another status -----------------------------------------------------------------------------------------

    def failed(self, uid: str, error: Exception) -> None:
        """A run that is scheduled cannot be worked on: it is loaded again, from what is written of it."""
        record = self.records.get(uid)
        if record is not None and not record.failed:
            record.failed = True
            name = f"work on DagRun {record.key[0]}/{record.key[1]}"
            self._on_failure(name, error, partial(self._load_failed_again, record))

    def _load_failed_again(self, record: Record) -> None:
        again = partial(self._load_failed_again, record)
        self._spawn(self._load_failed(record), f"load DagRun {record.key[0]}/{record.key[1]} again", again)

    async def _load_failed(self, record: Record) -> None:
        """It keeps the slots that it has until then."""
        key = record.key
        if not self._table.has(record):
            return
        fresh = await read_run(self._client, key)
        if self._table.has(record):
            record.stop_writing()
            self.load_again(record, fresh)

    def load_again(self, record: Record, found: DagRunObject) -> None:
        """What we know of a run is of no use: another controller has written its status, or it could not be gone on
        with."""
        key, uid = record.key, record.state.info.uid
        log.info("loading DagRun %s/%s again%s", *key, "" if record.failed else ": another controller has changed it")
        self._table.remove(key, uid)
        if found.decoded_status().get("phase") in FINISHED_PHASES:
            self._table.note_finished(key, uid, version_of(found))
            self._scheduler.remove_run(uid)
            self._wake()
        else:
            self._table.note_answer(key, found)
            self.changed(key)

    def replace(
        self, record: Record, found: DagRunObject, info: RunInfo, revision: Revision, status: Mapping[str, Any]
    ) -> None:
        """Go on with a run from a status that somebody who holds its turn has written; `found` has its version."""
        key, uid = record.key, info.uid
        record.stop_writing()
        # That it has ended, or was deleted, may have been heard before the answer to that write.
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
