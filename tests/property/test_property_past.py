"""No task with dependsOnPast starts before the previous run allows it, whatever happens to runs in between (created,
finished, deleted, rerun, reloaded); and in the end all runs finish."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.api.dag import DagSpec
from tradewind.api.resolve import resolve
from tradewind.engine.past_index import ActiveRun, PastIndex
from tradewind.engine.rules.previous_runs import PASSES, PastRun, place_of, state_in
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import TryEvent, TryReport
from tradewind.engine.scheduler import Scheduler
from tradewind.engine.status.restore import load
from tradewind.engine.status.run_status import run_status
from tradewind.engine.transitions import run_lifecycle

pytestmark = pytest.mark.property

START = datetime(2026, 3, 1, tzinfo=UTC)
RUNS = 5
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["see", "load", "again", "delete", "reload", "restart"]), st.integers(0, RUNS - 1)),
        st.tuples(st.just("end"), st.integers(0, RUNS - 1), st.sampled_from("ab"), st.booleans()),
        st.tuples(st.just("write"), st.booleans()),
    ),
    max_size=40,
)


def dag(downstream: bool, limit: int) -> Any:
    task = {"image": "x", "command": ["x"]}
    first = {"name": "a", "dependsOnPast": True, **({"waitForDownstream": True} if downstream else {})}
    spec = {"maxActiveRuns": limit, "tasks": [task | first, task | {"name": "b", "dependsOn": ["a"]}]}
    return resolve(DagSpec.model_validate(spec))


@dataclass
class Cluster:
    """The API server's state, and a controller that receives its changes."""

    downstream: bool
    limit: int
    dates: list[int]
    exists: set[int] = field(default_factory=set)
    stored: dict[int, dict[str, Any]] = field(default_factory=dict)
    ended: dict[int, PastRun] = field(default_factory=dict)
    writes: bool = True
    """Whether the API server takes the end of a run."""

    def __post_init__(self) -> None:
        self.dag = dag(self.downstream, self.limit)
        self.start()

    def start(self) -> None:
        self.index = PastIndex()
        self.scheduler = Scheduler(past=self.index)
        self.scheduler.set_max_active_runs("ns", "d", self.limit)
        self.loaded: dict[int, RunState] = {}
        self.followed: dict[str, PastRun] = {}

    def info(self, number: int) -> RunInfo:
        date = START + timedelta(days=self.dates[number])
        made = START + timedelta(seconds=number)
        return RunInfo("ns", f"r{number}", f"r{number}", "d", "Manual", date, date, date, created_at=made)

    # What happens -------------------------------------------------------------------------------------------------

    def act(self, action: tuple[Any, ...]) -> None:
        name, rest = action[0], action[1:]
        getattr(self, f"do_{name}")(*rest)
        self.plan()

    def do_see(self, number: int) -> None:
        """A run is made, and not loaded yet."""
        if number not in self.exists:
            self.exists.add(number)
            self.stored[number] = {}
            self.index.note(ActiveRun.of(self.info(number)))

    def do_load(self, number: int) -> None:
        self.do_see(number)
        if number in self.loaded or number in self.ended:
            return
        run = ActiveRun.of(self.info(number))
        self.index.track(run)
        if (line := self.index.incomplete(run.dag)) is not None:
            for other in self.exists - self.ended.keys():
                known = self.loaded.get(other)
                if known is not None and known.finished:
                    self.index.run_finished(run.dag, PastRun.of(known))
                else:
                    self.index.note(ActiveRun.of(self.info(other)))
            self.index.completed(run.dag, line)
        self.answer(run)
        state = load(self.info(number), self.dag, self.scheduler.slots, status=self.stored[number])
        self.scheduler.introduce(state)
        run_lifecycle.advance(state, START)
        self.loaded[number] = state
        self.scheduler.add_run(state)

    def do_end(self, number: int, task: str, good: bool) -> None:
        state = self.loaded.get(number)
        if state is not None and state[task].holds_slots:
            report = TryReport(task, state[task].number, TryEvent.ENDED, exit_code=0 if good else 1)
            self.scheduler.report(state.info.uid, report, START)

    def do_write(self, works: bool) -> None:
        self.writes = works

    def do_reload(self, number: int) -> None:
        """Its status could not be written because of a conflict: it is loaded again."""
        self.finish_writing()
        state = self.loaded.pop(number, None)
        if state is not None:
            self.stored[number] = run_status(state)
            self.scheduler.remove_run(state.info.uid)
            self.plan()
            self.do_load(number)

    def do_again(self, number: int) -> None:
        """A finished run is rerun."""
        if self.ended.pop(number, None) is not None:
            self.stored[number] = {}
            self.index.note(ActiveRun.of(self.info(number)))

    def do_delete(self, number: int) -> None:
        if number not in self.exists:
            return
        self.exists.discard(number)
        past, state = self.ended.pop(number, None), self.loaded.pop(number, None)
        if state is not None:
            self.scheduler.remove_run(state.info.uid)
        if past is None:
            self.index.drop(("ns", f"r{number}"))
        if any(followed.uid == f"r{number}" for followed in self.followed.values()):
            self.index.run_deleted(("ns", "d"), f"r{number}")

    def do_restart(self, _: int) -> None:
        self.finish_writing()
        self.stored |= {number: run_status(state) for number, state in self.loaded.items()}
        numbers = list(self.loaded)
        self.start()
        for number in numbers:
            self.do_load(number)

    # What the controller does -------------------------------------------------------------------------------------

    def finish_writing(self) -> None:
        self.writes = True
        self.plan()

    def answer(self, run: ActiveRun) -> None:
        question = self.index.open_question(run)
        if question is not None:
            before = [past for past in self.ended.values() if past.place[0] < run.place[0]]
            last = max(before, key=lambda past: past.place, default=None)
            good = max((past for past in before if past.succeeded), key=lambda past: past.place, default=None)
            self.index.answer(run, question, last, good)

    def plan(self) -> None:
        while True:
            waited = {number for number, state in self.loaded.items() if state["a"].state is TaskState.NONE}
            plan = self.scheduler.plan(START)
            for number in waited:
                if self.loaded[number]["a"].state not in (TaskState.NONE, TaskState.SKIPPED):
                    self.check(number)
            for follow in plan.follows:
                if follow.past is None:
                    self.followed.pop(follow.run.uid, None)
                else:
                    self.followed[follow.run.uid] = follow.past
                    if follow.past.uid not in {f"r{number}" for number in self.exists}:
                        self.index.run_deleted(("ns", "d"), follow.past.uid)
            for info in plan.lookups:
                self.answer(ActiveRun.of(info))
            for number, state in list(self.loaded.items()):
                if state.finished and self.writes:
                    del self.loaded[number]
                    self.ended[number] = PastRun.of(state)
                    self.scheduler.remove_run(state.info.uid)
            if not (plan.follows or plan.lookups or plan.changed or plan.starts):
                return
            for state in plan.changed:
                state.changed = False

    def check(self, number: int) -> None:
        """The run before, found by brute force, lets it start."""
        place = place_of(self.info(number))
        before = [other for other in self.exists if place_of(self.info(other))[0] < place[0]]
        last = max(before, key=lambda other: place_of(self.info(other)), default=None)
        if last is None:
            return
        past = self.ended.get(last) or self.loaded.get(last)
        assert past is not None, f"run {number} started before run {last} was loaded"
        for task in "ab" if self.downstream else "a":
            state = state_in(past, task)
            assert state in PASSES, f"run {number} started though {task} of run {last} is {state}"

    def finish(self) -> None:
        """All that exists is loaded, and every failure is seen to."""
        self.finish_writing()
        for _ in range(4 * RUNS):
            for number in list(self.exists):
                if number in self.ended and not self.ended[number].succeeded:
                    self.do_again(number)
                self.do_load(number)
                self.plan()
            for number in list(self.loaded):
                for task in "ab":
                    if number in self.loaded:
                        self.do_end(number, task, True)
                        self.plan()
        assert self.ended.keys() == self.exists
        assert all(past.succeeded for past in self.ended.values())


@given(
    downstream=st.booleans(),
    limit=st.integers(1, 3),
    dates=st.lists(st.integers(0, 3), min_size=RUNS, max_size=RUNS),
    actions=ACTIONS,
)
def test_runs_with_a_past(downstream: bool, limit: int, dates: list[int], actions: list[tuple[Any, ...]]) -> None:
    cluster = Cluster(downstream, limit, dates)
    for action in actions:
        cluster.act(action)
    cluster.finish()
