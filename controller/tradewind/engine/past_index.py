"""Which run comes before which: the runs of a Dag that have not ended, in the order of their logical dates.

Kept only for Dags of which some run asks for the runs before it: by dependsOnPast, or by prev… in a template. Of the
runs that have ended each run knows the last one before it, and the last that succeeded; the caller finds them out when
a run is loaded (`asks`, `told`), from then on they are noted as runs end.
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
NOT_KNOWN = "waits to hear of the previous run"


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """A run that has not ended, scheduled here already or not."""

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
    """Tell when a run that has ended changes or goes (PastIndex.ended, .gone), since a task of `run` waits for it; with
    `past` None no more."""

    run: RunInfo
    past: PastRun | None


@dataclass(slots=True, eq=False)
class _Member:
    """One run that has not ended; the PastRuns of its RunState."""

    run: ActiveRun
    siblings: "list[_Member]"
    state: RunState | None = None
    asks: bool = False
    """Whether anything in it depends on the runs before."""
    known: bool = False
    """Whether `ended` and `succeeded` are all that there is."""
    questions: int = 0
    """Goes up when an answer that is under way has become worthless."""
    ended: PastRun | None = None
    succeeded: PastRun | None = None
    followed: PastRun | None = None
    waits_on: dict[str, set[int]] = field(default_factory=dict)
    """Tasks of the run before that tasks of this one (by position) wait for."""
    _downstream: dict[str, list[str]] | None = None

    @property
    def before(self) -> "_Member | PastRun | None":
        at = bisect_left(self.siblings, _date(self), key=_date)
        active = self.siblings[at - 1] if at else None
        if self.ended is not None and (active is None or active.run.place < self.ended.place):
            return self.ended
        return active

    def why_not(self, task: ResolvedTask) -> str | None:
        """Why a task with dependsOnPast cannot start yet."""
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
        """What templates may ask."""
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
    """The runs that have not ended, of all Dags of which a run asks."""

    def __init__(self) -> None:
        self.touched: dict[str, None] = {}
        """UIDs of loaded runs for which something in the past has changed."""
        self.lookups: dict[RunKey, RunInfo] = {}
        """Loaded runs for which the last ended runs are to be found out again."""
        self.follows: list[Follow] = []
        self._dags: dict[DagKey, list[_Member]] = {}
        self._complete: set[DagKey] = set()
        """Dags of which all runs that there are have been noted."""
        self._unwritten: dict[DagKey, dict[str, PastRun]] = {}
        """Runs that have finished and are still scheduled, by UID: their end is not written, and cannot be read."""
        self._members: dict[RunKey, _Member] = {}

    # What the caller tells ----------------------------------------------------------------------------------------

    def tracks(self, dag: DagKey) -> bool:
        """Whether a run of the Dag asks for earlier ones."""
        return dag in self._dags

    def incomplete(self, dag: DagKey) -> object | None:
        """What to tell completed() once all runs of the Dag that there are have been noted; None if they were."""
        return None if dag in self._complete else self._dags.get(dag)

    def completed(self, dag: DagKey, line: object) -> None:
        """All have been noted that there are, unless the Dag was forgotten meanwhile."""
        if self._dags.get(dag) is line:
            self._complete.add(dag)

    def note(self, run: ActiveRun) -> None:
        """There is such a run, though it may not be scheduled yet."""
        if self.tracks(run.dag):
            self._member(run)

    def asks(self, run: ActiveRun) -> None:
        """The run asks for those before it: `unknown` says what is to be found out."""
        self._member(run).asks = True

    def unknown(self, run: ActiveRun) -> int | None:
        """The number of the question which runs ended before this one, to be answered by told(); None if there is
        none."""
        member = self._known(run)
        return None if member is None or member.known or not member.asks else member.questions

    def told(self, run: ActiveRun, question: int, ended: PastRun | None, succeeded: PastRun | None) -> None:
        """The last run before this one that has ended, and the last that succeeded."""
        member = self._known(run)
        if member is None or member.known or question != member.questions:
            return
        member.known = True
        if ended is not None and (member.ended is None or member.ended.place <= ended.place):
            member.ended = ended
        if succeeded is not None and (member.succeeded is None or member.succeeded.place <= succeeded.place):
            member.succeeded = succeeded
        self._refresh(member)

    def attach(self, state: RunState) -> None:
        """A run is scheduled from now on."""
        run, asks = ActiveRun.of(state.info), state.dag.asks_for_past
        if not (asks or self.tracks(run.dag)):
            return
        member = self._member(run)
        if member.state is state:
            return
        member.state, member.asks, state.moved = state, asks, set()
        member.waits_on, member._downstream = {}, None
        if asks:
            state.past = member
            # Also one that waits in the queue: it may leave it by what its Pods say.
            self._look(member, state)
            if not member.known:
                self.lookups[run.key] = state.info
        for follower in _followers(member):
            self._refresh(follower)

    def detach(self, state: RunState) -> None:
        """A run is not scheduled any more, and nobody knows yet what is to become of it (unless it has ended)."""
        state.past = None  # not by a cycle: it goes at once
        self._unwritten.get((state.info.namespace, state.info.dag), {}).pop(state.info.uid, None)
        member = self._members.get((state.info.namespace, state.info.name))
        if member is None or member.state is not state:
            return
        self._follow(member, None)
        member.state = None
        for follower in _followers(member):
            self._refresh(follower)

    def left(self, key: RunKey) -> None:
        """A run that had not ended is gone, or somebody else has ended it."""
        member = self._members.get(key)
        if member is None:
            return
        later = [other for other in member.siblings if _date(other) > _date(member)]
        self._remove(member)
        for other in later:
            self._ask_again(other)

    def ended(self, dag: DagKey, past: PastRun) -> None:
        """A run has ended, or is otherwise than it was known to have ended."""
        member = self._members.get((dag[0], past.name))
        if member is not None and member.run.uid == past.uid:
            return  # it runs again
        siblings = self._dags.get(dag, [])
        for later in siblings[bisect_right(siblings, past.place[0], key=_date) :]:
            self._hear(later, past)

    def gone(self, dag: DagKey, uid: str) -> None:
        """A run that had ended was deleted."""
        for member in self._dags.get(dag, ()):
            for name in ("ended", "succeeded"):
                known: PastRun | None = getattr(member, name)
                if known is not None and known.uid == uid:
                    setattr(member, name, None)
                    self._ask_again(member)

    def take(self) -> tuple[list[RunInfo], list[Follow]]:
        """What is to be found out, and to be followed, since the last call."""
        lookups, self.lookups = list(self.lookups.values()), {}
        follows, self.follows = self.follows, []
        return lookups, follows

    # What the scheduler asks --------------------------------------------------------------------------------------

    def begins(self, state: RunState) -> None:
        """A run is about to leave the queue."""
        member = self._members.get((state.info.namespace, state.info.name))
        if member is not None and member.state is state and member.asks:
            self._look(member, state)

    def advanced(self, state: RunState) -> None:
        """Things may have happened in a run: tell those that wait for it, and follow what it waits for."""
        member = self._members.get((state.info.namespace, state.info.name))
        if member is None or member.state is not state:
            return
        if state.finished:
            self._remove(member)
            past = PastRun.of(state)
            if self.tracks(member.run.dag):
                self._unwritten.setdefault(member.run.dag, {})[past.uid] = past
            self.ended(member.run.dag, past)
            return
        if state.moved:
            names = [state.graph.names[position] for position in state.moved]
            state.moved.clear()
            for follower in _followers(member):
                _recheck(follower, names, self.touched)
        before = member.before if state.held else None
        self._follow(member, before if isinstance(before, PastRun) else None)

    def queued_before(self, state: RunState) -> RunState | None:
        """The run before this one, if tasks wait for it and it has not left the queue."""
        member = self._members.get((state.info.namespace, state.info.name))
        before = member.before if member is not None and state.held else None
        found = before.state if isinstance(before, _Member) else None
        return found if found is not None and found.phase is RunPhase.QUEUED else None

    def awaited(self, state: RunState) -> bool:
        """Whether tasks of a running run wait for this one."""
        member = self._members.get((state.info.namespace, state.info.name))
        return member is not None and any(
            follower.state is not None and follower.state.held and follower.before is member
            for follower in _followers(member)
        )

    # Members ------------------------------------------------------------------------------------------------------

    def _known(self, run: ActiveRun) -> _Member | None:
        """None also where the name is another run's by now."""
        member = self._members.get(run.key)
        return member if member is not None and member.run.uid == run.uid else None

    def _hear(self, later: _Member, past: PastRun) -> None:
        """A run before this one has ended."""
        if _is(later.ended, past) or _is(later.succeeded, past):
            return
        if not later.known:
            later.questions += 1
        before = later.ended, later.succeeded
        if later.ended is None or later.ended.place <= past.place:
            later.ended = past
        if past.succeeded and (later.succeeded is None or later.succeeded.place <= past.place):
            later.succeeded = past
        elif later.succeeded is not None and later.succeeded.uid == past.uid:
            later.succeeded = None
            self._ask_again(later)
        if before != (later.ended, later.succeeded):
            self._refresh(later)

    def _member(self, run: ActiveRun) -> _Member:
        known = self._members.get(run.key)
        if known is not None and known.run.uid == run.uid:
            return known
        if known is not None:
            self.left(run.key)
        siblings = self._dags.setdefault(run.dag, [])
        member = self._members[run.key] = _Member(run, siblings)
        insort(siblings, member, key=_place)
        for past in self._unwritten.get(run.dag, {}).values():
            if past.place[0] < run.place[0]:
                self._hear(member, past)
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
        if not any(other.asks for other in member.siblings):
            self._complete.discard(member.run.dag)
            self._unwritten.pop(member.run.dag, None)
            for other in self._dags.pop(member.run.dag):
                del self._members[other.run.key]
                if other.state is not None:
                    other.state.moved = None

    def _refresh(self, member: _Member) -> None:
        """The run before may be another, or has ended: look at all that waits for it. One that waits in the queue is
        looked at once it begins: there may be thousands."""
        if member.state is not None and member.asks and not member.state.folded:
            self._look(member, member.state)

    def _look(self, member: _Member, state: RunState) -> None:
        previous = member.previous()
        if state.info.previous != previous:
            state.info = replace(state.info, previous=previous)
        if state.held:
            for position in state.held:
                state.recheck(position)
            self.touched[state.info.uid] = None

    def _ask_again(self, member: _Member) -> None:
        if member.asks:
            member.known = False
            member.questions += 1
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
    """The runs of the next logical date: those that this one may be the run before of."""
    siblings = member.siblings
    first = bisect_right(siblings, _date(member), key=_date)
    for other in siblings[first:]:
        if _date(other) != _date(siblings[first]):
            return
        yield other


def _recheck(member: _Member, names: list[str], touched: dict[str, None]) -> None:
    """Tasks of the run before have moved."""
    state = member.state
    if state is None:
        return
    for name in names:
        for position in member.waits_on.pop(name, ()):
            state.recheck(position)
            touched[state.info.uid] = None
