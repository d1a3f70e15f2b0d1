"""waitFor.dagRun: a run of a Dag, or a task of it, in the namespace of the run that waits.

Unfinished runs are in the cache and in the scheduler. Finished runs are read once, when a task starts to wait; from
then on each run that is created, changes, finishes or is deleted is evaluated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from tradewind.api.duration import parse_duration, parse_offset
from tradewind.api.sensor import WaitForDagRun
from tradewind.api.times import format_time
from tradewind.cache.finished_runs import FinishedRow, list_finished_runs, place_of_object, read_finished_run
from tradewind.cache.resources import DagRunObject
from tradewind.controller.kinds.waiter import CannotWait, Waiter
from tradewind.controller.term import Term
from tradewind.engine.kinds.wait_for import parse_moment
from tradewind.engine.rules.previous_runs import RunPlace, place_of
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import FINISHED_STATES, TaskState
from tradewind.kube.backoff import Backoff
from tradewind.kube.errors import KubeError
from tradewind.kube.informer import Change, ChangeKind
from tradewind.kube.objects import Key
from tradewind.kube.persist import keep_trying


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A run that matches, with the state of the awaited task or the run's phase; None if it has no such task."""

    uid: str
    place: RunPlace
    finished: bool
    state: str | None


@dataclass(slots=True, eq=False)
class _Wanted:
    """The runs that one task waits for: their logical date is from `first` to `last`, both included."""

    waiter: Waiter
    dag: Key
    task: str | None
    first: datetime
    last: datetime
    states: frozenset[str]
    finished: dict[str, _Candidate] = field(default_factory=dict)
    """Finished runs by UID."""
    read: bool = False
    """Runs that had finished before are read."""

    def fits(self, date: datetime) -> bool:
        return self.first <= _whole_ms(date) <= self.last


class DagRunWaits:
    """The tasks that wait for runs."""

    def __init__(self, term: Term) -> None:
        self._client, self._cluster, self._spawn = term.client, term.cluster, term.spawn
        self._runs = term.scheduler.runs
        self._wanted: dict[Key, dict[_Wanted, None]] = {}
        """By the Dag that they wait for."""
        self._unread: dict[Key, list[_Wanted]] = {}
        """Those that need finished runs to be read."""
        self._reading: set[Key] = set()

    def begin(self, waiter: Waiter, fields: WaitForDagRun) -> None:
        """Evaluate the wait, now and after each change."""
        try:
            wanted = _wanted(waiter, fields)
        except CannotWait as error:
            waiter.fail(error.reason, str(error))
            return
        self._wanted.setdefault(wanted.dag, {})[wanted] = None
        waiter.cleanups.append(lambda: self._forget(wanted))
        self._evaluate(wanted)
        self._read_for(wanted)

    def scheduled_run_changed(self, run: RunState) -> None:
        """Handle a change of a run that is scheduled."""
        for wanted in self._waiting_for((run.info.namespace, run.info.dag), run.info.logical_date):
            self._evaluate(wanted, run)

    def run_changed(self, key: Key, change: Change[DagRunObject]) -> None:
        """Handle a DagRun that was created, changed, finished or deleted."""
        place = place_of_object(change.object)
        if place is None or (change.kind is ChangeKind.MODIFIED and change.object.metadata.uid in self._runs):
            # Changes of a scheduled run are known before they are in its status.
            return
        for wanted in self._waiting_for((key[0], change.object.dag), place[0]):
            if change.kind is not ChangeKind.DELETED or change.object.metadata.uid in wanted.finished:
                self._evaluate(wanted)
            else:
                # Deleted, or finished by another controller.
                self._read_for(wanted)

    def run_marked(self, run: DagRunObject) -> None:
        """Handle a finished run that was marked."""
        place = place_of_object(run)
        for wanted in self._waiting_for((run.metadata.namespace, run.dag), place[0]) if place is not None else ():
            self._read_for(wanted)

    def dag_changed(self, dag: Key) -> None:
        """Handle a Dag that was created or deleted."""
        for wanted in list(self._wanted.get(dag, ())):
            self._evaluate(wanted)

    def _waiting_for(self, dag: Key, date: datetime) -> list[_Wanted]:
        return [wanted for wanted in self._wanted.get(dag, ()) if wanted.fits(date)]

    def _forget(self, wanted: _Wanted) -> None:
        others = self._wanted.get(wanted.dag, {})
        others.pop(wanted, None)
        if not others:
            self._wanted.pop(wanted.dag, None)

    # Finished runs ------------------------------------------------------------------------------------------------

    def _read_for(self, wanted: _Wanted) -> None:
        if wanted.waiter.over:
            return
        # Runs that finish from now on are kept when the list is read.
        wanted.read, wanted.finished = False, {}
        self._unread.setdefault(wanted.dag, []).append(wanted)
        if wanted.dag not in self._reading:
            self._reading.add(wanted.dag)
            self._spawn(self._read(wanted.dag), f"read the runs of {wanted.dag[1]}")

    async def _read(self, dag: Key) -> None:
        """Read once for all waiting tasks; tasks that are added meanwhile get another read."""
        what, backoff = f"read the runs of Dag {dag[0]}/{dag[1]}", Backoff(0.5, 30.0)
        try:
            while dag in self._unread:
                await keep_trying(partial(self._read_once, dag), what, backoff)
        finally:
            self._reading.discard(dag)

    async def _read_once(self, dag: Key) -> None:
        batch = [wanted for wanted in self._unread.pop(dag, ()) if not wanted.waiter.over]
        try:
            if batch:
                await self._read_batch(dag, batch)
        except KubeError as error:
            for wanted in batch:
                wanted.waiter.not_yet("ApiUnavailable", f"cannot read the runs of Dag {dag[1]!r}: {error}")
            self._unread[dag] = [*batch, *self._unread.pop(dag, ())]
            raise

    async def _read_batch(self, dag: Key, batch: list[_Wanted]) -> None:
        rows = await list_finished_runs(self._client, dag)
        states: dict[str, Mapping[str, TaskState] | None] = {}
        for wanted in batch:
            found: dict[str, _Candidate] = {}
            for row in reversed([row for row in rows if wanted.fits(row.place[0])]):
                if wanted.task is not None and row.uid not in states:
                    past = await read_finished_run(self._client, row, dag[0])
                    states[row.uid] = past.states if past is not None else None
                if wanted.task is None or states[row.uid] is not None:
                    found[row.uid] = _finished(wanted, row, states.get(row.uid) or {})
                    if found[row.uid].state in wanted.states:
                        break
            wanted.finished = found | wanted.finished
            wanted.read = True
            self._evaluate(wanted)

    # Evaluation ---------------------------------------------------------------------------------------------------

    def _candidates(self, wanted: _Wanted) -> dict[str, _Candidate]:
        """Return all runs that match, by UID."""
        found = dict(wanted.finished)
        for run in self._cluster.runs_of(wanted.dag).values():
            place = place_of_object(run)
            if place is not None and wanted.fits(place[0]):
                uid, state = run.metadata.uid, self._runs.get(run.metadata.uid)
                if state is not None:
                    found[uid] = _scheduled(wanted, state)
                else:
                    # If it was finished before, it runs again.
                    phase = str(run.decoded_status().get("phase", "Queued"))
                    found[uid] = _Candidate(uid, place, False, phase)
        return found

    def _evaluate(self, wanted: _Wanted, changed: RunState | None = None) -> None:
        """Report how far a wait is."""
        if wanted.waiter.over:
            return
        candidates = self._candidates(wanted)
        if changed is not None:
            found = candidates[changed.info.uid] = _scheduled(wanted, changed)
            if found.finished and changed.finished:
                wanted.finished[found.uid] = found
        if any(each.finished and each.state in wanted.states for each in candidates.values()):
            wanted.waiter.met()
            return
        if not wanted.read:
            return
        in_order = sorted(candidates.values(), key=lambda each: each.place)
        unfinished = [each for each in in_order if not each.finished]
        if unfinished:
            last = unfinished[-1]
            wanted.waiter.not_yet("WaitsForRun", f"waiting for {_label(wanted, last)}: {last.state}")
        elif in_order and wanted.first == wanted.last:
            wanted.waiter.fail("WaitedForEnded", _why_not(wanted, in_order[-1]), retry=True)
        else:
            wanted.waiter.not_yet("RunNotFound", self._none(wanted, in_order))

    def _none(self, wanted: _Wanted, finished: list[_Candidate]) -> str:
        """Return why there is no run to wait for."""
        name = wanted.dag[1]
        if wanted.dag not in self._cluster.dags:
            return f"waiting for a run of Dag {name!r}, which does not exist"
        dates = f"the logical date {format_time(wanted.last)}"
        if wanted.first != wanted.last:
            dates = f"a logical date from {format_time(wanted.first)} to {format_time(wanted.last)}"
        if not finished:
            return f"waiting for a run of Dag {name!r} with {dates}: none exists yet"
        return f"waiting for another run of Dag {name!r} with {dates}: {_why_not(wanted, finished[-1])}"


