"""The previous run of each run: the unfinished runs of a Dag, in the order of their logical dates.

The index exists only for Dags with a run that needs previous runs: for dependsOnPast, or for prev… in a template. Each
run knows the last finished run before it, and the last one that succeeded. The caller looks them up when it loads a run
(`open_question`, `answer`); after that the index updates them as runs finish.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from tradewind.api.resolve import ResolvedTask
from tradewind.engine.rules.previous_runs import (
    PASSES,
    PastRun,
    RunPlace,
    place_of,
    state_in,
    tasks_before,
    waits_message,
)
from tradewind.engine.run.run_info import PreviousRuns, RunInfo
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase

DagKey = tuple[str, str]
"""(namespace, Dag name)"""
RunKey = tuple[str, str]
"""(namespace, run name)"""
NOT_KNOWN = "waiting for the state of the previous run"


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """A run that has not finished, whether or not the scheduler has it yet."""

    dag: DagKey
    uid: str
    place: RunPlace

    @property
    def key(self) -> RunKey:
        return self.dag[0], self.place[2]

    @classmethod
    def of(cls, info: RunInfo) -> "ActiveRun":
        return cls((info.namespace, info.dag), info.uid, place_of(info))


@dataclass(frozen=True, slots=True)
class Follow:
    """Watch a finished run that a task of `run` waits for, and report changes (PastIndex.run_finished, .run_deleted);
    `past` None ends the watch."""

    run: RunInfo
    past: PastRun | None


@dataclass(slots=True, eq=False)
class _Member:
    """One unfinished run; the PastRuns of its RunState."""

    run: ActiveRun
    siblings: "list[_Member]"
    state: RunState | None = None
    needs_past: bool = False
    """True if anything in it depends on previous runs."""
    known: bool = False
    """True if `finished` and `succeeded` have been looked up."""
    question: int = 0
    """The number of the lookup; raised to discard the answer of a lookup in progress."""
    finished: PastRun | None = None
    succeeded: PastRun | None = None
    followed: PastRun | None = None
    waits_on: dict[str, set[int]] = field(default_factory=dict)
    """Tasks of the previous run, and the tasks of this one (by position) that wait for them."""
    _downstream: dict[str, list[str]] | None = None

    @property
    def before(self) -> "_Member | PastRun | None":
        at = bisect_left(self.siblings, _date(self), key=_date)
        active = self.siblings[at - 1] if at else None
        if self.finished is not None and (active is None or active.run.place < self.finished.place):
            return self.finished
        return active

    def why_not(self, task: ResolvedTask) -> str | None:
        """The reason why a task with dependsOnPast cannot start yet, or None if it can."""
        if not self.known:
            return NOT_KNOWN
        before = self.before
        if before is None or self.state is None:
            return None
        if isinstance(before, _Member) and before.state is None:
            return waits_message(task.name, before.run.place[2], None)
        past = before.state if isinstance(before, _Member) else before
        for name in tasks_before(task, self._directly_downstream()):
            found = state_in(past, name) if past is not None else None
            if found is not None and found not in PASSES:
                self.waits_on.setdefault(name, set()).add(self.state.graph.position[task.name])
                run = before.run.place[2] if isinstance(before, _Member) else before.name
                return waits_message(name, run, found)
        return None

    def _directly_downstream(self) -> dict[str, list[str]]:
        if self._downstream is None:
            self._downstream = {}
            for task in self.state.dag.tasks if self.state else ():
                for name in task.depends_on:
                    self._downstream.setdefault(name, []).append(task.name)
        return self._downstream

    def previous(self) -> PreviousRuns:
        """The facts about previous runs that templates can use."""
        before, success = self.before, self.succeeded
        place = before.run.place if isinstance(before, _Member) else before.place if before else None
        return PreviousRuns(
            logical_date=place[0] if place else None,
            interval_start_success=success.interval_start if success else None,
            interval_end_success=success.interval_end if success else None,
            started_at_success=success.started_at if success else None,
            finished_at_success=success.finished_at if success else None,
        )


class PastIndex:
    """The unfinished runs of all Dags with a run that needs previous runs."""

    def __init__(self) -> None:
        self.touched: dict[str, None] = {}
        """UIDs of loaded runs to reconcile because a previous run has changed."""
        self.lookups: dict[RunKey, RunInfo] = {}
        """Loaded runs whose last finished runs must be looked up."""
        self.follows: list[Follow] = []
        self._dags: dict[DagKey, list[_Member]] = {}
        self._complete: set[DagKey] = set()
        """Dags whose existing runs are all noted."""
        self._unwritten: dict[DagKey, dict[str, PastRun]] = {}
        """Finished runs that the scheduler still has, by UID: a lookup does not find them until their status is
        written."""
        self._members: dict[RunKey, _Member] = {}

    # Input of the caller ------------------------------------------------------------------------------------------

    def tracks(self, dag: DagKey) -> bool:
        """True if a run of the Dag needs previous runs."""
        return dag in self._dags

    def incomplete(self, dag: DagKey) -> object | None:
        """The argument for completed() once all existing runs of the Dag are noted; None if they are already."""
        return None if dag in self._complete else self._dags.get(dag)

    def completed(self, dag: DagKey, line: object) -> None:
        """All existing runs of the Dag are noted; ignored if the Dag was dropped in the meantime."""
        if self._dags.get(dag) is line:
            self._complete.add(dag)

    def note(self, run: ActiveRun) -> None:
        """Add an unfinished run that the scheduler may not have yet."""
        if self.tracks(run.dag):
            self._member(run)

    def track(self, run: ActiveRun) -> None:
        """Add a run that needs previous runs; open_question() says if a lookup is needed."""
        self._member(run).needs_past = True

    def open_question(self, run: ActiveRun) -> int | None:
        """The number of the lookup of the run's last finished runs, for answer(); None if no lookup is needed."""
        member = self._known(run)
        return None if member is None or member.known or not member.needs_past else member.question

    def answer(self, run: ActiveRun, question: int, finished: PastRun | None, succeeded: PastRun | None) -> None:
        """The result of a lookup: the last finished run before this one, and the last that succeeded."""
        member = self._known(run)
        if member is None or member.known or question != member.question:
            return
        member.known = True
        if finished is not None and (member.finished is None or member.finished.place <= finished.place):
            member.finished = finished
        if succeeded is not None and (member.succeeded is None or member.succeeded.place <= succeeded.place):
            member.succeeded = succeeded
        self._refresh(member)

    def attach(self, state: RunState) -> None:
        """The scheduler has the run from now on."""
        run, needs_past = ActiveRun.of(state.info), state.dag.needs_previous_runs
        if not (needs_past or self.tracks(run.dag)):
            return
        member = self._member(run)
        if member.state is state:
            return
        member.state, member.needs_past, state.moved = state, needs_past, set()
        member.waits_on, member._downstream = {}, None
        if needs_past:
            state.past = member
            # Also if it is queued: reports of its Pods may start it.
            self._update(member, state)
            if not member.known:
                self.lookups[run.key] = state.info
        for follower in _followers(member):
            self._refresh(follower)

    def detach(self, state: RunState) -> None:
        """The scheduler does not have the run any more; it stays in the index unless it has finished."""
        state.past = None  # breaks a reference cycle, so that the run is freed at once
        self._unwritten.get((state.info.namespace, state.info.dag), {}).pop(state.info.uid, None)
        member = self._members.get((state.info.namespace, state.info.name))
        if member is None or member.state is not state:
            return
        self._follow(member, None)
        member.state = None
        for follower in _followers(member):
            self._refresh(follower)

    def drop(self, key: RunKey) -> None:
        """Remove an unfinished run that was deleted, or finished by another replica."""
        member = self._members.get(key)
        if member is None:
            return
        later = [other for other in member.siblings if _date(other) > _date(member)]
        self._remove(member)
        for other in later:
            self._look_up_again(other)

    def run_finished(self, dag: DagKey, past: PastRun) -> None:
        """A run has finished, or the facts about a finished run have changed."""
        member = self._members.get((dag[0], past.name))
        if member is not None and member.run.uid == past.uid:
            return  # it runs again
        siblings = self._dags.get(dag, [])
        for later in siblings[bisect_right(siblings, past.place[0], key=_date) :]:
            self._finished_before(later, past)

    def run_deleted(self, dag: DagKey, uid: str) -> None:
        """A finished run was deleted."""
        for member in self._dags.get(dag, ()):
            for name in ("finished", "succeeded"):
                known: PastRun | None = getattr(member, name)
                if known is not None and known.uid == uid:
                    setattr(member, name, None)
                    self._look_up_again(member)

    def take(self) -> tuple[list[RunInfo], list[Follow]]:
        """The lookups and follows requested since the last call."""
        lookups, self.lookups = list(self.lookups.values()), {}
        follows, self.follows = self.follows, []
        return lookups, follows

    # Calls of the scheduler ---------------------------------------------------------------------------------------

    def before_start(self, state: RunState) -> None:
        """Update a run that is about to leave the queue."""
        member = self._members.get((state.info.namespace, state.info.name))
        if member is not None and member.state is state and member.needs_past:
            self._update(member, state)

    def advanced(self, state: RunState) -> None:
        """A run may have changed: recheck the runs that wait for it, and follow the run that it waits for."""
        member = self._members.get((state.info.namespace, state.info.name))
        if member is None or member.state is not state:
            return
        if state.finished:
            self._remove(member)
            past = PastRun.of(state)
            if self.tracks(member.run.dag):
                self._unwritten.setdefault(member.run.dag, {})[past.uid] = past
            self.run_finished(member.run.dag, past)
            return
        if state.moved:
            names = [state.graph.names[position] for position in state.moved]
            state.moved.clear()
            for follower in _followers(member):
                _recheck(follower, names, self.touched)
        before = member.before if state.blocked else None
        self._follow(member, before if isinstance(before, PastRun) else None)

    def queued_before(self, state: RunState) -> RunState | None:
        """The previous run of this one, if it is still queued and tasks wait for it."""
        member = self._members.get((state.info.namespace, state.info.name))
        before = member.before if member is not None and state.blocked else None
        found = before.state if isinstance(before, _Member) else None
        return found if found is not None and found.phase is RunPhase.QUEUED else None

    def awaited(self, state: RunState) -> bool:
        """True if tasks of a running run wait for this one."""
        member = self._members.get((state.info.namespace, state.info.name))
        return member is not None and any(
            follower.state is not None and follower.state.blocked and follower.before is member
            for follower in _followers(member)
        )

    # Members ------------------------------------------------------------------------------------------------------

    def _known(self, run: ActiveRun) -> _Member | None:
        """The member of a run; None also if another run has its name now."""
        member = self._members.get(run.key)
        return member if member is not None and member.run.uid == run.uid else None

    def _finished_before(self, later: _Member, past: PastRun) -> None:
        """A run before this one has finished."""
        if _is(later.finished, past) or _is(later.succeeded, past):
            return
        if not later.known:
            later.question += 1
        before = later.finished, later.succeeded
        if later.finished is None or later.finished.place <= past.place:
            later.finished = past
        if past.succeeded and (later.succeeded is None or later.succeeded.place <= past.place):
            later.succeeded = past
        elif later.succeeded is not None and later.succeeded.uid == past.uid:
            later.succeeded = None
            self._look_up_again(later)
        if before != (later.finished, later.succeeded):
            self._refresh(later)

    def _member(self, run: ActiveRun) -> _Member:
        known = self._members.get(run.key)
        if known is not None and known.run.uid == run.uid:
            return known
        if known is not None:
            self.drop(run.key)
        siblings = self._dags.setdefault(run.dag, [])
        member = self._members[run.key] = _Member(run, siblings)
        insort(siblings, member, key=_place)
        for past in self._unwritten.get(run.dag, {}).values():
            if past.place[0] < run.place[0]:
                self._finished_before(member, past)
        for follower in _followers(member):
            self._refresh(follower)
        return member

    def _remove(self, member: _Member) -> None:
        followers = list(_followers(member))
        self._follow(member, None)
        member.siblings.remove(member)
        del self._members[member.run.key]
        self.lookups.pop(member.run.key, None)
        for follower in followers:
            self._refresh(follower)
        if not any(other.needs_past for other in member.siblings):
            self._complete.discard(member.run.dag)
            self._unwritten.pop(member.run.dag, None)
            for other in self._dags.pop(member.run.dag):
                del self._members[other.run.key]
                if other.state is not None:
                    other.state.moved = None

    def _refresh(self, member: _Member) -> None:
        """The previous run may be another one now, or has finished: recheck all tasks that wait for it. A queued run is
        updated when it starts instead, since there may be thousands."""
        if member.state is not None and member.needs_past and not member.state.folded:
            self._update(member, member.state)

    def _update(self, member: _Member, state: RunState) -> None:
        previous = member.previous()
        if state.info.previous != previous:
            state.info = replace(state.info, previous=previous)
        if state.blocked:
            for position in state.blocked:
                state.recheck(position)
            self.touched[state.info.uid] = None

    def _look_up_again(self, member: _Member) -> None:
        if member.needs_past:
            member.known = False
            member.question += 1
            if member.state is not None:
                self.lookups[member.run.key] = member.state.info
            self._refresh(member)

    def _follow(self, member: _Member, past: PastRun | None) -> None:
        if (past and past.uid) != (member.followed and member.followed.uid) and member.state is not None:
            member.followed = past
            self.follows.append(Follow(member.state.info, past))


def _is(known: PastRun | None, past: PastRun) -> bool:
    return known is not None and known.uid == past.uid and known == past


def _place(member: _Member) -> RunPlace:
    return member.run.place


def _date(member: _Member) -> datetime:
    return member.run.place[0]


def _followers(member: _Member) -> Iterator[_Member]:
    """The runs of the next logical date, whose previous run this one may be."""
    siblings = member.siblings
    first = bisect_right(siblings, _date(member), key=_date)
    for other in siblings[first:]:
        if _date(other) != _date(siblings[first]):
            return
        yield other


def _recheck(member: _Member, names: list[str], touched: dict[str, None]) -> None:
    """Recheck the tasks that wait for tasks of the previous run that have changed."""
    state = member.state
    if state is None:
        return
    for name in names:
        for position in member.waits_on.pop(name, ()):
            state.recheck(position)
            touched[state.info.uid] = None
