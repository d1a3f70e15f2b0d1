"""All runs together: which runs start, and which task instances get slots.

Callers add runs, report events of tries, and call plan() with the time. A plan looks only at runs with an event, runs
with an expired timer, and, when slots have become free, runs that wait for slots.
"""

import heapq
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tradewind.api.resolve import DEFAULT_MAX_ACTIVE_RUNS, ResolvedTask
from tradewind.engine.past_index import Follow, PastIndex
from tradewind.engine.run.run_info import Note, RunInfo, Stop, Wait
from tradewind.engine.run.slots import Slots
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.timers import Room
from tradewind.engine.run.tries import TryKey, TryReport
from tradewind.engine.schedule.run_queue import RunQueue
from tradewind.engine.transitions import run_lifecycle, try_lifecycle
from tradewind.engine.transitions.endings import fail
from tradewind.engine.transitions.grant import grant

START_AGAIN = timedelta(seconds=60)
"""Time after which a try that has slots and no report is started again, because its start may have failed. Starting a
try is idempotent. There is no timer for it: the next plan after that time does it."""
QueueKey = tuple[str, str, str | None]
"""(namespace, Dag name, Backfill name): runs that share a maxActiveRuns; Backfill None for the Dag's own runs."""
EXPLAINED_AT_ONCE = 100
"""Runs of a queue whose reason for waiting is updated in one plan."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start a try of a task that has its slots."""

    run: RunInfo
    task: ResolvedTask
    key: TryKey


