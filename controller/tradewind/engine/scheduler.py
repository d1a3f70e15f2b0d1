"""All runs together: which leave the queue, and which task instances get slots.

Callers add runs, report what happens to tries, and call plan() with the time; it looks only at runs that something
happened to, or whose time has come, or that wait for slots when some have become free.
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
"""After how long a try that has slots, and of which nobody has said what became of it, is to be started again: whoever
was to do that may have failed. Starting what is being started does no harm. Nobody is woken for it."""
QueueKey = tuple[str, str, str | None]
"""(namespace, Dag name, Backfill name): runs that share a maxActiveRuns; no Backfill for those of the Dag itself."""
TOLD_AT_ONCE = 100
"""Runs of a queue that are told in one plan why they wait."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start a try of a task: its slots are granted."""

    run: RunInfo
    task: ResolvedTask
    key: TryKey


@dataclass(slots=True)
class Plan:
    """What is to be done now, and when to ask again if nothing happens."""

    starts: list[Start] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    begun: list[RunInfo] = field(default_factory=list)
    """Runs that have left the queue."""
    waits: list[Wait] = field(default_factory=list)
    changed: list[RunState] = field(default_factory=list)
    """Runs whose status() says something new."""
    notes: list[Note] = field(default_factory=list)
    lookups: list[RunInfo] = field(default_factory=list)
    """Runs for which it is to be found out again which runs ended before them (PastIndex.unknown)."""
    follows: list[Follow] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """What never should have happened, by run: errors of the engine, to be logged and counted."""
    failed: list[tuple[RunInfo, Exception]] = field(default_factory=list)
    """Runs that could not be worked on: they stay as they are, with their slots, until they are added anew."""
    wake_at: datetime | None = None


