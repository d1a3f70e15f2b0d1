"""Loads runs into the scheduler, from their status and their Pods."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from tradewind.aio.off_loop import off_loop
from tradewind.api.validation.params import check_params
from tradewind.cache.caches import Observed
from tradewind.cache.finished_runs import place_in_queue
from tradewind.cache.resources import DagRunObject, PodObject
from tradewind.controller.dags.revisions import Revision
from tradewind.controller.pods.tries import Tries
from tradewind.controller.runs.events import RunEvents
from tradewind.controller.runs.load_queue import LoadQueue
from tradewind.controller.runs.record import Record, may_not_start
from tradewind.controller.runs.run_pods import catch_up, look_at_pods, observe_pods
from tradewind.controller.runs.table import RunTable
from tradewind.controller.runs.unscheduled import UnscheduledRuns
from tradewind.controller.runs.versions import RunPending, RunVersions, parse_spec
from tradewind.controller.term import Term
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase
from tradewind.engine.status.restore import load, unfold
from tradewind.engine.transitions import run_lifecycle
from tradewind.kube.backoff import Backoff
from tradewind.kube.clock import whole_second
from tradewind.kube.errors import KubeError, SteppedDown
from tradewind.kube.objects import Key
from tradewind.kube.working_on import working_on

log = logging.getLogger(__name__)


class RunLoader:
    """Loads runs."""

    def __init__(
        self,
        term: Term,
        table: RunTable,
        versions: RunVersions,
        tries: Tries,
        events: RunEvents,
        *,
        look: Callable[[str, PodObject], None],
        in_turn: Callable[[Key], contextlib.AbstractAsyncContextManager[Any]],
        find_previous: Callable[[RunInfo], Awaitable[None]],
    ) -> None:
        """`look(run_uid, pod)` is called with each Pod of a loaded run; `in_turn(dag)` is held while a run's final
        status is written; `find_previous(run)` is awaited before a run that depends on previous runs is scheduled."""
        self._cluster, self._scheduler, self._clock = term.cluster, term.scheduler, term.clock
        self._spawn, self._wake, self._on_failure = term.spawn, term.wake, term.on_failure
        self._table, self._versions, self._tries, self._events = table, versions, tries, events
        self._look, self._find_previous = look, find_previous
        self._queue = LoadQueue(self._load, spawn=term.spawn)
        self._retries: dict[str, Backoff] = {}
        self._unscheduled = UnscheduledRuns(term, events, in_turn=in_turn)
        self._refusing: set[str] = set()
        self._waiting: dict[Key, set[Key]] = {}
        """Runs that wait for their Dag, by the key of the Dag."""

    def start(self) -> None:
        """Start to load runs. Call this when the existing runs are added."""
        self._queue.start()

    def __contains__(self, uid: str) -> bool:
        return uid in self._queue

    def add(self, key: Key, found: DagRunObject) -> None:
        """Enqueue a run to be loaded."""
        uid = found.metadata.uid
        self._table.expect(key, uid)
        started = uid in self._cluster.pods or found.phase == RunPhase.RUNNING
        self._queue.add(key, uid, started=started, place=place_in_queue(found))

    def discard(self, uid: str) -> None:
        """Handle a run that was deleted, or that another controller finished."""
        # The watch may deliver that a refused run is finished before the response to that write arrives.
        self._queue.discard(uid, cancel=uid not in self._refusing)
        self._retries.pop(uid, None)

    async def loaded(self, *, started: bool) -> None:
        """Wait until all runs are loaded; with `started`, all that have started."""
        await self._queue.loaded(started=started)

    def take_waiting_for(self, dag: Key) -> set[Key]:
        """Remove and return the runs that wait for this Dag to be loaded."""
        return self._waiting.pop(dag, set())

    # One run ------------------------------------------------------------------------------------------------------

    async def _load(self, key: Key, uid: str) -> float | None:
        """Load a run, or write to its status why it waits. Return the seconds until the next attempt if it failed."""
        try:
            while (found := self._table.newest(key)) is not None and found.metadata.uid == uid:
                try:
                    await self._load_once(key, found)
                except RunPending as waiting:
                    self._scheduler.remove_run(uid)
                    await self._unscheduled.say_waiting(key, found, waiting)
                    if waiting.dag is not None and key not in self._waiting.get(waiting.dag, ()):
                        continue  # the Dag arrived meanwhile
                break
        except SteppedDown:
            return None
        except KubeError as error:  # no keep_trying: the queue retries, and loads other runs meanwhile
            pause = self._retry_in(uid)
            log.warning("cannot load DagRun %s/%s: %s; retrying in %.1f s", *key, error, pause)
            return pause
        except Exception as error:  # a run that cannot be loaded must not stop the others
            await self._loading_failed(key, uid, error)
            return self._retry_in(uid)
        finally:
            self._refusing.discard(uid)
        self._retries.pop(uid, None)
        return None

    def _retry_in(self, uid: str) -> float:
        return self._retries.setdefault(uid, Backoff(0.5, 30.0)).next()

    async def _loading_failed(self, key: Key, uid: str, error: Exception) -> None:
        self._on_failure(f"load DagRun {key[0]}/{key[1]}", error)
        found = self._table.newest(key)
        if found is None or found.metadata.uid != uid:
            return
        with contextlib.suppress(KubeError):
            await self._unscheduled.say_failed(key, found, error)

    async def _load_once(self, key: Key, found: DagRunObject) -> None:
        async with self._queue.piece():
            with working_on("DagRun", key):
                status = found.decoded_status()
                spec, problems = parse_spec(found)
        if spec is None:
            await self._unscheduled.claim(key, found, found.dag)
            self._refusing.add(found.metadata.uid)
            await self._unscheduled.reject(key, found, problems)
            return
        try:
            revision = await self._versions.of(found, spec, status)
        except RunPending as waiting:
            if waiting.dag is not None:
                self._waiting.setdefault(waiting.dag, set()).add(key)
            raise
        if not status.get("startedAt"):
            await self._unscheduled.claim(key, found, spec.dag)
            problems = await off_loop(key[0], partial(check_params, revision.spec.params or {}, spec.params or {}))
            if problems:
                self._refusing.add(found.metadata.uid)
                await self._unscheduled.reject(key, found, problems)
                return
        info = self._versions.info(found, spec, status, revision, self._clock.now())
        if revision.dag.needs_previous_runs:
            await self._find_previous(info)
        observed = await observe_pods(self._cluster, info.uid, self._queue.piece)
        async with self._queue.piece():
            with working_on("DagRun", key):
                state = self.state(info, revision, status, unfolded=False)
        try:
            await self._queue.work(key, unfold(state))
            if not state.folded:
                await self._queue.turn()
        except asyncio.CancelledError:
            self._scheduler.abandon(state)
            raise
        with working_on("DagRun", key):
            self.schedule(key, found, state, status, observed)

    def state(self, info: RunInfo, revision: Revision, status: Mapping[str, Any], *, unfolded: bool = True) -> RunState:
        """Return a run restored from its status."""
        variables = partial(self._cluster.variables, info.namespace)
        slots, graph = self._scheduler.slots, revision.graph
        return load(info, revision.dag, slots, status=status, graph=graph, variables=variables, unfolded=unfolded)

    def schedule(
        self,
        key: Key,
        found: DagRunObject,
        state: RunState,
        status: Mapping[str, Any],
        observed: Observed | None = None,
    ) -> None:
        """Add a run to the scheduler, with the state in its status and the results of its Pods."""
        uid = state.info.uid
        # A run that is reloaded was scheduled until now, so that the slots that it holds were never free.
        self._scheduler.remove_run(uid)
        reports = self._cluster.reports(uid, observed)
        try:
            run_lifecycle.suspend(state, may_not_start(self._table.newest(key) or found, state))
            self._scheduler.introduce(state)
            catch_up(state, reports, whole_second(self._clock.now()))
        except Exception:
            self._scheduler.abandon(state)
            raise
        generation = max(found.metadata.generation, status.get("observedGeneration") or 0)
        self._table.add(Record(key, state, found.metadata.resource_version, generation, ours=[status]))
        self._scheduler.add_run(state)
        for missing in state.missing(report.key for report in reports):
            work = self._tries.confirm_missing(state.info, missing)
            self._spawn(work, f"confirm {state.info.name}/{missing.instance}")
        pods = list(self._cluster.pods.get(uid, ()))
        if pods:
            look = look_at_pods(self._cluster, uid, pods, self._look, self._queue.piece)
            self._spawn(look, f"Pods of {key[0]}/{key[1]}")
        self._events.run_loaded(state)
        self._wake()