@dataclass(slots=True)
class Plan:
    """The actions to take now, and `wake_at`, when to plan again if nothing happens."""

    starts: list[Start] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    begun: list[RunInfo] = field(default_factory=list)
    """Runs that have left the queue."""
    waits: list[Wait] = field(default_factory=list)
    changed: list[RunState] = field(default_factory=list)
    """Runs whose status has changed."""
    notes: list[Note] = field(default_factory=list)
    lookups: list[RunInfo] = field(default_factory=list)
    """Runs whose last finished runs must be looked up (PastIndex.open_question)."""
    follows: list[Follow] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Internal errors of the engine, to be logged and counted."""
    failed: list[tuple[RunInfo, Exception]] = field(default_factory=list)
    """Runs that raised an exception: they stay as they are, with their slots, until they are added again."""
    wake_at: datetime | None = None


class Scheduler:
    """Every run that has not finished, and the slots they share."""

    def __init__(self, parallelism: int = 0, *, past: PastIndex | None = None, waits_at_once: float = math.inf) -> None:
        """Without `past` no run has a previous run. At most `waits_at_once` waits begin or come due in one plan; if
        there are more, `wake_at` is now."""
        self.slots, self._room = Slots(parallelism=parallelism), Room(waits_at_once)
        self._past = past
        self.runs: dict[str, RunState] = {}
        self._dirty: dict[str, None] = {}
        self._wakes: list[tuple[datetime, str]] = []
        self._wake_of: dict[str, datetime] = {}
        self._ready: set[str] = set()
        self._max_active_runs: dict[QueueKey, int] = {}
        self._queued: dict[QueueKey, RunQueue] = {}
        self._running: dict[QueueKey, set[str]] = {}
        self._finished: dict[QueueKey, set[str]] = {}
        """Finished runs that are not removed yet: their final status is not written."""
        self._dirty_dags: set[QueueKey] = set()
        self._unexplained: set[QueueKey] = set()
        """Queues with runs whose reason for waiting is updated in the next plan."""
        self._started: deque[tuple[datetime, str, TryKey]] = deque()
        """Started tries and when to check that they have a report, the oldest first."""

    # Input of the caller ------------------------------------------------------------------------------------------

    def set_pool(self, namespace: str, name: str, slots: int | None) -> None:
        """Set the slots of a Pool; None if it was deleted."""
        self.slots.set_limit(namespace, name, slots)

    def set_max_active_runs(self, namespace: str, dag: str, limit: int | None, *, backfill: str | None = None) -> None:
        """Set how many runs of a Dag, or of one of its Backfills, may be Running; None removes the limit."""
        key = (namespace, dag, backfill)
        if limit is None:
            self._max_active_runs.pop(key, None)
        elif self._max_active_runs.get(key) != limit:
            self._max_active_runs[key] = limit
            self._dirty_dags.add(key)
            if key in self._queued:
                self._queued[key].explain_all()

    def add_run(self, run: RunState) -> None:
        """Schedule an unfinished run."""
        info = run.info
        self.runs[info.uid], run.room = run, self._room
        self.introduce(run)
        key = _queue_of(info)
        if run.phase is RunPhase.QUEUED:
            queue = self._queued.setdefault(key, RunQueue())
            queue.put(info.uid, self._order(info.uid), may_start=not run.suspended)
        else:
            self._running.setdefault(key, set()).add(info.uid)
        self._dirty[info.uid] = None
        self._dirty_dags.add(key)

    def introduce(self, run: RunState) -> None:
        """Give a run its previous runs; call this before any of its tasks changes."""
        if self._past is not None:
            self._past.attach(run)

    def abandon(self, run: RunState) -> None:
        """Undo introduce() for a run that is not added."""
        run.release()
        if self._past is not None:
            self._past.detach(run)

    def remove_run(self, uid: str) -> None:
        """Remove a run (finished, deleted, or of another shard) and free its slots."""
        run = self.runs.pop(uid, None)
        if run is None:
            return
        run.release()
        if self._past is not None:
            self._past.detach(run)
        key = _queue_of(run.info)
        for group in (self._queued, self._running, self._finished):
            members = group.get(key)
            if members is not None:
                members.discard(uid)
                if not members:
                    del group[key]
        self._ready.discard(uid)
        self._dirty.pop(uid, None)
        self._wake_of.pop(uid, None)
        self._dirty_dags.add(key)

    def runs_that_wait(self) -> Iterator[RunState]:
        """The runs with tasks that wait only for slots; the scheduler may change while you iterate."""
        return (run for uid in list(self._ready) if (run := self.runs.get(uid)) is not None)

    def suspend(self, uid: str, suspended: bool) -> None:
        """Apply DagRun.spec.suspend."""
        run = self.runs.get(uid)
        if run is not None and run.suspended != suspended:
            run_lifecycle.suspend(run, suspended)
            self._dirty[uid] = None
            key = _queue_of(run.info)
            self._dirty_dags.add(key)
            if key in self._queued and uid in self._queued[key]:
                self._queued[key].put(uid, self._order(uid), may_start=not suspended)

    def fail(self, uid: str, reason: str, message: str, now: datetime) -> None:
        """Fail a run now, for a reason outside of its tasks."""
        run = self.runs.get(uid)
        if run is not None and not run.finished:
            fail(run, reason, message, now)
            self._dirty[uid] = None

    def report(self, uid: str, report: TryReport, now: datetime) -> None:
        """Apply a report about a try of a run."""
        run = self.runs.get(uid)
        if run is not None:
            try_lifecycle.apply_report(run, report, now)
            self._dirty[uid] = None

    def active_runs(self, namespace: str, dag: str) -> int:
        """The number of runs of a Dag that are Queued or Running in status, without those of Backfills.

        A finished run counts until its status is written: only then does it count for FailureStreak, which may forbid
        more runs.
        """
        key = (namespace, dag, None)
        running, finished = (len(group.get(key, ())) for group in (self._running, self._finished))
        return running + finished + (len(self._queued[key]) if key in self._queued else 0)

    # Planning -----------------------------------------------------------------------------------------------------

    def plan(self, now: datetime) -> Plan:
        """Process all changes since the last call."""
        plan = Plan()
        self._room.renew()
        changed: dict[str, RunState] = {}
        while self._wakes and self._wakes[0][0] <= now:
            when, uid = heapq.heappop(self._wakes)
            if self._wake_of.get(uid) == when:
                del self._wake_of[uid]
                self._dirty[uid] = None
        touched: dict[str, RunState] = {}
        self._dirty_dags |= self._unexplained
        self._unexplained.clear()
        while self._dirty or self._dirty_dags or self._touched_by_the_past():
            dirty, self._dirty = self._dirty, {}
            for uid in dirty:
                run = touched[uid] = self.runs[uid]
                try:
                    self._advance(uid, plan, now)
                except Exception as error:  # one broken run must not stop the others
                    plan.failed.append((run.info, error))
            for key in list(self._dirty_dags):
                self._start_runs(key, plan, now)
            self._dirty_dags.clear()
        self._start_again(plan, now)
        self._grant(plan, touched, now)
        for uid, run in touched.items():
            if run.changed:
                changed[uid] = run
            self._note_wake(uid, run)
        plan.changed = list(changed.values())
        if self._past is not None:
            plan.lookups, plan.follows = self._past.take()
        plan.wake_at = now if self._unexplained else self._next_wake()
        return plan

    def _advance(self, uid: str, plan: Plan, now: datetime) -> None:
        run = self.runs[uid]
        run_lifecycle.advance(run, now)
        if self._past is not None:
            self._past.advanced(run)
            before = self._past.queued_before(run)
            if before is not None:
                awaited = _queue_of(before.info)
                if awaited in self._queued:
                    self._queued[awaited].note_maybe_awaited(before.info.uid)
                self._dirty_dags.add(awaited)
        plan.stops += run.take_stops()
        plan.notes += run.take_notes()
        plan.waits += run.take_waits()
        plan.faults += [f"DagRun {run.info.namespace}/{run.info.name}: {fault}" for fault in run.take_faults()]
        for poke in run.take_pokes():
            self._start(plan, run, poke, now)
        key = _queue_of(run.info)
        if run.finished and uid in self._running.get(key, ()):
            self._running[key].discard(uid)
            self._finished.setdefault(key, set()).add(uid)
            self._dirty_dags.add(key)
        if run.queue and not run.finished:
            self._ready.add(uid)
        else:
            self._ready.discard(uid)

    def _start_runs(self, key: QueueKey, plan: Plan, now: datetime) -> None:
        """Start queued runs of a Dag, oldest logical date first, up to maxActiveRuns."""
        queue = self._queued.get(key)
        if not queue:
            return
        limit = self._max_active_runs.get(key, DEFAULT_MAX_ACTIVE_RUNS)
        running = self._running.setdefault(key, set())
        while len(running) < limit and (first := queue.first) is not None:
            self._begin(first, key, plan, now)
        for uid in queue.take_maybe_awaited() if self._past is not None else ():
            # Beyond maxActiveRuns: a running run that waits for a queued one would otherwise be a deadlock.
            if self._past is not None and self._past.awaited(self.runs[uid]):
                self._begin(uid, key, plan, now)
        whose = "the Dag" if key[2] is None else f"Backfill {key[2]}"
        for uid in queue.take_unexplained(EXPLAINED_AT_ONCE):
            run = self.runs[uid]
            run.wait(f"waiting for maxActiveRuns of {whose} ({limit})")
            if run.changed:
                self._dirty[uid] = None
        if queue.has_unexplained:
            self._unexplained.add(key)

    def _begin(self, uid: str, key: QueueKey, plan: Plan, now: datetime) -> None:
        run = self.runs[uid]
        self._queued[key].discard(uid)
        self._running[key].add(uid)
        if self._past is not None:
            self._past.before_start(run)
        try:
            run_lifecycle.begin(run, now)
        except Exception as error:
            plan.failed.append((run.info, error))
        else:
            self._dirty[uid] = None
            plan.begun.append(run.info)

    def _touched_by_the_past(self) -> bool:
        """Mark runs dirty whose previous run has changed. Return True if any run is dirty."""
        if self._past is None or not self._past.touched:
            return False
        self._dirty |= dict.fromkeys(uid for uid in self._past.touched if uid in self.runs)
        self._past.touched.clear()
        return bool(self._dirty)

    def _grant(self, plan: Plan, touched: dict[str, RunState], now: datetime) -> None:
        """Grant slots in order. Unless slots were freed, only runs that changed can get any.

        Over all runs the highest priority goes first, then the oldest logical date. Among equal priorities a Dag
        without active task instances gets its first slot before others get more, so a wide run does not starve a narrow
        one.
        """
        candidates = self._ready if self.slots.freed else self._ready & touched.keys()
        self.slots.freed = False
        queue: list[tuple[int, bool, tuple[datetime, str, str], str]] = []
        for uid in candidates:
            self.runs[uid].queue.begin()
            self._queue_up(queue, uid)
        granted = list(candidates)
        while queue:
            _, had_some, _, uid = heapq.heappop(queue)
            run = self.runs[uid]
            if self._has_some(run) and not had_some:
                # Another run of its Dag has got slots in the meantime.
                self._queue_up(queue, uid)
                continue
            try:
                for instance in grant(run, one=not had_some):
                    self._start(plan, run, instance, now)
            except Exception as error:
                plan.failed.append((run.info, error))
                continue
            self._queue_up(queue, uid)
        for uid in granted:
            run = self.runs[uid]
            run.queue.end()
            touched[uid] = run
            if not run.queue:
                self._ready.discard(uid)

    def _start(self, plan: Plan, run: RunState, instance: TaskInstance, now: datetime) -> None:
        plan.starts.append(Start(run.info, instance.task, instance.key))
        self._started.append((now + START_AGAIN, run.info.uid, instance.key))

    def _start_again(self, plan: Plan, now: datetime) -> None:
        """Start tries again that were started long ago and have no report."""
        while self._started and self._started[0][0] <= now:
            _, uid, key = self._started.popleft()
            run = self.runs.get(uid)
            instance = run.instance(key.task, key.index) if run is not None else None
            if run is not None and instance is not None and instance.key == key and instance.awaits_pod:
                self._start(plan, run, instance, now)

    def _queue_up(self, queue: list[tuple[int, bool, tuple[datetime, str, str], str]], uid: str) -> None:
        """Add a run to the queue for slots, if a task of it is ready."""
        run = self.runs[uid]
        head = run.queue.head
        if head is not None:
            heapq.heappush(queue, (-head.weight, self._has_some(run), self._order(uid), uid))

    def _has_some(self, run: RunState) -> bool:
        """True if any run of the same Dag has slots."""
        return (run.info.namespace, run.info.dag) in self.slots.by_dag

    def _order(self, uid: str) -> tuple[datetime, str, str]:
        info = self.runs[uid].info
        return info.logical_date, info.namespace, info.name

    def _note_wake(self, uid: str, run: RunState) -> None:
        wake = run.wake_at
        if wake is not None and self._wake_of.get(uid) != wake:
            self._wake_of[uid] = wake
            heapq.heappush(self._wakes, (wake, uid))

    def _next_wake(self) -> datetime | None:
        while self._wakes:
            when, uid = self._wakes[0]
            if self._wake_of.get(uid) == when:
                return when
            heapq.heappop(self._wakes)
        return None


def _queue_of(info: RunInfo) -> QueueKey:
    return info.namespace, info.dag, info.backfill
