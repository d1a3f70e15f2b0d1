"""The leader: the loop from events through the engine to writes.

Created each time this replica becomes leader, from the caches that it kept warm, and discarded when it stops leading.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from tradewind import logs
from tradewind.aio.background import Background
from tradewind.api.resolve import DEFAULT_MAX_ACTIVE_RUNS
from tradewind.api.times import parse_time
from tradewind.cache.caches import Caches
from tradewind.cache.finished_runs import finished_run
from tradewind.cache.listeners import Listener
from tradewind.cache.object_watches import OPEN, ObjectWatches
from tradewind.cache.observation import observe
from tradewind.cache.resources import DagRunObject, PodObject
from tradewind.controller.backfills import Backfills
from tradewind.controller.dags.dags import Dags
from tradewind.controller.dags.history import History
from tradewind.controller.dags.revisions import Revisions
from tradewind.controller.kinds import Carriers
from tradewind.controller.metrics.collector import Counted
from tradewind.controller.metrics.instrumentation import Metrics
from tradewind.controller.pods.pod_gc import PodGC
from tradewind.controller.pods.pools import PoolStatuses
from tradewind.controller.pods.retention import Retention
from tradewind.controller.pods.tries import Tries
from tradewind.controller.runs.previous_runs import Past
from tradewind.controller.runs.requests import Requests
from tradewind.controller.runs.runs import Runs
from tradewind.controller.runs.versions import RunVersions
from tradewind.controller.term import Term, regarding
from tradewind.engine.past_index import PastIndex
from tradewind.engine.run.run_info import Note, RunInfo
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase
from tradewind.engine.run.tries import TryReport
from tradewind.engine.schedule.finished_run import FinishedRun
from tradewind.engine.scheduler import Scheduler
from tradewind.kube.client import KubeClient
from tradewind.kube.clock import Clock, whole_second
from tradewind.kube.events import EventRecorder
from tradewind.kube.informer import Change
from tradewind.kube.objects import Key
from tradewind.kube.persist import keep_trying
from tradewind.kube.writer import Writer

T = TypeVar("T")

log = logging.getLogger(__name__)

DAG_BUDGET = 0.02
"""Seconds of work on Dags (mainly validation) in one step of the loop."""
FAILURES_BEFORE_EXIT = 20
CATCH_UP_WITHIN = 15.0
"""Seconds after which a new leader starts even if it could not catch up with the API server."""
CATCH_UP_AGAIN = 0.5
LOAD_AGAIN = 5.0
"""Seconds before a failed read of the finished runs is retried."""
FIRST_LOADS_WITHIN = 15.0
"""Seconds after which scheduling starts even if some started runs are not loaded."""
QUEUED_LOADS_WITHIN = 2.0
"""The same for queued runs."""
SLICE = 200
"""Objects that a new leader reads in one turn of the event loop."""
WAITS_AT_ONCE = 100
"""waitFor tasks that start to wait, or that time out, in one step of the loop."""
LOOK_AGAIN = 30.0
"""Seconds after which all timers are evaluated again, in case the wall clock was set."""


class Leader(Listener):
    """One term of leadership."""

    def __init__(
        self,
        client: KubeClient,
        writer: Writer,
        cluster: Caches,
        recorder: EventRecorder,
        metrics: Metrics,
        clock: Clock,
        *,
        parallelism: int,
    ) -> None:
        self._cluster, self._recorder, self._metrics, self._clock = cluster, recorder, metrics, clock
        self.last_step = clock.monotonic()
        self._news = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._background = Background(metrics.loop_failures.inc)
        self.stop_listening: Callable[[], None] = lambda: None
        """Ends the subscription to the caches: from then on another replica may be the leader."""
        past = PastIndex()
        self.scheduler = Scheduler(parallelism, past=past, waits_at_once=WAITS_AT_ONCE)
        term = Term(
            client=client,
            writer=writer,
            cluster=cluster,
            recorder=recorder,
            clock=clock,
            scheduler=self.scheduler,
            spawn=self._background.spawn,
            on_failure=self._background.failed,
            wake=self._news.set,
        )
        # Separate from the objects of waitFor, and one watch per run: a namespace may have too many runs to list.
        self.followed = ObjectWatches(client, spawn=term.spawn, clock=clock, alone=OPEN)
        self.revisions = Revisions(client, writer)
        self.history = History(
            term,
            self.revisions,
            scopes=[scope.namespace for scope in cluster.scopes],
            revisions_in_use=lambda dag: self.dags.revisions_in_use(dag),
        )
        self.dags = Dags(
            term, self.history, on_accepted=self._dag_accepted, observe_delay=metrics.observe_schedule_delay
        )
        in_turn = self.dags.failure_limits.in_turn
        self.pools = PoolStatuses(term)
        self.tries = Tries(term.in_lane(), self._reported)
        self.pod_gc = PodGC(term.in_lane(), self.tries)
        self.retention = Retention(term.in_lane())
        self.past = Past(term.in_lane(), past, self.followed)
        versions = RunVersions(cluster, self.revisions, accepted_hash=self.dags.accepted_hash)
        self.runs = Runs(term, versions, self.tries, self, in_turn=in_turn, find_previous=self.past.prepare)
        self.requests = Requests(term, self.runs, versions, self, in_turn=in_turn)
        self.carriers = Carriers(term, self._reported, self.tries)
        self.backfills = Backfills(term, self.dags.entries.get)

    # The term -----------------------------------------------------------------------------------------------------

    async def lead(self) -> None:
        """Lead until cancelled."""
        try:
            await self._cluster.wait_synced()
            await self._catch_up()
            while self._cluster.close_inaccessible():
                await self._cluster.wait_synced()
                await self._catch_up()
            await self._take_over()
            await self._first_loads()
            await self._loop()
        finally:
            self.stop_listening()
            if self._timer is not None:
                self._timer.cancel()
            self._background.cancel()

    @property
    def has_news(self) -> bool:
        """True if the loop has pending work."""
        return self._news.is_set()

    def counted(self) -> Counted:
        """Return the objects that metrics count."""
        return Counted(self.scheduler, self.dags.entries, self.history.counts)

    async def _catch_up(self) -> None:
        """Wait until the caches are up to date, for a limited time: outdated ones may show slots as free that are not,
        but not leading for long is worse."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP_WITHIN):
                await keep_trying(self._cluster.catch_up, "catch up with the API server", CATCH_UP_AGAIN)

    async def _take_over(self) -> None:
        self.stop_listening = self._cluster.subscribe(self)
        self._each(self._cluster.pools, self.pool_changed)
        for key, dag in self._cluster.dags.items():
            # Validating all Dags takes a while, but maxActiveRuns is needed at once.
            limit = 0 if dag.metadata.deletion_timestamp else dag.facts.max_active_runs
            self.scheduler.set_max_active_runs(*key, limit if isinstance(limit, int) else DEFAULT_MAX_ACTIVE_RUNS)
        self.dags.take_over()
        self.backfills.take_over()
        async for key in _in_slices(self._cluster.runs):
            self._each([key], self._take_over_run)
        self.runs.start()
        async for key in _in_slices(self._cluster.requested):
            self._each([key], self.requests.changed)
        self._start_history()
        self._background.spawn(self.pools.keep_written(), "statuses of Pools")
        self._background.spawn(self.retention.keep(), "podRetention")
        async for run_uid in _in_slices(self._cluster.pods):
            self._each([run_uid], self._take_over_pods)
        log.info(
            "this replica is the leader now: %d Dags, %d unfinished runs, %d Pools",
            len(self._cluster.dags),
            len(self._cluster.runs),
            len(self._cluster.pools),
        )

    def _take_over_run(self, key: Key) -> None:
        if not self.backfills.drops(key):
            self.runs.changed(key)

    def _take_over_pods(self, run_uid: str) -> None:
        self._look_after_all(run_uid)
        pods = list(self._cluster.pods.get(run_uid, {}).values())
        if pods and not self._cluster.is_active(run_uid):
            self.retention.found(run_uid, pods)

    async def _first_loads(self) -> None:
        """Wait until existing runs are loaded: started runs hold slots, and queued ones must start in order. The latter
        is less important."""
        for started, seconds in ((True, FIRST_LOADS_WITHIN), (False, QUEUED_LOADS_WITHIN)):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.runs.loaded(started=started)

    def _start_history(self) -> None:
        work = keep_trying(self._load_history, "list the finished runs", LOAD_AGAIN)
        self._background.spawn(work, "load history", self._start_history)

    async def _load_history(self) -> None:
        dags, later = await self.history.load(self.dags.catching_up)
        for key in list(self.dags.catching_up):
            self.dags.caught_up(key, await self.history.read_finished(key, later.get(key, ())))
        for key in dags:
            self.dags.changed(key)

    # Events from the cluster (Listener) ---------------------------------------------------------------------------

    def dag_changed(self, key: Key) -> None:
        """A Dag was created, changed or deleted."""
        self.dags.changed(key)
        self.carriers.dag_changed(key)

    def run_changed(self, key: Key, change: Change[DagRunObject]) -> None:
        """A DagRun was created, changed, finished or deleted."""
        if self.backfills.drops(key):
            return
        self.runs.changed(key)
        self.past.run_changed(key, change)
        self.carriers.run_changed(key, change)
        if key not in self._cluster.runs:
            self.dags.run_gone(key, change.object.dag)
            self.backfills.run_left(key)
            self._look_after_all(change.object.metadata.uid)

    def request_changed(self, key: Key, dag: str) -> None:
        """A DagRun has another request, or none any more."""
        self.requests.changed(key)
        if key in self._cluster.requested:
            self.history.requested((key[0], dag), self._cluster.requested[key])
        else:
            self.backfills.run_left(key)
            # The run was kept for the request.
            self.dags.changed((key[0], dag))

    def pool_changed(self, key: Key) -> None:
        """A Pool was created, changed or deleted."""
        pool = self._cluster.pools.get(key)
        self.pools.news.set()
        slots = pool.spec.slots if pool else None
        if self.scheduler.slots.limits.get(key) != slots:
            self.scheduler.set_pool(*key, slots)
            self._news.set()

    def backfill_changed(self, key: Key, dag: str) -> None:
        """A Backfill was created, changed or deleted."""
        self.backfills.changed(key)
        if key not in self._cluster.backfills:
            self.history.backfill_gone(key)
        # Its runs were kept until it had written down how they ended.
        self.dags.changed((key[0], dag))

    def pod_changed(self, run_uid: str, pod: PodObject, gone: bool) -> None:
        """A Pod was created, changed or deleted."""
        report = observe(pod, gone=gone)
        if report is not None:
            self._reported(run_uid, report)
        self.tries.pod_changed(run_uid, pod)
        if not gone:
            self.runs.pod_changed(run_uid, pod)
            self._look_after(run_uid, pod)
        elif run_uid not in self._cluster.pods:
            self.retention.pods_gone(run_uid)

    def _look_after_all(self, run_uid: str) -> None:
        """Handle the Pods of a run that finished or was deleted: their events may have arrived before that."""
        for pod in list(self._cluster.pods.get(run_uid, {}).values()):
            self._look_after(run_uid, pod)

    def _look_after(self, run_uid: str, pod: PodObject) -> None:
        if run_uid not in self.runs.records and not self._cluster.is_active(run_uid):
            self.pod_gc.consider(run_uid, pod)

    def _reported(self, run_uid: str, report: TryReport) -> None:
        if log.isEnabledFor(logging.DEBUG) and run_uid in self.scheduler.runs:
            self._trace(self.scheduler.runs[run_uid].info, report)
        self.scheduler.report(run_uid, report, whole_second(self._clock.now()))
        self._news.set()

    def _trace(self, info: RunInfo, report: TryReport) -> None:
        code = f"exit code {report.exit_code}" if report.exit_code is not None else None
        facts = ": ".join(filter(None, (report.event.value, code, report.reason, report.message)))
        place = info.namespace, info.name, report.key.instance, report.number
        log.debug("DagRun %s/%s: %s, try %d: %s", *place, facts, extra=_about(info, report.key.instance))

    def _dag_accepted(self, key: Key) -> None:
        self.runs.dag_changed(key)
        self.backfills.dag_changed(key)

    # Notifications about runs (RunEvents) -----------------------------------------------------------------------------

    def run_loaded(self, run: RunState) -> None:
        """A run was loaded and is scheduled now."""
        self.dags.run_loaded(run)
        self.carriers.run_loaded(run)
        self.requests.changed((run.info.namespace, run.info.name))

    def run_finished(self, run: RunState, version: int) -> None:
        """A run finished and its final status is written."""
        info = run.info
        ended = FinishedRun(
            info.namespace,
            info.dag,
            info.name,
            info.type,
            run.phase,
            run.finished_at or self._clock.now(),
            version,
            backfill=info.backfill,
            backfill_uid=info.backfill_uid,
        )
        self._each([ended], self.dags.run_finished)
        for notify in (self._metrics.run_finished, self.pod_gc.run_finished, self.retention.run_finished):
            self._each([run], notify)

    def run_reopened(self, run: DagRunObject) -> None:
        """A finished run is run again."""
        self.retention.run_reopened(run.metadata.uid)
        self.history.reopened((run.metadata.namespace, run.dag), run.metadata.name)

    def run_marked(self, run: DagRunObject, status: Mapping[str, Any]) -> None:
        """A finished run was marked."""
        dag, phase = (run.metadata.namespace, run.dag), RunPhase(status["phase"])
        ended_at = parse_time(status.get("finishedAt")) or self._clock.now()
        version = int(run.metadata.resource_version)
        self.history.finished(finished_run(run, phase, ended_at, version, started=True))
        self.dags.run_marked(dag, run.metadata.name, phase)
        self.past.run_marked(run, status)
        self.carriers.run_marked(run)

    def run_refused(self, run: FinishedRun) -> None:
        """A run was refused before it started."""
        if (run.namespace, run.dag) in self._cluster.dags:
            self._metrics.run_refused(run)
            self.dags.run_finished(run)

    # The loop -----------------------------------------------------------------------------------------------------

    async def _loop(self) -> None:
        failures = 0
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                self._step()
                failures = 0
            except Exception:
                # One bad object must not stop all others; if the loop fails each time, a restart is better.
                failures += 1
                self._metrics.loop_failures.inc()
                log.exception(
                    "a step of the leader's loop failed, %d of at most %d times", failures, FAILURES_BEFORE_EXIT
                )
                if failures >= FAILURES_BEFORE_EXIT:
                    raise
                self._news.set()
                await asyncio.sleep(min(0.1 * 2**failures, 5))
            # Let informers and writers run before the next step, which then handles all their changes.
            await asyncio.sleep(0)

    def _step(self) -> None:
        started = time.perf_counter()
        now = self._clock.now()
        dags_wake = self.dags.step(now, DAG_BUDGET)
        plan = self.scheduler.plan(whole_second(now))
        self.pools.news.set()
        for info, error in plan.failed:
            self.runs.failed(info.uid, error)
        self._each(plan.starts, self.carriers.start)
        self._each(plan.stops, self.carriers.stop)
        self._each(plan.notes, self._record_event)
        for fault in plan.faults:
            self._metrics.loop_failures.inc()
            log.error("internal error of the engine, without effect on runs: %s", fault)
        for begun in plan.begun:
            log.info("DagRun %s/%s of Dag %s started", begun.namespace, begun.name, begun.dag, extra=_about(begun))
        self._each(plan.changed, self.runs.schedule_status_write)
        self._each([plan], self.past.execute)
        self._each(plan.waits, self.carriers.wait)
        self._each([plan.changed], self.carriers.runs_changed)
        self._wake_at(min((moment for moment in (plan.wake_at, dags_wake) if moment), default=None))
        self.last_step = self._clock.monotonic()
        self._metrics.loop_seconds.observe(time.perf_counter() - started)

    def _each(self, items: Iterable[T], apply: Callable[[T], object]) -> None:
        """Apply a function to each item; an error with one does not stop the rest."""
        for item in items:
            try:
                apply(item)
            except Exception as error:
                self._background.failed(f"{apply.__qualname__} of {item!s:.200}", error)

    def _wake_at(self, moment: datetime | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if moment is not None:
            delay = min(LOOK_AGAIN, max(0.0, (moment - self._clock.now()).total_seconds()))
            self._timer = asyncio.get_running_loop().call_later(delay, self._news.set)

    def _record_event(self, note: Note) -> None:
        info = note.run
        run = regarding("DagRun", info.namespace, info.name, info.uid)
        text = f"{note.task}: {note.message}" if note.task else note.message
        level = logging.DEBUG if note.task else logging.INFO
        log.log(level, "DagRun %s/%s of Dag %s: %s", info.namespace, info.name, info.dag, text, extra=_about(info))
        self._recorder.record(run, "Warning" if note.warning else "Normal", note.reason, text)
        dag = self.dags.entries.get((info.namespace, info.dag))
        if dag is not None and note.task is None and note.reason == RunPhase.FAILED:
            about = regarding("Dag", info.namespace, info.dag, dag.uid)
            self._recorder.record(about, "Warning", "RunFailed", f"run {info.name}: {note.message}", related=run)
        self._metrics.note(note)


def _about(info: RunInfo, task: str | None = None) -> dict[str, Any]:
    return logs.about(info.namespace, dag=info.dag, run=info.name, task=task)


async def _in_slices(items: Iterable[T]) -> AsyncIterator[T]:
    """Iterate over a copy of the items, SLICE of them in one turn of the event loop."""
    for number, item in enumerate(list(items), 1):
        if number % SLICE == 0:
            await asyncio.sleep(0)
        yield item
