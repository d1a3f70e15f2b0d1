"""DagRuns: loading them into the scheduler, and writing their status.

A run is loaded from its status and from what its Pods say, which is also how a new leader or a lost write conflict is
dealt with. Status is written with an optimistic lock, a few times a second at most, however much happens.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from tradewind.aio.off_loop import off_loop
from tradewind.api import names
from tradewind.api.validation.params import check_params
from tradewind.cache.cluster import Observed
from tradewind.cache.ended_runs import place_in_queue
from tradewind.cache.observation import is_over
from tradewind.cache.resources import DAGRUNS, DagRunObject, PodObject
from tradewind.controller.dags.revisions import Revision
from tradewind.controller.pods.tries import Tries
from tradewind.controller.runs.events import RunEvents
from tradewind.controller.runs.load_queue import LoadQueue
from tradewind.controller.runs.record import Detail, Record, Written, keep_up, may_not_start, recorded, version_of
from tradewind.controller.runs.run_pods import catch_up, look_at_pods, observe_pods
from tradewind.controller.runs.status_pace import WRITE_EVERY, StatusPace, cost_of_write
from tradewind.controller.runs.unscheduled import UnscheduledRuns
from tradewind.controller.runs.versions import RunVersions, Waiting, parse_spec
from tradewind.controller.term import Term
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.run.slots import Slots
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import FINISHED_PHASES, RunPhase
from tradewind.engine.status.size import DOES_NOT_FIT, TOO_LARGE
from tradewind.kube.backoff import Backoff
from tradewind.kube.clock import whole_second
from tradewind.kube.errors import ApiError, KubeError, SteppedDown
from tradewind.kube.objects import Key
from tradewind.kube.persist import keep_trying
from tradewind.kube.working_on import working_on

log = logging.getLogger(__name__)

FIRST_WRITE_AFTER = 0.1
"""Seconds in which changes are gathered before status is written."""

_PASSING: dict[str, Any] = {"reason": None, "message": None, "params": None}
"""What status does not always have: a merge patch keeps what it does not name."""


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
        self.records: dict[str, Record] = {}
        self._writer, self._cluster, self._scheduler = term.writer, term.cluster, term.scheduler
        self._clock, self._spawn, self._wake, self._on_failure = term.clock, term.spawn, term.wake, term.on_failure
        self._versions, self._tries, self._events = versions, tries, events
        self._in_turn, self._find_previous = in_turn, find_previous
        self._pace, self._pace_of_queued = StatusPace(term.clock), StatusPace(term.clock)
        """A queue may be long: what is said of it does not wait with what runs, nor the other way round."""
        self._loads = LoadQueue(self._load, spawn=term.spawn)
        self._retries: dict[str, Backoff] = {}
        self._unscheduled = UnscheduledRuns(term, events, in_turn=in_turn)
        self._refusing: set[str] = set()
        self._uids: dict[Key, str] = {}
        self._waiting: dict[Key, set[Key]] = {}
        """Runs that wait for their Dag, by the key of the Dag."""
        self._fresh: dict[Key, DagRunObject] = {}
        """Runs as an answer showed them, where the cache may not have caught up yet."""
        self._over: dict[Key, tuple[str, float]] = {}
        """Runs that the cache has though they are over: UID, and version with which they ended."""

    # Coming and going ---------------------------------------------------------------------------------------------

    def changed(self, key: Key) -> None:
        """Something about a DagRun is new; look at what is in the cache."""
        found = self._newest(key)
        known = self._uids.get(key)
        if known is not None and (found is None or found.metadata.uid != known):
            self._drop(key, known)
        if found is None:
            return
        uid = found.metadata.uid
        record = self.records.get(uid)
        if record is not None:
            keep_up(record, found)
            self._suspend(record)
            self._observe(record, found)
        elif uid not in self._loads:
            self._uids[key] = uid
            begun = uid in self._cluster.pods or found.phase == RunPhase.RUNNING
            self._loads.add(key, uid, begun=begun, place=place_in_queue(found))

    def _newest(self, key: Key) -> DagRunObject | None:
        """A run by the cache, or by what we were answered since; None if it is gone, or over."""
        found, fresh, over = self._cluster.runs.get(key), self._fresh.get(key), self._over.get(key)
        if over is not None:
            if found is not None and found.metadata.uid == over[0] and version_of(found) < over[1]:
                return None
            del self._over[key]
        if fresh is None:
            return found
        if found is None or found.metadata.uid != fresh.metadata.uid or version_of(found) >= version_of(fresh):
            del self._fresh[key]
            return found
        return fresh

    def hold(self, record: Record, held: bool) -> None:
        """While it is held nothing of a run starts: what is asked of it is being carried out."""
        record.held = held
        if self.records.get(record.state.info.uid) is record:
            self._suspend(record)

    def _suspend(self, record: Record) -> None:
        found = self._newest(record.key)
        suspended = record.held or (found is not None and may_not_start(found, record.state))
        if suspended != record.state.suspended:
            self._scheduler.suspend(record.state.info.uid, suspended)
            self._wake()

    def _observe(self, record: Record, found: DagRunObject) -> None:
        """Status says of which generation of the spec it speaks."""
        if found.metadata.generation > record.generation and not found.metadata.deletion_timestamp:
            record.generation = found.metadata.generation
            record.state.changed = True
            self.mark(record.state)

    def start(self) -> None:
        """Begin to load runs: `changed` was called for those that there are."""
        self._loads.start()

    async def loaded(self, *, begun: bool = False) -> None:
        """Return once no run, or none that has `begun`, is left to be loaded."""
        await self._loads.loaded(begun=begun)

    def dag_changed(self, dag: Key) -> None:
        """A Dag came or was accepted: runs that waited for it can be loaded."""
        for key in self._waiting.pop(dag, set()):
            found = self._newest(key)
            if found is not None and found.metadata.uid not in self.records:
                self.changed(key)

    def _drop(self, key: Key, uid: str) -> None:
        """The run is gone, or somebody else ended it."""
        self._uids.pop(key, None)
        self._scheduler.remove_run(uid)
        record = self.records.pop(uid, None)
        if record is not None and not record.state.finished:
            record.stop_writing()
        # That a run which is refused has ended may be heard before the answer to that write.
        self._loads.discard(uid, cancel=uid not in self._refusing)
        self._retries.pop(uid, None)
        self._wake()

    # Loading ------------------------------------------------------------------------------------------------------

    async def _load(self, key: Key, uid: str) -> float | None:
        """Load a run, or say why not; the seconds after which that is to be tried again."""
        try:
            while (found := self._newest(key)) is not None and found.metadata.uid == uid:
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
        found = self._newest(key)
        if found is None or found.metadata.uid != uid:
            return
        with contextlib.suppress(KubeError):
            await self._unscheduled.say_failed(key, found, error)

    async def _load_once(self, key: Key, found: DagRunObject) -> None:
        async with self._loads.piece():
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
        if revision.dag.asks_for_past:
            await self._find_previous(info)
        observed = await observe_pods(self._cluster, info.uid, self._loads.piece)
        async with self._loads.piece():
            with working_on("DagRun", key):
                state = self._state(info, revision, status, unfold=False)
        try:
            await self._loads.work(key, state.unfold())
            if not state.folded:
                await self._loads.turn()
        except asyncio.CancelledError:
            self._scheduler.abandon(state)
            raise
        with working_on("DagRun", key):
            self._add(key, found, state, status, observed)

    def _state(self, info: RunInfo, revision: Revision, status: Mapping[str, Any], *, unfold: bool = True) -> RunState:
        variables = partial(self._cluster.variables, info.namespace)
        slots, graph = self._scheduler.slots, revision.graph
        return RunState(info, revision.dag, slots, status=status, graph=graph, variables=variables, unfold=unfold)

    def _add(
        self,
        key: Key,
        found: DagRunObject,
        state: RunState,
        status: Mapping[str, Any],
        observed: Observed | None = None,
    ) -> None:
        uid = state.info.uid
        # One that is loaded anew was scheduled until now by what was known of it: the slots that it holds are not free.
        self._scheduler.remove_run(uid)
        reports = self._cluster.reports(uid, observed)
        try:
            state.suspend(may_not_start(self._newest(key) or found, state))
            self._scheduler.introduce(state)
            catch_up(state, reports, whole_second(self._clock.now()))
        except Exception:
            self._scheduler.abandon(state)
            raise
        generation = max(found.metadata.generation, status.get("observedGeneration") or 0)
        self.records[uid] = Record(key, state, found.metadata.resource_version, generation, ours=[status])
        self._scheduler.add_run(state)
        for missing in state.missing(report.key for report in reports):
            work = self._tries.confirm_missing(state.info, missing)
            self._spawn(work, f"confirm {state.info.name}/{missing.instance}")
        pods = list(self._cluster.pods.get(uid, ()))
        if pods:
            look = look_at_pods(self._cluster, uid, pods, self.pod_changed, self._loads.piece)
            self._spawn(look, f"Pods of {key[0]}/{key[1]}")
        self._events.run_loaded(state)
        self._wake()

    def failed(self, uid: str, error: Exception) -> None:
        """A run that is scheduled cannot be worked on: it is loaded anew, from what is written of it."""
        record = self.records.get(uid)
        if record is not None and not record.failed:
            record.failed = True
            name = f"work on DagRun {record.key[0]}/{record.key[1]}"
            self._on_failure(name, error, partial(self._load_failed_anew, record))

    def _load_failed_anew(self, record: Record) -> None:
        again = partial(self._load_failed_anew, record)
        self._spawn(self._load_failed(record), f"load DagRun {record.key[0]}/{record.key[1]} anew", again)

    async def _load_failed(self, record: Record) -> None:
        """It keeps the slots that it has until then."""
        key, uid = record.key, record.state.info.uid
        if self.records.get(uid) is not record:
            return
        fresh = await self._unscheduled.read(key)
        if self.records.get(uid) is record:
            record.stop_writing()
            self.load_anew(record, fresh)

    def replace(
        self, record: Record, found: DagRunObject, info: RunInfo, revision: Revision, status: Mapping[str, Any]
    ) -> None:
        """Go on with a run from a status that somebody who holds its turn has written; `found` has its version."""
        key, uid = record.key, info.uid
        record.stop_writing()
        # That it has ended, or was deleted, may have been heard before the answer to that write.
        known = self.records.pop(uid, None)
        if status["phase"] not in FINISHED_PHASES and known is record:
            self._add(key, found, self._state(info, revision, status), status)
            return
        self._scheduler.remove_run(uid)
        self._uids.pop(key, None)
        if status["phase"] not in FINISHED_PHASES:
            self.changed(key)
            return
        self._is_over(key, uid, version_of(found))
        state = RunState(info, revision.dag, Slots(), status=status, graph=revision.graph)
        for pod in list(self._cluster.pods.get(uid, {}).values()):
            self._end_what_goes_on(state, pod)
        self._events.run_finished(state, version_of(found))
        self._wake()

    # Status -------------------------------------------------------------------------------------------------------

    def mark(self, state: RunState) -> None:
        """status() says something new: write it soon, and at once when the run has ended."""
        record = self.records.get(state.info.uid)
        if record is None:
            return
        record.news.set()
        if state.finished:
            record.ended.set()
        if record.writer is None or record.writer.done():
            again = partial(self.mark, state)
            record.writer = self._spawn(self._keep_written(record), f"status {record.key[0]}/{record.key[1]}", again)

    async def flush(self) -> None:
        """Write what is not written yet: this leader is about to go."""
        for record in list(self.records.values()):
            if record.news.is_set() or record.state.changed:
                try:
                    async with record.turn:
                        while await self._write(record) is Written.NOT_YET:
                            pass
                except KubeError as error:
                    log.warning("cannot write the status of DagRun %s/%s: %s", *record.key, error)

    def pod_changed(self, run_uid: str, pod: PodObject) -> None:
        """Note a protected Pod that is over: it is let go once status has its result. End one that goes on though
        nobody waits for its try any more, or only what is beside its task."""
        record = self.records.get(run_uid)
        if record is None:
            return
        if names.FINALIZER_RESULT in pod.metadata.finalizers and is_over(pod):
            record.over.add(pod.metadata.name)
            record.state.changed = True
            self.mark(record.state)
        self._end_what_goes_on(record.state, pod)

    def _end_what_goes_on(self, state: RunState, pod: PodObject) -> None:
        if (ending := self._tries.ending(state, pod)) is not None:
            self._spawn(ending, f"end {pod.metadata.name}")

    async def _keep_written(self, record: Record) -> None:
        """Write status as long as there is news of the run, or until it is dropped. `mark` begins anew."""
        pace = self._pace_of_queued if record.state.phase is RunPhase.QUEUED else self._pace
        await pace.wait(FIRST_WRITE_AFTER, record.write_cost, record.ended)
        what, backoff = f"write the status of DagRun {record.key[0]}/{record.key[1]}", Backoff(0.5, 15.0)
        attempt = partial(self._write_in_turn, record)
        while record.news.is_set():
            written = await keep_trying(attempt, what, backoff, on_error=lambda error: record.news.set())
            if written is Written.NOT_YET:
                record.news.set()
            elif written is Written.LAST:
                self._end(record)
                return
            elif written is Written.YES:
                await pace.wait(WRITE_EVERY, record.write_cost, record.ended)
            else:
                return

    async def _write_in_turn(self, record: Record) -> Written:
        """One write, in the turn of its Dag if the run has finished. Raises KubeError."""
        record.news.clear()
        info, last = record.state.info, record.state.finished
        in_turn = self._in_turn((info.namespace, info.dag)) if last else contextlib.nullcontext()
        async with in_turn, record.turn:
            written = await self._write(record)
        return Written.LAST if last and written is Written.YES else written

    async def _write(self, record: Record) -> Written:
        """One write."""
        state, over = record.state, recorded(record, self._cluster)
        state.changed = False
        status = record.status()
        record.ours = [*record.ours[:1], status]
        record.writing = True
        body = {"metadata": {"resourceVersion": record.resource_version}, "status": _PASSING | status}
        began = self._clock.monotonic()
        try:
            answer = await self._writer.patch(DAGRUNS, *record.key, body, subresource="status")
        except ApiError as error:
            if error.is_not_found:
                self._drop(record.key, state.info.uid)
                self._is_over(record.key, state.info.uid, math.inf)
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
        record.write_cost = cost_of_write(self._clock.monotonic() - began, len(status["tasks"]))
        record.resource_version = max(record.resource_version, answer["metadata"]["resourceVersion"], key=int)
        record.ours = [status]
        record.over -= over
        for name in sorted(over):
            pod = self._cluster.pod(state.info.uid, name)
            if pod is not None:
                self._spawn(self._tries.let_go(pod), f"let go {name}")
        return Written.YES

    async def _after_conflict(self, record: Record) -> Written:
        """Somebody else changed the object. If it was its status, what we know is out of date: load the run anew."""
        key, uid = record.key, record.state.info.uid
        fresh = await self._unscheduled.read(key)
        status = fresh.decoded_status()
        if fresh.metadata.uid == uid and status in record.ours:
            record.resource_version = fresh.metadata.resource_version
            return Written.NOT_YET
        if self.records.get(uid) is not record:
            return Written.NEVER
        if fresh.metadata.uid != uid:
            self._drop(key, uid)
            return Written.NEVER
        self.load_anew(record, fresh)
        return Written.NEVER

    def load_anew(self, record: Record, fresh: DagRunObject) -> None:
        """What we know of a run is of no use: another controller has written its status, or it could not be gone on
        with."""
        key, uid = record.key, record.state.info.uid
        log.info("loading DagRun %s/%s again%s", *key, "" if record.failed else ": another controller has changed it")
        del self.records[uid]
        self._uids.pop(key, None)
        if fresh.decoded_status().get("phase") in FINISHED_PHASES:
            self._is_over(key, uid, version_of(fresh))
            self._scheduler.remove_run(uid)
            self._wake()
        else:
            self._fresh[key] = fresh
            self.changed(key)

    def _is_over(self, key: Key, uid: str, version: float) -> None:
        """The run has ended or is gone: what the watch still tells of the time before does not bring it back."""
        found = self._cluster.runs.get(key)
        if found is not None and found.metadata.uid == uid:
            self._over[key] = (uid, version)

    def _end(self, record: Record) -> None:
        state = record.state
        self._is_over(record.key, state.info.uid, int(record.resource_version))
        self._scheduler.remove_run(state.info.uid)
        self.records.pop(state.info.uid, None)
        self._uids.pop(record.key, None)
        self._events.run_finished(state, int(record.resource_version))
        self._wake()
