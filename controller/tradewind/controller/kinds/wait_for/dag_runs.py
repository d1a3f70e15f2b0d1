"""waitFor.dagRun: a run of a Dag, or a task of it, in the namespace of the run that waits.

Runs that go on are in the cache and in the scheduler; those that have ended are read once, when somebody begins to
wait, and from then on each is heard of as it comes, moves, ends or goes.
"""

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
    """A run that would do, and how far what is waited for is in it: a state or phase; None: it has no such task."""

    uid: str
    place: RunPlace
    ended: bool
    state: str | None


@dataclass(slots=True, eq=False)
class _Wanted:
    """What one task waits for: runs whose logical date lies in [first, last], both included."""

    waiter: Waiter
    dag: Key
    task: str | None
    first: datetime
    last: datetime
    states: frozenset[str]
    ended: dict[str, _Candidate] = field(default_factory=dict)
    """Runs that have ended, by UID."""
    read: bool = False
    """Whether those that had ended before are known."""

    def fits(self, date: datetime) -> bool:
        return self.first <= _whole_ms(date) <= self.last


class DagRunWaits:
    """Who waits for runs."""

    def __init__(self, term: Term) -> None:
        self._client, self._cluster, self._spawn = term.client, term.cluster, term.spawn
        self._runs = term.scheduler.runs
        self._wanted: dict[Key, dict[_Wanted, None]] = {}
        """By Dag waited for."""
        self._unread: dict[Key, list[_Wanted]] = {}
        """Those for which ended runs are to be read."""
        self._reading: set[Key] = set()

    def begin(self, waiter: Waiter, fields: WaitForDagRun) -> None:
        """Look whether it has come, and hear of it from then on."""
        try:
            wanted = _wanted(waiter, fields)
        except CannotWait as error:
            waiter.never(error.reason, str(error))
            return
        self._wanted.setdefault(wanted.dag, {})[wanted] = None
        waiter.cleanups.append(lambda: self._forget(wanted))
        self._look(wanted)
        self._read_for(wanted)

    def run_moved(self, run: RunState) -> None:
        """Something happened in a run that is scheduled."""
        for wanted in self._who_wants((run.info.namespace, run.info.dag), run.info.logical_date):
            self._look(wanted, run)

    def run_changed(self, key: Key, change: Change[DagRunObject]) -> None:
        """A DagRun came, changed, finished or went."""
        place = place_of_object(change.object)
        if place is None or (change.kind is ChangeKind.MODIFIED and change.object.metadata.uid in self._runs):
            # What moves in a run that is scheduled is known before it is in status.
            return
        for wanted in self._who_wants((key[0], change.object.dag), place[0]):
            if change.kind is not ChangeKind.DELETED or change.object.metadata.uid in wanted.ended:
                self._look(wanted)
            else:
                # Deleted, or ended by another controller.
                self._read_for(wanted)

    def run_marked(self, run: DagRunObject) -> None:
        """A run that had ended has another end."""
        place = place_of_object(run)
        for wanted in self._who_wants((run.metadata.namespace, run.dag), place[0]) if place is not None else ():
            self._read_for(wanted)

    def dag_changed(self, dag: Key) -> None:
        """A Dag came or went."""
        for wanted in list(self._wanted.get(dag, ())):
            self._look(wanted)

    def _who_wants(self, dag: Key, date: datetime) -> list[_Wanted]:
        return [wanted for wanted in self._wanted.get(dag, ()) if wanted.fits(date)]

    def _forget(self, wanted: _Wanted) -> None:
        others = self._wanted.get(wanted.dag, {})
        others.pop(wanted, None)
        if not others:
            self._wanted.pop(wanted.dag, None)

    # Runs that have ended -----------------------------------------------------------------------------------------

    def _read_for(self, wanted: _Wanted) -> None:
        if wanted.waiter.over:
            return
        # What ends from now on is not forgotten by what is read.
        wanted.read, wanted.ended = False, {}
        self._unread.setdefault(wanted.dag, []).append(wanted)
        if wanted.dag not in self._reading:
            self._reading.add(wanted.dag)
            self._spawn(self._read(wanted.dag), f"read the runs of {wanted.dag[1]}")

    async def _read(self, dag: Key) -> None:
        """Read for all who ask, in one go; those who come meanwhile have another."""
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
                    found[row.uid] = _ended(wanted, row, states.get(row.uid) or {})
                    if found[row.uid].state in wanted.states:
                        break
            wanted.ended = found | wanted.ended
            wanted.read = True
            self._look(wanted)

    # How far it is ------------------------------------------------------------------------------------------------

    def _candidates(self, wanted: _Wanted) -> dict[str, _Candidate]:
        """Every run that would do, by UID."""
        found = dict(wanted.ended)
        for run in self._cluster.runs_of(wanted.dag).values():
            place = place_of_object(run)
            if place is not None and wanted.fits(place[0]):
                uid, state = run.metadata.uid, self._runs.get(run.metadata.uid)
                if state is not None:
                    found[uid] = _scheduled(wanted, state)
                else:
                    # Whatever is known of how it ended before: it runs again.
                    phase = str(run.decoded_status().get("phase", "Queued"))
                    found[uid] = _Candidate(uid, place, False, phase)
        return found

    def _look(self, wanted: _Wanted, moved: RunState | None = None) -> None:
        """Tell how far it is."""
        if wanted.waiter.over:
            return
        candidates = self._candidates(wanted)
        if moved is not None:
            found = candidates[moved.info.uid] = _scheduled(wanted, moved)
            if found.ended and moved.finished:
                wanted.ended[found.uid] = found
        if any(each.ended and each.state in wanted.states for each in candidates.values()):
            wanted.waiter.met()
            return
        if not wanted.read:
            return
        in_order = sorted(candidates.values(), key=lambda each: each.place)
        going_on = [each for each in in_order if not each.ended]
        if going_on:
            wanted.waiter.not_yet("WaitsForRun", f"waits for {_label(wanted, going_on[-1])}: {going_on[-1].state}")
        elif in_order and wanted.first == wanted.last:
            wanted.waiter.never("WaitedForEnded", _why_never(wanted, in_order[-1]), retry=True)
        else:
            wanted.waiter.not_yet("RunNotFound", self._none(wanted, in_order))

    def _none(self, wanted: _Wanted, ended: list[_Candidate]) -> str:
        """Why there is no run to wait for."""
        name = wanted.dag[1]
        if wanted.dag not in self._cluster.dags:
            return f"waits for a run of Dag {name!r}, which does not exist"
        dates = f"the logical date {format_time(wanted.last)}"
        if wanted.first != wanted.last:
            dates = f"a logical date from {format_time(wanted.first)} to {format_time(wanted.last)}"
        if not ended:
            return f"waits for a run of Dag {name!r} with {dates}, of which there is none yet"
        return f"waits for another run of Dag {name!r} with {dates}: {_why_never(wanted, ended[-1])}"


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
        raise CannotWait("InvalidTemplate", "waitFor.dagRun: offset or window lead beyond all dates") from error
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


def _ended(wanted: _Wanted, row: FinishedRow, states: Mapping[str, TaskState]) -> _Candidate:
    if wanted.task is None:
        return _Candidate(row.uid, row.place, True, row.phase.value)
    state = states.get(wanted.task)
    return _Candidate(row.uid, row.place, True, state.value if state is not None else None)


def _label(wanted: _Wanted, found: _Candidate) -> str:
    run = f"run {found.place[2]!r} of Dag {wanted.dag[1]!r}"
    return f"task {wanted.task!r} of {run}" if wanted.task is not None else run


def _why_never(wanted: _Wanted, found: _Candidate) -> str:
    if found.state is None:
        return f"run {found.place[2]!r} of Dag {wanted.dag[1]!r} has no task {wanted.task!r}"
    return f"{_label(wanted, found)} ended {found.state}"


def _whole_ms(moment: datetime) -> datetime:
    """As precise as status has it."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
