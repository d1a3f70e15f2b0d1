"""Reconciles Dags: validates them, creates the runs of their schedules, prunes history and writes their status."""

import asyncio
import heapq
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from tradewind import logs
from tradewind.api import names
from tradewind.api.conditions import with_times
from tradewind.api.schedule import schedule_text
from tradewind.api.times import format_exactly, format_time, parse_time
from tradewind.api.validation import summary
from tradewind.cache.resources import DAGS, DagObject
from tradewind.controller.dags.checks import Checked, DagChecks
from tradewind.controller.dags.entry import Entry, Trouble, accepted, identity, identity_of, scheduled, without_times
from tradewind.controller.dags.failure_limits import FailureLimits, limit_of
from tradewind.controller.dags.history import History, Pruning
from tradewind.controller.dags.scheduled_runs import OldRun, ScheduledRuns
from tradewind.controller.term import Term, regarding
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase
from tradewind.engine.schedule.due import counts_from, due_ticks, first_moment, max_active_runs, settled_without_status
from tradewind.engine.schedule.finished_run import FinishedRun
from tradewind.engine.status.check import usable_dag_status, usable_time
from tradewind.engine.timetables import Tick, timetable_of
from tradewind.kube.errors import ApiError, KubeError, SteppedDown
from tradewind.kube.objects import Key
from tradewind.kube.working_on import working_on
from tradewind.kube.writer import NotWanted, Priority

log = logging.getLogger(__name__)

WRITE_EVERY = 1.0
"""Seconds for which changes of a Dag's status are collected before it is written."""
GATHER = 0.1
"""The same after a run finished, if the status was not written within the last WRITE_EVERY seconds."""
CLOCKS_AGREE = timedelta(minutes=1)
"""Finish times come from the clocks of controllers and nodes, which may differ by this much."""
TRY_AGAIN = 5.0
"""Seconds before the creation of runs is retried."""
MISSED_AFTER = timedelta(seconds=30)
"""The watch delivers a created run sooner than this."""


