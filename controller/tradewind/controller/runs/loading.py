"""Loads runs into the scheduler: from their status, and from what their Pods say."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from tradewind.aio.off_loop import off_loop
from tradewind.api.validation.params import check_params
from tradewind.cache.cluster import Observed
from tradewind.cache.ended_runs import place_in_queue
from tradewind.cache.resources import DagRunObject, PodObject
from tradewind.controller.dags.revisions import Revision
from tradewind.controller.pods.tries import Tries
from tradewind.controller.runs.events import RunEvents
from tradewind.controller.runs.load_queue import LoadQueue
from tradewind.controller.runs.record import Record, may_not_start
from tradewind.controller.runs.run_pods import catch_up, look_at_pods, observe_pods
from tradewind.controller.runs.table import RunTable
from tradewind.controller.runs.unscheduled import UnscheduledRuns
from tradewind.controller.runs.versions import RunVersions, Waiting, parse_spec
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
    """The runs that are to be loaded."""

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
        """`look(run_uid, pod)` is called with each Pod of a run that is loaded; `in_turn(dag)` is held while the end of
        a run is written; `find_previous(run)` is awaited before one is scheduled that asks for the runs before it."""
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
        """Begin: those that there are have been added."""
        self._queue.start()

    def __contains__(self, uid: str) -> bool:
        return uid in self._queue

    def add(self, key: Key, found: DagRunObject) -> None:
        """Load a run soon."""
        uid = found.metadata.uid
        self._table.expect(key, uid)
        begun = uid in self._cluster.pods or found.phase == RunPhase.RUNNING
        self._queue.add(key, uid, begun=begun, place=place_in_queue(found))

    def discard(self, uid: str) -> None:
        """The run is gone, or somebody else ended it."""
        # That a run which is refused has ended may be heard before the answer to that write.
        self._queue.discard(uid, cancel=uid not in self._refusing)
        self._retries.pop(uid, None)

    async def loaded(self, *, begun: bool) -> None:
        """Return once no run, or none that has `begun`, is left to be loaded."""
        await self._queue.loaded(begun=begun)

    def waiting_for(self, dag: Key) -> set[Key]:
        """Runs that could not be loaded without their Dag, which has come; each is to be told once."""
        return self._waiting.pop(dag, set())

    # One run ------------------------------------------------------------------------------------------------------

    async def _load(self, key: Key, uid: str) -> float | None:
        """Load a run, or say why not; the seconds after which that is to be tried again."""
        try:
            while (found := self._table.newest(key)) is not None and found.metadata.uid == uid:
                try:
                    await self._load_once(key, found)
                except Waiting as waiting:
                    self._scheduler.remove_run(uid)
                    await self._unscheduled.say_waiting(key, found, waiting)
                    if waiting.dag is not None and key not in self._waiting.get(waiting.dag, ()):
                        continue  # it came while that was said
                break
        except SteppedDown:
            return None
        except KubeError as error:  # no keep_trying: others are loaded meanwhile; the queue has it again later
            log.warning("cannot load DagRun %s/%s: %s", *key, error)
            return self._retry_in(uid)
        except Exception as error:  # whatever is wrong with one run must not cost more than that run
            await self._cannot_load(key, uid, error)
            return self._retry_in(uid)
        finally:
            self._refusing.discard(uid)
        self._retries.pop(uid, None)
        return None

    def _retry_in(self, uid: str) -> float:
        return self._retries.setdefault(uid, Backoff(0.5, 30.0)).next()

    async def _cannot_load(self, key: Key, uid: str, error: Exception) -> None:
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
        except Waiting as waiting:
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
        """A run as its status says."""
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
        """Schedule a run from now on, as it is by status and by its Pods."""
        uid = state.info.uid
        # One that is loaded anew was scheduled until now by what was known of it: the slots that it holds are not free.
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
