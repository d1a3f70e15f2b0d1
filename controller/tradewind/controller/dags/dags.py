"""Dags: whether they are accepted, the runs that their schedule asks for, and how much history is kept."""

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
from tradewind.cache.resources import DAGS, DagObject, regarding
from tradewind.controller.dags.checks import Checked, DagChecks
from tradewind.controller.dags.entry import Entry, Trouble, accepted, identity, identity_of, scheduled, without_times
from tradewind.controller.dags.failure_limits import FailureLimits, limit_of
from tradewind.controller.dags.history import History, Pruning
from tradewind.controller.dags.scheduled_runs import OldRun, ScheduledRuns
from tradewind.controller.term import Term
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase
from tradewind.engine.schedule.due import counts_from, due_ticks, first_moment, max_active_runs, settled_without_status
from tradewind.engine.schedule.ended_run import EndedRun
from tradewind.engine.status.check import usable_dag_status, usable_time
from tradewind.engine.timetables import Tick, timetable_of
from tradewind.kube.errors import ApiError, KubeError, SteppedDown
from tradewind.kube.objects import Key
from tradewind.kube.working_on import working_on
from tradewind.kube.writer import NotWanted, Priority

log = logging.getLogger(__name__)

WRITE_EVERY = 1.0
"""Seconds in which changes of a Dag's status are gathered."""
GATHER = 0.1
"""The same when a run has ended and nothing was written for that long."""
CLOCKS_AGREE = timedelta(minutes=1)
"""Runs end by the clocks of controllers and nodes, which may differ by this."""
TRY_AGAIN = 5.0
"""Seconds until runs that could not be made are tried again."""
MISSED_AFTER = timedelta(seconds=30)
"""Of a run that was made the watch tells sooner."""