class Dags:
    """The Dags of the cluster. Used by the leader only."""

    def __init__(
        self,
        term: Term,
        history: History,
        *,
        on_accepted: Callable[[Key], None],
        observe_delay: Callable[[Key, float], None],
    ) -> None:
        """`on_accepted(dag)` is called when a Dag can have runs; `observe_delay(dag, seconds)` when a tick's run was
        created that long after the tick."""
        self.entries: dict[Key, Entry] = {}
        self._writer, self._cluster, self._scheduler = term.writer, term.cluster, term.scheduler
        self._recorder, self._clock, self._spawn = term.recorder, term.clock, term.spawn
        self._on_failure, self._wake = term.on_failure, term.wake
        self._history, self._on_accepted = history, on_accepted
        self._runs = ScheduledRuns(term, observe_delay)
        self._dirty: dict[Key, None] = {}
        self._wakes: list[tuple[datetime, Key]] = []
        self._waking: set[tuple[datetime, Key]] = set()
        """The entries of `_wakes`, so that none is added twice."""
        self._finished: dict[Key, list[FinishedRun]] = {}
        """Finished runs by Dag, until the Dag is next reconciled: a new leader may not have read the Dag yet."""
        self.failure_limits = FailureLimits(term, self.changed)
        self.checks = DagChecks(spawn=term.spawn, on_checked=self.changed)
        self.catching_up: dict[Key, int] = {}
        """Dags with a failure limit that may have finished runs which the previous leader did not count, with the
        resourceVersion of the last run that it counted. A Dag is not reconciled until those runs are known."""

    def take_over(self) -> None:
        """Enqueue all cached Dags, as a new leader."""
        for key, dag in self._cluster.dags.items():
            try:
                # Before any of its runs can finish.
                self.failure_limits.understand(key, dag)
                status = usable_dag_status(dag.status)
                if limit_of(dag) and "consecutiveFailedRuns" in status:
                    self.catching_up[key] = int(status.get("lastRunResourceVersion") or dag.metadata.resource_version)
            except Exception as error:  # one Dag must not keep this replica from becoming leader
                self._on_failure(f"take over Dag {key[0]}/{key[1]}", error, partial(self.changed, key))
            self.changed(key)

    def caught_up(self, key: Key, runs: Iterable[FinishedRun]) -> None:
        """Count the runs of a Dag in `catching_up` that finished after the last counted one. Some of them may have
        finished in this term and be counted already."""
        if self.catching_up.pop(key, None) is not None and key in self._cluster.dags:
            seen = self._finished.setdefault(key, [])
            counted = {run.name for run in seen}
            status = usable_dag_status(self._cluster.dags[key].status)
            last, last_run = parse_time(status.get("lastRunFinishTime")), status.get("lastRun")
            for run in sorted(runs, key=lambda run: run.version, reverse=True):
                # A run that finished long before the last one was counted then; only its resourceVersion is newer.
                counted_before = last is not None and run.finished_at < last - CLOCKS_AGREE
                known = (run.name, run.finished_at) == (last_run, last)
                marked = run.phase is RunPhase.SUCCEEDED and status.get("lastRunPhase") != run.phase
                if run.name not in counted and not counted_before and (marked or not known):
                    seen.insert(0, run)
            self.changed(key)

    def changed(self, key: Key) -> None:
        """Enqueue a Dag that changed, or whose number of active runs changed."""
        self._dirty[key] = None
        self._wake()

    def run_loaded(self, state: RunState) -> None:
        """Handle a run that the scheduler now has."""
        entry = self.entries.get((state.info.namespace, state.info.dag))
        if entry is not None:
            entry.unseen.pop(state.info.name, None)
            self.changed(entry.key)

    def run_gone(self, key: Key, dag: str) -> None:
        """Handle a run that finished or was deleted, perhaps before the scheduler had it."""
        entry = self.entries.get((key[0], dag))
        if entry is not None:
            entry.unseen.pop(key[1], None)
            self.changed(entry.key)

    def run_finished(self, run: FinishedRun) -> None:
        """Count a finished run and enqueue its Dag."""
        key = (run.namespace, run.dag)
        if key in self._cluster.dags:
            self._history.finished(run)
            self._finished.setdefault(key, []).append(run)
            self.changed(key)

    def run_marked(self, dag: Key, name: str, phase: RunPhase) -> None:
        """Record that a finished run was marked with this phase."""
        entry = self.entries.get(dag)
        if entry is not None and entry.last_run == name:
            entry.last_run_phase = phase.value
            if phase is RunPhase.SUCCEEDED:
                self.failure_limits.note_marked(dag)
        self.changed(dag)

    async def accepted_hash(self, dag: DagObject) -> str:
        """Return the hash of the fields that runs depend on (content_hash); empty if the Dag cannot run. It is computed
        once for each version of the Dag."""
        return (await self.checks.wait(dag)).revision

    def step(self, now: datetime, budget: float) -> datetime | None:
        """Reconcile Dags that changed or are due, for about `budget` seconds. Return the time of the next call; None if
        nothing is due."""
        while self._wakes and self._wakes[0][0] <= now:
            when, key = heapq.heappop(self._wakes)
            self._waking.discard((when, key))
            entry = self.entries.get(key)
            if entry is not None and entry.wake_at == when:
                self._dirty[key] = None
        loop = asyncio.get_running_loop()
        until = loop.time() + budget
        while self._dirty:
            key = next(iter(self._dirty))
            del self._dirty[key]
            try:
                with working_on("Dag", key):
                    self._reconcile(key, now)
            except Exception as error:  # a Dag that cannot be reconciled must not stop the others
                self._on_failure(f"reconcile Dag {key[0]}/{key[1]}", error, partial(self.changed, key))
            if loop.time() > until and self._dirty:
                return now
        return self._wakes[0][0] if self._wakes else None

    def revisions_in_use(self, key: Key) -> set[str | None]:
        """Return the revisions used by a Dag or by its unfinished runs."""
        runs = self._scheduler.runs.values()
        used = {run.info.revision for run in runs if (run.info.namespace, run.info.dag) == key}
        used |= {run.spec.get("revision") for run in self._cluster.runs_of(key).values()}
        entry = self.entries.get(key)
        return used | ({names.revision_name(key[1], entry.revision)} if entry is not None else set())

    # One Dag ------------------------------------------------------------------------------------------------------

    def _reconcile(self, key: Key, now: datetime) -> None:
        found = self._cluster.dags.get(key)
        if found is None:
            self._finished.pop(key, None)
            self.catching_up.pop(key, None)
            self.failure_limits.forget(key)
            self.checks.forget(key)
            if self.entries.pop(key, None) is not None:
                # Its runs are deleted with it: those that wait must not start before that.
                self._scheduler.set_max_active_runs(*key, 0 if self._scheduler.active_runs(*key) else None)
                self._history.forget(key)
            return
        entry = self.entries.get(key)
        if entry is None or identity(entry) != identity_of(found):
            checked = self.checks.of(found)
            if checked is None:
                return  # it is enqueued again when the result is available
            entry = self.entries[key] = self._new_entry(key, found, checked, entry)
            self.failure_limits.understand(key, found)
            if entry.spec is not None:
                # The runs of a Dag that is being deleted are deleted with it: those that wait must not start.
                self._scheduler.set_max_active_runs(*key, 0 if entry.deleting else max_active_runs(entry.spec))
                self._on_accepted(key)
        entry.resource_version = found.metadata.resource_version
        if key in self.catching_up:
            return
        self._count_finished(entry)
        self._schedule(entry, now)
        if self.failure_limits.recorded(key, found.status):
            # The next leader would not count a run that is pruned before the status counts it.
            self._prune(entry, found, now)
        if entry.spec is not None and not entry.deleting:
            self.failure_limits.enforce(key, found)
        if self._wanted_status(entry) != without_times(found.status) and entry.status_task is None:
            again = partial(self._write_again, entry)
            entry.status_task = self._spawn(self._write_status(entry), f"status of Dag {key[1]}", again)

    def _prune(self, entry: Entry, found: DagObject, now: datetime) -> None:
        spec = entry.spec
        if spec is None or not self._history.has_surplus(entry.key, spec):
            return
        # Only the status counts here: a new leader knows nothing else.
        recorded = usable_time(found.status.get("lastScheduleTime")) or first_moment(spec, entry.created_at)
        others = max(recorded, settled_without_status(spec, entry.timetable, now) or recorded)
        self._history.prune(entry.key, Pruning(spec, {"Scheduled": recorded, "Backfill": others}))
        if entry.wake_at is None and entry.timetable is not None:
            # The run of the newest tick is kept; at the next tick it may be pruned, though nothing else changes.
            self._wake_at(entry, entry.timetable.next(now))

    def _count_finished(self, entry: Entry) -> None:
        for run in self._finished.pop(entry.key, ()):
            entry.last_run, entry.last_run_phase, entry.last_run_finished_at = (
                run.name,
                run.phase.value,
                run.finished_at,
            )
            entry.finished_since_write = True
            self.failure_limits.note_finished(entry.key, run)

    def _new_entry(self, key: Key, found: DagObject, checked: Checked, before: Entry | None) -> Entry:
        """Return a new entry for a Dag; keep the previous entry's state if it is still the same Dag."""
        metadata = found.metadata
        spec, problems = checked.spec, checked.problems
        same = before is not None and before.uid == metadata.uid
        status = usable_dag_status(found.status)
        if problems:
            message = summary(problems)
            log.info("Dag %s/%s is not accepted: %s", *key, message, extra=logs.about(key[0], dag=key[1]))
            self._recorder.record(
                regarding("Dag", *key, metadata.uid), "Warning", problems[0].reason, message, action="Validate"
            )
        created_at = parse_time(metadata.creation_timestamp) or self._clock.now()
        entry = Entry(
            key=key,
            uid=metadata.uid,
            generation=metadata.generation,
            created_at=created_at,
            spec=spec,
            problems=problems,
            revision=checked.revision[:10],
            timetable=timetable_of(spec, created_at) if spec else None,
            deleting=metadata.deletion_timestamp is not None,
            last=before.last if same and before else parse_time(status.get("lastScheduleTime")),
            last_run=status.get("lastRun"),
            last_run_phase=status.get("lastRunPhase"),
            last_run_finished_at=parse_time(status.get("lastRunFinishTime")),
            conditions=list(status.get("conditions") or ()),
        )
        if before and not same:
            self._history.forget(key)
        if not same:
            self._history.dag_added(key)
        if entry.revision not in (before.revision if same and before else status.get("revision"), ""):
            self._history.revised(key)
        if same and before:
            entry.creating, entry.status_task = before.creating, before.status_task
            entry.unseen, entry.checking_unseen = before.unseen, before.checking_unseen
            entry.trouble, entry.backoff = before.trouble, before.backoff
            entry.written_at, entry.finished_since_write = before.written_at, before.finished_since_write
            entry.last_run, entry.last_run_phase = before.last_run, before.last_run_phase
            entry.last_run_finished_at = before.last_run_finished_at
            entry.conditions = before.conditions
        return entry

    # Scheduled runs -----------------------------------------------------------------------------------------------

    def _schedule(self, entry: Entry, now: datetime) -> None:
        """Create the runs that are due, unless some are being created already."""
        spec, timetable = entry.spec, entry.timetable
        entry.wake_at = None
        if (
            spec is None
            or timetable is None
            or spec.suspend
            or entry.deleting
            or self.failure_limits.too_many(entry.key)
        ):
            entry.next, entry.after_run = None, False
            return
        if entry.creating or self.failure_limits.is_counting(entry.key):
            return
        check_at = self._check_unseen(entry, now)
        active = self._scheduler.active_runs(*entry.key) + len(entry.unseen)
        room = max_active_runs(spec) - active
        after = counts_from(spec, entry.created_at, entry.last)
        finished_at = entry.last_run_finished_at
        due = due_ticks(spec, timetable, after=after, now=now, room=room, finished_at=finished_at)
        if due.passed_over is not None:
            entry.last = due.passed_over
        entry.next, entry.after_run = due.next, due.after_run
        if due.create:
            entry.creating = True
            self._spawn(self._create_runs(entry, due.create), f"runs of {entry.key[1]}", partial(self._created, entry))
        else:
            self._wake_at(entry, min(filter(None, (due.wake_at, check_at)), default=None))

    def _check_unseen(self, entry: Entry, now: datetime) -> datetime | None:
        """Read created runs that the watch has not delivered: a run deleted while no watch was open is never
        delivered. Return the time of the next check."""
        if not entry.unseen:
            return None
        known = self._cluster.runs_of(entry.key)
        missed = [name for name, at in entry.unseen.items() if now - at >= MISSED_AFTER and name not in known]
        if missed and not entry.checking_unseen:
            entry.checking_unseen = True
            done = partial(self._unseen_checked, entry)
            self._spawn(self._read_unseen(entry, missed), f"runs of {entry.key[1]} that are missed", done)
        return now + MISSED_AFTER

    async def _read_unseen(self, entry: Entry, missed: list[str]) -> None:
        for name in missed:
            try:
                active = await self._runs.is_active(entry.key[0], name)
            except KubeError as error:  # no keep_trying: the next reconcile of the Dag checks again
                active = True
                log.warning("cannot read DagRun %s/%s: %s; trying again later", entry.key[0], name, error)
            if not active:
                entry.unseen.pop(name, None)
            elif name in entry.unseen:
                entry.unseen[name] = self._clock.now()
        self._unseen_checked(entry)

    def _unseen_checked(self, entry: Entry) -> None:
        for each in (entry, self._current(entry)):
            each.checking_unseen = False
        self.changed(entry.key)

    def _wake_at(self, entry: Entry, moment: datetime | None) -> None:
        """Requeue a Dag for that time."""
        entry.wake_at = moment
        if moment is not None and (moment, entry.key) not in self._waking:
            self._waking.add((moment, entry.key))
            heapq.heappush(self._wakes, (moment, entry.key))

    async def _create_runs(self, entry: Entry, ticks: list[Tick]) -> None:
        pause = TRY_AGAIN
        try:
            pause = await self._create_each(entry, ticks)
        except SteppedDown:
            return
        except KubeError as error:  # no keep_trying: other ticks may be due by then, so the Dag is reconciled again
            log.warning("cannot create a run of Dag %s/%s: %s; retrying in %g s", *entry.key, error, pause)
            note = f"cannot create a run: {error}"
            self._recorder.record(regarding("Dag", *entry.key, entry.uid), "Warning", "CreateFailed", note)
        if pause:
            await asyncio.sleep(pause)
        self._created(entry)

    def _created(self, entry: Entry) -> None:
        """Allow the next ticks' runs: the last ones were created, or failed."""
        for each in (entry, self._current(entry)):
            each.creating = False
        self.changed(entry.key)

    def _current(self, entry: Entry) -> Entry:
        """Return the newest entry of the same Dag; the given one if there is none."""
        current = self.entries.get(entry.key)
        return current if current is not None and current.uid == entry.uid else entry

    async def _create_each(self, entry: Entry, ticks: list[Tick]) -> float:
        """Create runs. Return the seconds to pause before the next ones."""
        for tick in ticks:
            try:
                taken = await self._runs.create(
                    entry.key, entry.uid, tick, entry.unseen, wanted=lambda: self._is_scheduled(entry)
                )
            except NotWanted:
                break
            except OldRun as old:
                self._current(entry).trouble = Trouble("OldRun", str(old), waits=True)
                return entry.backoff.next()
            entry.backoff.reset()
            for each in (entry, self._current(entry)):
                each.last = tick.logical_date
                each.trouble = Trouble("NameTaken", taken.message) if taken else None
        return 0.0

    def _is_scheduled(self, entry: Entry) -> bool:
        """True if the cached Dag still wants scheduled runs."""
        found = self._cluster.dags.get(entry.key)
        if found is None or found.metadata.uid != entry.uid or found.metadata.deletion_timestamp:
            return False
        return found.facts.suspend is not True

    # Status -------------------------------------------------------------------------------------------------------

    def _wanted_status(self, entry: Entry) -> dict[str, Any]:
        """Return the desired status, without transition times."""
        is_accepted = accepted(entry)
        status: dict[str, Any] = {
            "observedGeneration": entry.generation,
            # Ready is for tools that know nothing of Dags.
            "conditions": [
                is_accepted,
                scheduled(entry, self.failure_limits.too_many(entry.key)),
                {**is_accepted, "type": "Ready"},
            ],
            "activeRuns": self._scheduler.active_runs(*entry.key),
        }
        optional = {
            "revision": entry.revision or None,
            "schedule": schedule_text(entry.spec.all_schedules) or None if entry.spec else None,
            "lastScheduleTime": format_exactly(entry.last) if entry.last else None,
            "nextScheduleTime": format_time(entry.next) if entry.next else None,
            "lastRun": entry.last_run,
            "lastRunPhase": entry.last_run_phase,
            "lastRunFinishTime": format_time(entry.last_run_finished_at) if entry.last_run_finished_at else None,
            "lastRunResourceVersion": self.failure_limits.counted_until(entry.key),
            "consecutiveFailedRuns": self.failure_limits.count(entry.key),
        }
        return status | {name: value for name, value in optional.items() if value is not None}

    def _write_again(self, entry: Entry) -> None:
        self._current(entry).status_task = None
        self.changed(entry.key)

    def _pause(self, entry: Entry) -> float:
        """Seconds for which changes of a status are collected: few after a run finished, since people wait for that."""
        if not entry.conditions:
            return 0.0
        if entry.finished_since_write and asyncio.get_running_loop().time() - entry.written_at >= WRITE_EVERY:
            return min(GATHER, WRITE_EVERY)
        return WRITE_EVERY

    async def _write_status(self, entry: Entry) -> None:
        """Write the status after a pause, and again until it is as desired."""
        while True:
            await asyncio.sleep(self._pause(self._current(entry)))
            current = self.entries.get(entry.key)
            found = self._cluster.dags.get(entry.key)
            if current is None or found is None or current.uid != entry.uid:
                return
            self._count_finished(current)
            wanted = self._wanted_status(current)
            if wanted == without_times(found.status):
                current.status_task = None
                return
            current.conditions = with_times(wanted["conditions"], current.conditions, self._clock.now())
            status = {**dict.fromkeys(found.status), **wanted, "conditions": current.conditions}
            body = {"metadata": {"resourceVersion": found.metadata.resource_version}, "status": status}
            try:
                # Low priority: the status of thousands of Dags must not delay their runs.
                await self._writer.patch(DAGS, *entry.key, body, subresource="status", priority=Priority.CONDITION)
            except SteppedDown:
                return
            except KubeError as error:  # no keep_trying: this loop compares again after a failure and after a success
                if not (isinstance(error, ApiError) and (error.is_conflict or error.is_not_found)):
                    log.warning("cannot write the status of Dag %s/%s: %s; retrying", *entry.key, error)
            current.written_at, current.finished_since_write = asyncio.get_running_loop().time(), False