def _wanted(waiter: Waiter, fields: WaitForDagRun) -> _Wanted:
    """Raises CannotWait."""
    date = waiter.wait.run.logical_date
    if fields.logical_date is not None:
        text = waiter.rendered(fields.logical_date, "waitFor.dagRun.logicalDate")
        try:
            date = parse_moment(text)
        except ValueError as error:
            raise CannotWait("InvalidTemplate", f"waitFor.dagRun.logicalDate: {error}") from error
    try:
        last = _whole_ms(date + (parse_offset(fields.offset) if fields.offset else timedelta()))
        first = last - (parse_duration(fields.window) if fields.window else timedelta())
    except OverflowError as error:
        raise CannotWait(
            "InvalidTemplate", "waitFor.dagRun: offset or window leads to a date that is out of range"
        ) from error
    dag = waiter.wait.run.namespace, fields.dag
    return _Wanted(waiter, dag, fields.task, first, last, frozenset(fields.states or ("Succeeded",)))


def _scheduled(wanted: _Wanted, run: RunState) -> _Candidate:
    place = place_of(run.info)
    if wanted.task is None:
        return _Candidate(run.info.uid, place, run.finished, run.phase.value)
    position = run.graph.position.get(wanted.task)
    if position is None:
        return _Candidate(run.info.uid, place, True, None)
    state = run.nodes[position].state
    shown = "not started" if state is TaskState.NONE else state.value
    return _Candidate(run.info.uid, place, state in FINISHED_STATES, shown)


def _finished(wanted: _Wanted, row: FinishedRow, states: Mapping[str, TaskState]) -> _Candidate:
    if wanted.task is None:
        return _Candidate(row.uid, row.place, True, row.phase.value)
    state = states.get(wanted.task)
    return _Candidate(row.uid, row.place, True, state.value if state is not None else None)


def _label(wanted: _Wanted, found: _Candidate) -> str:
    run = f"run {found.place[2]!r} of Dag {wanted.dag[1]!r}"
    return f"task {wanted.task!r} of {run}" if wanted.task is not None else run


def _why_not(wanted: _Wanted, found: _Candidate) -> str:
    if found.state is None:
        return f"run {found.place[2]!r} of Dag {wanted.dag[1]!r} has no task {wanted.task!r}"
    return f"{_label(wanted, found)} finished as {found.state}"


def _whole_ms(moment: datetime) -> datetime:
    """Round down to the precision of times in status."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