class Dags:
    """The Dags of the cluster as this process understands them; `lead` is whether it may act on them."""

    def __init__(
        self,
        term: Term,
        history: History,
        *,
        on_accepted: Callable[[Key], None],
        observe_delay: Callable[[Key, float], None],
    ) -> None:
        """`on_accepted(dag)`: it can have runs; `observe_delay(dag, seconds)`: the run of a tick was made so late."""
        self.entries: dict[Key, Entry] = {}
        self._writer, self._cluster, self._scheduler = term.writer, term.cluster, term.scheduler
        self._recorder, self._clock, self._spawn = term.recorder, term.clock, term.spawn
        self._on_failure, self._wake = term.on_failure, term.wake
        self._history, self._on_accepted = history, on_accepted
        self._runs = ScheduledRuns(term, observe_delay)
        self._dirty: dict[Key, None] = {}
        self._wakes: list[tuple[datetime, Key]] = []
        self._waking: set[tuple[datetime, Key]] = set()
        """The same: each is there once."""
        self._ended: dict[Key, list[EndedRun]] = {}
        """Runs that have ended, until their Dag is next worked on: a new leader may not have understood it yet."""
        self.failure_limits = FailureLimits(term, self.changed)
        self.checks = DagChecks(spawn=term.spawn, on_checked=self.changed)
        self.catching_up: dict[Key, int] = {}
        """Dags with a failure limit of which runs may have ended that the last leader could not count any more, with
        the resourceVersion of the last that it did. Until those are known nothing is done about the Dag."""

    def take_over(self) -> None:
        """Start with the Dags there are."""
        for key, dag in self._cluster.dags.items():
            try:
                # Before any of its runs can end.
                self.failure_limits.understand(key, dag)
                status = usable_dag_status(dag.status)
                if limit_of(dag) and "consecutiveFailedRuns" in status:
                    self.catching_up[key] = int(status.get("lastRunResourceVersion") or dag.metadata.resource_version)
            except Exception as error:  # one Dag must not keep anybody from leading
                self._on_failure(f"take over Dag {key[0]}/{key[1]}", error, partial(self.changed, key))
            self.changed(key)

    def caught_up(self, key: Key, runs: Iterable[EndedRun]) -> None:
        """The runs of a Dag in `catching_up` that have ended since; some of them we may have seen end ourselves."""
        if self.catching_up.pop(key, None) is not None and key in self._cluster.dags:
            seen = self._ended.setdefault(key, [])
            counted = {run.name for run in seen}
            status = usable_dag_status(self._cluster.dags[key].status)
            last, last_run = parse_time(status.get("lastRunFinishTime")), status.get("lastRun")
            for run in sorted(runs, key=lambda run: run.version, reverse=True):
                # One that ended long before was counted then, and has only been written to since.
                written_to = last is not None and run.finished_at < last - CLOCKS_AGREE
                known = (run.name, run.finished_at) == (last_run, last)
                marked = run.phase is RunPhase.SUCCEEDED and status.get("lastRunPhase") != run.phase
                if run.name not in counted and not written_to and (marked or not known):
                    seen.insert(0, run)
            self.changed(key)

    def changed(self, key: Key) -> None:
        """A Dag, or the number of its active runs, is new."""
        self._dirty[key] = None
        self._wake()

    def run_loaded(self, state: RunState) -> None:
        """A run of a Dag is scheduled from now on."""
        entry = self.entries.get((state.info.namespace, state.info.dag))
        if entry is not None:
            entry.unseen.pop(state.info.name, None)
            self.changed(entry.key)

    def run_gone(self, key: Key, dag: str) -> None:
        """A run has ended or was deleted, perhaps without ever having been scheduled."""
        entry = self.entries.get((key[0], dag))
        if entry is not None:
            entry.unseen.pop(key[1], None)
            self.changed(entry.key)

    def run_finished(self, run: EndedRun) -> None:
        """A run of a Dag has ended."""
        key = (run.namespace, run.dag)
        if key in self._cluster.dags:
            self._history.finished(run)
            self._ended.setdefault(key, []).append(run)
            self.changed(key)

    def run_marked(self, dag: Key, name: str, phase: RunPhase) -> None:
        """A run that had ended was marked: it has ended like this."""
        entry = self.entries.get(dag)
        if entry is not None and entry.last_run == name:
            entry.last_run_phase = phase.value
            if phase is RunPhase.SUCCEEDED:
                self.failure_limits.note_marked(dag)
        self.changed(dag)

    async def accepted_hash(self, dag: DagObject) -> str:
        """The hash of what its runs depend on (content_hash), made once for all of them; empty if it cannot run, by all
        that it says."""
        return (await self.checks.wait(dag)).revision

    def step(self, now: datetime, budget: float) -> datetime | None:
        """Work on what has changed or come due, for about `budget` seconds; when to be called again."""
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
            except Exception as error:  # one Dag that cannot be worked on must not stop the others
                self._on_failure(f"work on Dag {key[0]}/{key[1]}", error, partial(self.changed, key))
            if loop.time() > until and self._dirty:
                return now
        return self._wakes[0][0] if self._wakes else None

    def revisions_in_use(self, key: Key) -> set[str | None]:
        """Revisions that a Dag has, or a run of it that has not finished."""
        runs = self._scheduler.runs.values()
        used = {run.info.revision for run in runs if (run.info.namespace, run.info.dag) == key}
        used |= {run.spec.get("revision") for run in self._cluster.runs_of(key).values()}
        entry = self.entries.get(key)
        return used | ({names.revision_name(key[1], entry.revision)} if entry is not None else set())

    # One Dag ------------------------------------------------------------------------------------------------------

    def _reconcile(self, key: Key, now: datetime) -> None:
        found = self._cluster.dags.get(key)
        if found is None:
            self._ended.pop(key, None)
            self.catching_up.pop(key, None)
            self.failure_limits.forget(key)
            self.checks.forget(key)
            if self.entries.pop(key, None) is not None:
                # Its runs go with it: those that wait must not start before they do.
                self._scheduler.set_max_active_runs(*key, 0 if self._scheduler.active_runs(*key) else None)
                self._history.forget(key)
            return
        entry = self.entries.get(key)
        if entry is None or identity(entry) != identity_of(found):
            checked = self.checks.of(found)
            if checked is None:
                return  # it comes back once that is known
            entry = self.entries[key] = self._understand(key, found, checked, entry)
            self.failure_limits.understand(key, found)
            if entry.spec is not None:
                # The runs of one that is being deleted go with it: those that wait must not start before they do.
                self._scheduler.set_max_active_runs(*key, 0 if entry.deleting else max_active_runs(entry.spec))
                self._on_accepted(key)
        entry.resource_version = found.metadata.resource_version
        if key in self.catching_up:
            return
        self._note_ended(entry)
        self._schedule(entry, now)
        if self.failure_limits.recorded(key, found.status):
            # A run that is pruned before status counts it would be unknown to the next leader.
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
        # By the status as it was read: whatever else is known dies with this leader.
        recorded = usable_time(found.status.get("lastScheduleTime")) or first_moment(spec, entry.created_at)
        others = max(recorded, settled_without_status(spec, entry.timetable, now) or recorded)
        self._history.prune(entry.key, Pruning(spec, {"Scheduled": recorded, "Backfill": others}))
        if entry.wake_at is None and entry.timetable is not None:
            # What is held for the newest tick is not once there is a newer one, though nothing else happens to the Dag.
            self._wake_at(entry, entry.timetable.next(now))

    def _note_ended(self, entry: Entry) -> None:
        for run in self._ended.pop(entry.key, ()):
            entry.last_run, entry.last_run_phase, entry.last_run_ended = run.name, run.phase.value, run.finished_at
            entry.has_ended = True
            self.failure_limits.note_ended(entry.key, run)

    def _understand(self, key: Key, found: DagObject, checked: Checked, before: Entry | None) -> Entry:
        """Take over what is known of the Dag."""
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
            last_run_ended=parse_time(status.get("lastRunFinishTime")),
            conditions=list(status.get("conditions") or ()),
        )
        if before and not same:
            self._history.forget(key)
        if entry.revision not in (before.revision if same and before else status.get("revision"), ""):
            self._history.revised(key)
        if same and before:
            entry.creating, entry.status_task = before.creating, before.status_task
            entry.unseen, entry.looking = before.unseen, before.looking
            entry.trouble, entry.backoff = before.trouble, before.backoff
            entry.written_at, entry.has_ended = before.written_at, before.has_ended
            entry.last_run, entry.last_run_phase = before.last_run, before.last_run_phase
            entry.last_run_ended = before.last_run_ended
            entry.conditions = before.conditions
        return entry

    # Scheduled runs -----------------------------------------------------------------------------------------------

    def _schedule(self, entry: Entry, now: datetime) -> None:
        """Make the runs that are due, unless some are being made already."""
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
        missed_at = self._look_for_missed(entry, now)
        active = self._scheduler.active_runs(*entry.key) + len(entry.unseen)
        room = max_active_runs(spec) - active
        after = counts_from(spec, entry.created_at, entry.last)
        due = due_ticks(spec, timetable, after=after, now=now, room=room, finished_at=entry.last_run_ended)
        if due.passed_over is not None:
            entry.last = due.passed_over
        entry.next, entry.after_run = due.next, due.after_run
        if due.create:
            entry.creating = True
            self._spawn(self._create_runs(entry, due.create), f"runs of {entry.key[1]}", partial(self._created, entry))
        else:
            self._wake_at(entry, min(filter(None, (due.wake_at, missed_at)), default=None))

    def _look_for_missed(self, entry: Entry, now: datetime) -> datetime | None:
        """Ask for runs that were made and that nothing is heard of: no watch tells of one that was deleted while none
        was open. When to look again."""
        if not entry.unseen:
            return None
        known = self._cluster.runs_of(entry.key)
        missed = [name for name, made in entry.unseen.items() if now - made >= MISSED_AFTER and name not in known]
        if missed and not entry.looking:
            entry.looking = True
            looked = partial(self._looked, entry)
            self._spawn(self._look_for(entry, missed), f"runs of {entry.key[1]} that are missed", looked)
        return now + MISSED_AFTER

    async def _look_for(self, entry: Entry, missed: list[str]) -> None:
        for name in missed:
            try:
                gone = not await self._runs.is_active(entry.key[0], name)
            except KubeError as error:  # no keep_trying: they are looked for again when the Dag is next reconciled
                gone = False
                log.warning("cannot look for DagRun %s/%s: %s", entry.key[0], name, error)
            if gone:
                entry.unseen.pop(name, None)
            elif name in entry.unseen:
                entry.unseen[name] = self._clock.now()
        self._looked(entry)

    def _looked(self, entry: Entry) -> None:
        for each in (entry, self._current(entry)):
            each.looking = False
        self.changed(entry.key)

    def _wake_at(self, entry: Entry, moment: datetime | None) -> None:
        """Look at a Dag again at that moment."""
        entry.wake_at = moment
        if moment is not None and (moment, entry.key) not in self._waking:
            self._waking.add((moment, entry.key))
            heapq.heappush(self._wakes, (moment, entry.key))

    async def _create_runs(self, entry: Entry, ticks: list[Tick]) -> None:
        pause = TRY_AGAIN
        try:
            pause = await self._make_runs(entry, ticks)
        except SteppedDown:
            return
        except KubeError as error:  # no keep_trying: by then other ticks may be due, so the Dag is reconciled again
            log.warning("cannot make a run of Dag %s/%s: %s", *entry.key, error)
            note = f"cannot make its run: {error}"
            self._recorder.record(regarding("Dag", *entry.key, entry.uid), "Warning", "CreateFailed", note)
        if pause:
            await asyncio.sleep(pause)
        self._created(entry)

    def _created(self, entry: Entry) -> None:
        """Runs were made, or could not be: the next ticks may get theirs."""
        for each in (entry, self._current(entry)):
            each.creating = False
        self.changed(entry.key)

    def _current(self, entry: Entry) -> Entry:
        """What is known now of the Dag that an entry is of."""
        current = self.entries.get(entry.key)
        return current if current is not None and current.uid == entry.uid else entry

    async def _make_runs(self, entry: Entry, ticks: list[Tick]) -> float:
        """The seconds until there may be more to do."""
        for tick in ticks:
            try:
                taken = await self._runs.make(
                    entry.key, entry.uid, tick, entry.unseen, wanted=lambda: self._is_scheduled(entry)
                )
            except NotWanted:
                break
            except OldRun as old:
                self._current(entry).trouble = Trouble("OldRun", f"waits until {old}", waits=True)
                return entry.backoff.next()
            entry.backoff.reset()
            for each in (entry, self._current(entry)):
                each.last = tick.logical_date
                each.trouble = Trouble("NameTaken", taken.message) if taken else None
        return 0.0

    def _is_scheduled(self, entry: Entry) -> bool:
        """Whether a Dag is to have scheduled runs still, by all that was heard of it."""
        found = self._cluster.dags.get(entry.key)
        if found is None or found.metadata.uid != entry.uid or found.metadata.deletion_timestamp:
            return False
        return found.facts.suspend is not True

    # Status -------------------------------------------------------------------------------------------------------

    def _wanted_status(self, entry: Entry) -> dict[str, Any]:
        """The status as it should be, transition times left out."""
        is_accepted = accepted(entry)
        status: dict[str, Any] = {
            "observedGeneration": entry.generation,
            # Ready is what tools that know nothing of Dags look at.
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
            "lastRunFinishTime": format_time(entry.last_run_ended) if entry.last_run_ended else None,
            "lastRunResourceVersion": self.failure_limits.counted_until(entry.key),
            "consecutiveFailedRuns": self.failure_limits.count(entry.key),
        }
        return status | {name: value for name, value in optional.items() if value is not None}

    def _write_again(self, entry: Entry) -> None:
        self._current(entry).status_task = None
        self.changed(entry.key)

    def _pause(self, entry: Entry) -> float:
        """Seconds in which changes of a status are gathered: few where a run has just ended, which people wait for."""
        if not entry.conditions:
            return 0.0
        if entry.has_ended and asyncio.get_running_loop().time() - entry.written_at >= WRITE_EVERY:
            return min(GATHER, WRITE_EVERY)
        return WRITE_EVERY

    async def _write_status(self, entry: Entry) -> None:
        """Write the status once changes have settled, and again while it is not what it should be."""
        while True:
            await asyncio.sleep(self._pause(self._current(entry)))
            current = self.entries.get(entry.key)
            found = self._cluster.dags.get(entry.key)
            if current is None or found is None or current.uid != entry.uid:
                return
            self._note_ended(current)
            wanted = self._wanted_status(current)
            if wanted == without_times(found.status):
                current.status_task = None
                return
            current.conditions = with_times(wanted["conditions"], current.conditions, self._clock.now())
            status = {**dict.fromkeys(found.status), **wanted, "conditions": current.conditions}
            body = {"metadata": {"resourceVersion": found.metadata.resource_version}, "status": status}
            try:
                # Thousands of Dags at once must not hold up their runs: it is only to be looked at.
                await self._writer.patch(DAGS, *entry.key, body, subresource="status", priority=Priority.CONDITION)
            except SteppedDown:
                return
            except KubeError as error:  # no keep_trying: after a failure as after a success it is compared once more
                if not (isinstance(error, ApiError) and (error.is_conflict or error.is_not_found)):
                    log.warning("cannot write the status of Dag %s/%s: %s", *entry.key, error)
            current.written_at, current.has_ended = asyncio.get_running_loop().time(), False