class Scheduler:
    """Every run that has not finished, and the slots they share."""

    def __init__(self, parallelism: int = 0, *, past: PastIndex | None = None, waits_at_once: float = math.inf) -> None:
        """Without `past` no run has one before it. As many waits as `waits_at_once` begin or come due in one plan; the
        next is to be asked for at once then."""
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
        self._ended: dict[QueueKey, set[str]] = {}
        """Runs that have ended but are not removed: their end has still to be written."""
        self._dirty_dags: set[QueueKey] = set()
        self._untold_dags: set[QueueKey] = set()
        """Those whose queues have more runs to be told why they wait than one plan does."""
        self._started: deque[tuple[datetime, str, TryKey]] = deque()
        """What was to be started, and when to see to it that it was, the oldest first."""

    # What the caller tells ----------------------------------------------------------------------------------------

    def set_pool(self, namespace: str, name: str, slots: int | None) -> None:
        """A Pool has come, changed or (None) gone."""
        self.slots.set_limit(namespace, name, slots)

    def set_max_active_runs(self, namespace: str, dag: str, limit: int | None, *, backfill: str | None = None) -> None:
        """How many runs of a Dag, or of one of its Backfills, may be Running; None forgets it."""
        key = (namespace, dag, backfill)
        if limit is None:
            self._max_active_runs.pop(key, None)
        elif self._max_active_runs.get(key) != limit:
            self._max_active_runs[key] = limit
            self._dirty_dags.add(key)
            if key in self._queued:
                self._queued[key].tell_all()

    def add_run(self, run: RunState) -> None:
        """Schedule a run that has not finished."""
        info = run.info
        self.runs[info.uid], run.room = run, self._room
        self.introduce(run)
        key = _queue_of(info)
        if run.phase is RunPhase.QUEUED:
            queue = self._queued.setdefault(key, RunQueue())
            queue.put(info.uid, self._order(info.uid), may_leave=not run.suspended)
        else:
            self._running.setdefault(key, set()).add(info.uid)
        self._dirty[info.uid] = None
        self._dirty_dags.add(key)

    def introduce(self, run: RunState) -> None:
        """Let a run see the runs before it: to be called before anything in it moves."""
        if self._past is not None:
            self._past.attach(run)

    def abandon(self, run: RunState) -> None:
        """A run that was introduced is not added after all."""
        run.release()
        if self._past is not None:
            self._past.detach(run)

    def remove_run(self, uid: str) -> None:
        """Forget a run (finished, deleted, or no longer ours) and free what it holds."""
        run = self.runs.pop(uid, None)
        if run is None:
            return
        run.release()
        if self._past is not None:
            self._past.detach(run)
        key = _queue_of(run.info)
        for group in (self._queued, self._running, self._ended):
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
        """The runs with tasks that wait for nothing but slots; the scheduler may go on meanwhile."""
        return (run for uid in list(self._ready) if (run := self.runs.get(uid)) is not None)

    def suspend(self, uid: str, suspended: bool) -> None:
        """DagRun.spec.suspend of a run is this."""
        run = self.runs.get(uid)
        if run is not None and run.suspended != suspended:
            run_lifecycle.suspend(run, suspended)
            self._dirty[uid] = None
            key = _queue_of(run.info)
            self._dirty_dags.add(key)
            if key in self._queued and uid in self._queued[key]:
                self._queued[key].put(uid, self._order(uid), may_leave=not suspended)

    def fail(self, uid: str, reason: str, message: str, now: datetime) -> None:
        """End a run now as Failed, for a reason that its tasks know nothing of."""
        run = self.runs.get(uid)
        if run is not None and not run.finished:
            fail(run, reason, message, now)
            self._dirty[uid] = None

    def report(self, uid: str, report: TryReport, now: datetime) -> None:
        """Something happened to a try of a run."""
        run = self.runs.get(uid)
        if run is not None:
            try_lifecycle.report(run, report, now)
            self._dirty[uid] = None

    def active_runs(self, namespace: str, dag: str) -> int:
        """Runs of a Dag that are Queued or Running by their status, those of Backfills left out.

        One that has ended counts until that is written: only then does it count as failed (FailureStreak), and that
        may be why no other may come.
        """
        key = (namespace, dag, None)
        running, ended = (len(group.get(key, ())) for group in (self._running, self._ended))
        return running + ended + (len(self._queued[key]) if key in self._queued else 0)

    # What is to be done -------------------------------------------------------------------------------------------

    def plan(self, now: datetime) -> Plan:
        """Follow up on everything since the last call."""
        plan = Plan()
        self._room.renew()
        changed: dict[str, RunState] = {}
        while self._wakes and self._wakes[0][0] <= now:
            when, uid = heapq.heappop(self._wakes)
            if self._wake_of.get(uid) == when:
                del self._wake_of[uid]
                self._dirty[uid] = None
        touched: dict[str, RunState] = {}
        self._dirty_dags |= self._untold_dags
        self._untold_dags.clear()
        while self._dirty or self._dirty_dags or self._touched_by_the_past():
            dirty, self._dirty = self._dirty, {}
            for uid in dirty:
                run = touched[uid] = self.runs[uid]
                try:
                    self._advance(uid, plan, now)
                except Exception as error:  # one run that cannot go on must not stop the others
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
        plan.wake_at = now if self._untold_dags else self._next_wake()
        return plan

    def _advance(self, uid: str, plan: Plan, now: datetime) -> None:
        run = self.runs[uid]
        run_lifecycle.advance(run, now)
        if self._past is not None:
            self._past.advanced(run)
            before = self._past.queued_before(run)
            if before is not None:
                waited_for = _queue_of(before.info)
                if waited_for in self._queued:
                    self._queued[waited_for].hurry(before.info.uid)
                self._dirty_dags.add(waited_for)
        plan.stops += run.take_stops()
        plan.notes += run.take_notes()
        plan.waits += run.take_waits()
        plan.faults += [f"DagRun {run.info.namespace}/{run.info.name}: {fault}" for fault in run.take_faults()]
        for poke in run.take_pokes():
            self._start(plan, run, poke, now)
        key = _queue_of(run.info)
        if run.finished and uid in self._running.get(key, ()):
            self._running[key].discard(uid)
            self._ended.setdefault(key, set()).add(uid)
            self._dirty_dags.add(key)
        if run.queue and not run.finished:
            self._ready.add(uid)
        else:
            self._ready.discard(uid)

    def _start_runs(self, key: QueueKey, plan: Plan, now: datetime) -> None:
        """Let runs leave the queue of their Dag, oldest logical date first, as far as maxActiveRuns allows."""
        queue = self._queued.get(key)
        if not queue:
            return
        limit = self._max_active_runs.get(key, DEFAULT_MAX_ACTIVE_RUNS)
        running = self._running.setdefault(key, set())
        while len(running) < limit and (first := queue.first) is not None:
            self._begin(first, key, plan, now)
        for uid in queue.take_hurried() if self._past is not None else ():
            # Were a run that a running one waits for held back until that one ends, neither ever would.
            if self._past is not None and self._past.awaited(self.runs[uid]):
                self._begin(uid, key, plan, now)
        whose = "the Dag" if key[2] is None else f"Backfill {key[2]}"
        for uid in queue.take_untold(TOLD_AT_ONCE):
            run = self.runs[uid]
            run.wait(f"waits for maxActiveRuns of {whose} ({limit})")
            if run.changed:
                self._dirty[uid] = None
        if queue.has_untold:
            self._untold_dags.add(key)

    def _begin(self, uid: str, key: QueueKey, plan: Plan, now: datetime) -> None:
        run = self.runs[uid]
        self._queued[key].discard(uid)
        self._running[key].add(uid)
        if self._past is not None:
            self._past.begins(run)
        try:
            run_lifecycle.begin(run, now)
        except Exception as error:
            plan.failed.append((run.info, error))
        else:
            self._dirty[uid] = None
            plan.begun.append(run.info)

    def _touched_by_the_past(self) -> bool:
        """Whether there are runs for which something has happened in an earlier one; they are looked at next."""
        if self._past is None or not self._past.touched:
            return False
        self._dirty |= dict.fromkeys(uid for uid in self._past.touched if uid in self.runs)
        self._past.touched.clear()
        return bool(self._dirty)

    def _grant(self, plan: Plan, touched: dict[str, RunState], now: datetime) -> None:
        """Hand out slots in order. Without freed slots only the runs that changed can have a use for any.

        Over all runs the highest priority goes first, then the oldest logical date. Among equal priorities a
        Dag that has nothing under way gets a first slot before others get more, lest a wide run starve a narrow one.
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
                # Another run of its Dag got some since.
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
        """Start again what should have been started long ago."""
        while self._started and self._started[0][0] <= now:
            _, uid, key = self._started.popleft()
            run = self.runs.get(uid)
            instance = run.instance(key.task, key.index) if run is not None else None
            if run is not None and instance is not None and instance.key == key and instance.awaits_pod:
                self._start(plan, run, instance, now)

    def _queue_up(self, queue: list[tuple[int, bool, tuple[datetime, str, str], str]], uid: str) -> None:
        """Give a run its place among those that want slots, if it does."""
        run = self.runs[uid]
        head = run.queue.head
        if head is not None:
            heapq.heappush(queue, (-head.weight, self._has_some(run), self._order(uid), uid))

    def _has_some(self, run: RunState) -> bool:
        """Whether any run of the same Dag has slots."""
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
