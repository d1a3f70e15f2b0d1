"""dependsOnPast and waitForDownstream: the previous run, the state of it that counts, and notifications of its
changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.unit.engine.engine_world import START, World, dag, run_info, task
from tradewind.api.resolve import ResolvedDag
from tradewind.engine.past_index import ActiveRun, Follow, PastIndex
from tradewind.engine.rules.previous_runs import PastRun
from tradewind.engine.run.run_info import PreviousRuns
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase, TaskState
from tradewind.engine.run.tries import TryEvent, TryReport
from tradewind.engine.scheduler import Plan
from tradewind.engine.status.run_status import run_status

pytestmark = pytest.mark.unit

CHAIN = (task("a", dependsOnPast=True), task("b", "a"))


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def past_run(name: str, date: datetime, *, uid: str = "", **states: str) -> PastRun:
    """A finished run: Failed if one of its tasks is."""
    found = {task: TaskState(state) for task, state in states.items()}
    phase = RunPhase.FAILED if TaskState.FAILED in found.values() else RunPhase.SUCCEEDED
    ended = date + timedelta(hours=2)
    return PastRun(
        uid or name, (date, date, name), phase, date - timedelta(days=1), date, date + timedelta(hours=1), ended, found
    )


class PastWorld(World):
    """Runs of one Dag, with a history: the first is `r1`, of day 1."""

    def __init__(self, *tasks: Mapping[str, Any], history: tuple[PastRun, ...] = (), **spec: Any) -> None:
        self.history = {run.uid: run for run in history}
        self.index = PastIndex()
        self.follows: list[Follow] = []
        self.asked: list[str] = []
        super().__init__(*tasks, past=self.index, **spec)
        self.scheduler.remove_run("r1")
        self.index.drop(("ns", "r1"))
        self.starts.clear()
        self.follows.clear()
        self.asked.clear()
        self.run = self.load("r1", day(1))

    def load(
        self, name: str, date: datetime, *, dag: ResolvedDag | None = None, status: Mapping[str, Any] | None = None
    ) -> RunState:
        self.history.pop(name, None)
        return self.add(run_info(name, logical_date=date), dag, status)

    def plan(self) -> Plan:
        """As the controller does: what is to be found out is looked up in the history."""
        plan = super().plan()
        self.follows += plan.follows
        for info in plan.lookups:
            self.asked.append(info.name)
            run = ActiveRun.of(info)
            question = self.index.open_question(run)
            if question is not None:
                before = [run for run in self.history.values() if run.place[0] < info.logical_date]
                best = max(before, key=lambda run: run.place, default=None)
                good = max((run for run in before if run.succeeded), key=lambda run: run.place, default=None)
                self.index.answer(run, question, best, good)
        return self.plan() if plan.lookups else plan

    def end(self, run: RunState, name: str, exit_code: int = 0) -> None:
        """Finish a task of a run; as in the controller, a finished run is no longer scheduled."""
        instance = run.instance(name, None)
        assert instance is not None
        report = TryReport(name, instance.number, TryEvent.ENDED, exit_code=exit_code)
        self.scheduler.report(run.info.uid, report, self.now)
        self.plan()
        if run.finished:
            self.scheduler.remove_run(run.info.uid)
            self.history[run.info.uid] = PastRun.of(run)
            self.plan()

    def waits(self, run: RunState, name: str = "a") -> str | None:
        return run.node(name).past


def begun(run: RunState, name: str = "a") -> bool:
    return run[name].state is not TaskState.NONE


# Who is the run before ----------------------------------------------------------------------------------------------


def test_the_first_run_waits_for_nothing() -> None:
    world = PastWorld(*CHAIN)
    assert begun(world.run)
    assert world.run.info.previous == PreviousRuns()


def test_a_run_waits_for_the_task_of_the_active_run_before() -> None:
    world = PastWorld(*CHAIN)
    second = world.load("r2", day(2))
    assert world.waits(second) == "waiting for task 'a' of the previous run 'r1' (Scheduled)"
    entry = run_status(second)["tasks"][0]
    assert entry == {"name": "a", "state": "None", "message": world.waits(second)}
    world.running("a", started_at=START)
    assert world.waits(second) == "waiting for task 'a' of the previous run 'r1' (Running)"
    world.end(world.run, "a")
    assert begun(second)
    assert world.waits(second) is None
    assert run_status(second)["tasks"][0]["state"] == "Scheduled"


def test_only_the_next_run_is_looked_at() -> None:
    world = PastWorld(*CHAIN)
    second, third = world.load("r2", day(2)), world.load("r3", day(3))
    world.running("a", started_at=START)
    assert world.last.changed == [world.run, second]
    assert world.waits(third) == "waiting for task 'a' of the previous run 'r2' (not started)"


def test_a_run_in_between_becomes_the_run_before() -> None:
    world = PastWorld(*CHAIN)
    third = world.load("r3", day(3))
    between = world.load("r2", day(2))
    assert world.waits(third) == "waiting for task 'a' of the previous run 'r2' (not started)"
    world.end(world.run, "a")
    assert (begun(between), begun(third)) == (True, False)
    world.end(between, "a")
    assert begun(third)


def test_one_that_is_known_but_not_loaded_counts() -> None:
    world = PastWorld(*CHAIN)
    between = ActiveRun(("ns", "d"), "r2", (day(2), day(2), "r2"))
    world.index.note(between)
    world.end(world.run, "a")
    third = world.load("r3", day(3))
    assert world.waits(third) == "waiting for task 'a' of the previous run 'r2' (not started)"
    world.index.drop(("ns", "r2"))
    world.plan()
    assert begun(third)


def test_of_two_with_the_same_date_the_one_made_last_counts() -> None:
    history = (past_run("late", day(0), a="Failed"), past_run("early", day(0), a="Succeeded"))
    late = replace(history[0], place=(day(0), day(0) + timedelta(seconds=1), "late"))
    world = PastWorld(*CHAIN, history=(late, history[1]))
    assert world.waits(world.run) == "waiting for task 'a' of the previous run 'late' (Failed)"
    twin = world.load("twin", day(1))
    assert world.waits(twin) == world.waits(world.run), "a run of the same date is not before"


def test_the_nearest_of_those_that_ended_and_those_that_are_running() -> None:
    world = PastWorld(*CHAIN, history=(past_run("r3", day(3), a="Failed"),))
    fourth = world.load("r4", day(4))
    assert world.waits(fourth) == "waiting for task 'a' of the previous run 'r3' (Failed)"
    assert begun(world.run), "what comes later is nothing to it"


# What counts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(TaskState))
def test_states(state: TaskState) -> None:
    world = PastWorld(*CHAIN, history=(past_run("r0", day(0), a=state),))
    passes = state in (TaskState.SUCCEEDED, TaskState.SKIPPED, TaskState.REMOVED)
    assert begun(world.run) is passes


def test_a_task_that_the_run_before_did_not_have() -> None:
    world = PastWorld(*CHAIN, history=(past_run("r0", day(0), b="Failed"),))
    assert begun(world.run)
    older = world.load("r2", day(2), dag=dag(task("other", dependsOnPast=True)))
    assert begun(older, "other")
    third = world.load("r3", day(3))
    assert begun(third), "nor did the running one"


def test_wait_for_downstream() -> None:
    tasks = (task("a", waitForDownstream=True), task("b", "a"), task("c", "b"), task("d"))
    world = PastWorld(*tasks)
    second = world.load("r2", day(2))
    world.end(world.run, "a")
    assert world.waits(second) == "waiting for task 'b' of the previous run 'r1' (Scheduled)"
    assert begun(second, "d")
    world.end(world.run, "b")
    assert begun(second), "c comes later, and does not count"


def test_all_instances_of_a_mapped_task_count() -> None:
    world = PastWorld(task("a", dependsOnPast=True, forEach={"items": [1, 2]}), task("b", "a"))
    second = world.load("r2", day(2))
    world.succeed("a[0]")
    assert world.waits(second) == "waiting for task 'a' of the previous run 'r1' (Scheduled)"
    assert run_status(second)["tasks"] == [{"name": "a", "state": "None", "message": world.waits(second)}]
    world.succeed("a[1]")
    assert second.node("a").count == 2


def test_instances_of_a_mapped_group_wait_together() -> None:
    tasks = (task("a", group="g"), task("b", "a", group="g", dependsOnPast=True))
    world = PastWorld(*tasks, groups=[{"name": "g", "forEach": {"items": [1, 2]}}])
    second = world.load("r2", day(2))
    for index in range(2):
        world.scheduler.report("r2", TryReport("a", 1, TryEvent.ENDED, exit_code=0, index=index), world.now)
    world.plan()
    assert world.waits(second, "b") == "waiting for task 'b' of the previous run 'r1' (not started)"
    [_, entry] = run_status(second)["tasks"]
    assert (entry["state"], entry["message"]) == ("None", world.waits(second, "b"))
    for name in ("a", "b"):
        for index in range(2):
            world.succeed(f"{name}[{index}]")
    assert second.node("b").state is TaskState.SCHEDULED


def test_a_noop_waits_too() -> None:
    world = PastWorld(task("a"), task("b", "a", noop=True, dependsOnPast=True))
    second = world.load("r2", day(2))
    world.end(second, "a")
    assert second["b"].state.value == "None"
    assert not second.finished, "nothing moves in it, but it is no deadlock"
    world.end(world.run, "a")
    assert second["b"].state is TaskState.SUCCEEDED
    assert second.finished


def test_it_ends_without_having_begun_whatever_the_past() -> None:
    world = PastWorld(task("x"), task("a", "x", dependsOnPast=True), history=(past_run("r0", day(0), a="Failed"),))
    world.fail("x")
    assert world.run["a"].state is TaskState.UPSTREAM_FAILED
    assert world.run.finished


def test_what_waits_ends_with_the_run() -> None:
    world = PastWorld(*CHAIN, history=(past_run("r0", day(0), a="Failed"),), runTimeout="1h")
    world.wait(hours=1)
    assert (world.phase(), world.run.reason, world.run.blocked) == ("Failed", "RunTimeout", set())
    assert world.entry("a")["message"] == "the run finished: ran longer than runTimeout (1h)"


# Changes ------------------------------------------------------------------------------------------------------------


def test_a_failed_run_before_is_followed_until_it_is_run_again() -> None:
    failed = past_run("r0", day(0), a="Failed")
    world = PastWorld(*CHAIN, history=(failed,))
    assert world.follows == [Follow(world.run.info, failed)]
    again = world.load("r0", day(0))
    assert world.follows[1:] == [Follow(world.run.info, None)]
    assert world.waits(world.run) == "waiting for task 'a' of the previous run 'r0' (Scheduled)"
    world.end(again, "a", exit_code=1)
    assert world.waits(world.run) == "waiting for task 'a' of the previous run 'r0' (Failed)"
    assert world.follows[2:] == [Follow(world.run.info, PastRun.of(again))]
    third = world.load("r0", day(0))
    world.end(third, "a")
    assert begun(world.run)
    world.end(third, "b")
    assert world.run.info.previous is not None
    assert world.run.info.previous.interval_end_success == day(0)


def test_a_task_that_is_marked_while_its_run_has_finished() -> None:
    world = PastWorld(*CHAIN, history=(past_run("r0", day(0), a="Failed"),))
    world.index.run_finished(("ns", "d"), past_run("r0", day(0), a="Succeeded", b="Failed"))
    world.plan()
    assert begun(world.run)
    assert world.follows[-1].past is None


def test_when_the_run_before_is_deleted_the_one_before_that_counts() -> None:
    world = PastWorld(*CHAIN, history=(past_run("r0", day(0), a="Failed"), past_run("r-1", day(-1), a="Failed")))
    del world.history["r0"]
    world.index.run_deleted(("ns", "d"), "r0")
    world.plan()
    assert world.waits(world.run) == "waiting for task 'a' of the previous run 'r-1' (Failed)"
    assert world.asked[-1] == "r1"
    world.history.clear()
    world.index.run_deleted(("ns", "d"), "r-1")
    world.plan()
    assert begun(world.run)


def test_an_active_run_that_vanishes() -> None:
    """Deleted, or ended by another controller: the history says which."""
    world = PastWorld(*CHAIN)
    second, third = world.load("r2", day(2)), world.load("r3", day(3))
    world.scheduler.remove_run("r2")
    assert world.waits(third) == "waiting for task 'a' of the previous run 'r2' (not started)"
    world.history["r2"] = past_run("r2", day(2), a="Failed")
    world.index.drop(("ns", "r2"))
    world.plan()
    assert world.waits(third) == "waiting for task 'a' of the previous run 'r2' (Failed)"
    assert second.blocked == {0}, "it is of no more interest"


def test_an_answer_that_is_out_of_date_is_asked_again() -> None:
    world = PastWorld(*CHAIN)
    second = ActiveRun(("ns", "d"), "r2", (day(2), day(2), "r2"))
    world.index.track(second)
    question = world.index.open_question(second)
    assert question is not None
    world.end(world.run, "a", exit_code=1)
    world.index.answer(second, question, None, None)
    assert world.index.open_question(second) == question + 1
    world.index.answer(second, question + 1, None, None)
    assert world.index.open_question(second) is None
    loaded = world.load("r2", day(2))
    assert world.waits(loaded) == "waiting for task 'a' of the previous run 'r1' (Failed)"


def test_an_answer_is_not_for_another_run_of_the_name() -> None:
    world = PastWorld(*CHAIN)
    second = ActiveRun(("ns", "d"), "r2", (day(2), day(2), "r2"))
    again = replace(second, uid="r2-again", place=(day(3), day(3), "r2"))
    world.index.track(second)
    question = world.index.open_question(second)
    assert question is not None
    world.index.drop(second.key)
    world.index.track(again)
    assert world.index.open_question(second) is None
    world.index.answer(second, question, None, None)
    assert world.index.open_question(again) is not None, "its date is another"


def test_the_last_success_is_known_as_runs_end() -> None:
    first = past_run("r0", day(0), a="Succeeded")
    world = PastWorld(*CHAIN, history=(first,))
    second, third = world.load("r2", day(2)), world.load("r3", day(3))
    assert second.info.previous == PreviousRuns(day(1), day(-1), day(0), first.started_at, first.finished_at)
    world.end(world.run, "a", exit_code=1)
    assert second.info.previous == PreviousRuns(day(1), day(-1), day(0), first.started_at, first.finished_at)
    assert third.info.previous == replace(second.info.previous, logical_date=day(2))
    again = world.load("r1", day(1))
    world.end(again, "a")
    world.end(again, "b")
    assert second.info.previous == PreviousRuns(day(1), day(1), day(1), START, START)
    worse = world.load("r1", day(1))
    world.end(worse, "a", exit_code=1)
    assert second.info.previous.interval_end_success == day(0), "its success was undone"


def test_a_restart() -> None:
    world = PastWorld(*CHAIN, history=(past_run("r0", day(0), a="Failed"),))
    status = world.status()
    world.scheduler.remove_run("r1")
    world.run = world.load("r1", day(1), status=status)
    assert world.waits(world.run) == "waiting for task 'a' of the previous run 'r0' (Failed)"
    assert world.status() == status
    world.index.run_finished(("ns", "d"), past_run("r0", day(0), a="Skipped"))
    world.plan()
    assert "message" not in world.entry("a")


# Limits -------------------------------------------------------------------------------------------------------------


def test_a_run_that_a_running_one_waits_for_leaves_the_queue() -> None:
    """Run again, it would wait for maxActiveRuns, and the one that takes them for it."""
    world = PastWorld(*CHAIN, history=(past_run("r0", day(0), a="Failed"),), maxActiveRuns=1)
    other = world.load("r2", day(2))
    again = world.load("r0", day(0))
    assert (world.run.phase, again.phase, other.phase) == (RunPhase.RUNNING, RunPhase.RUNNING, RunPhase.QUEUED)
    world.end(again, "a")
    assert begun(world.run)
    between = world.load("r0-1", day(0) + timedelta(hours=1))
    assert between.phase is RunPhase.QUEUED, "no run waits for it any more"


def test_one_that_comes_in_between_leaves_the_queue_too() -> None:
    world = PastWorld(*CHAIN, history=(past_run("r0", day(0), a="Failed"),), maxActiveRuns=1)
    between = world.load("r0-1", day(0) + timedelta(hours=1))
    assert between.phase is RunPhase.RUNNING
    assert world.waits(between) == "waiting for task 'a' of the previous run 'r0' (Failed)"
    assert world.waits(world.run) == "waiting for task 'a' of the previous run 'r0-1' (not started)"


def test_a_run_of_a_backfill_that_one_of_the_dag_waits_for_leaves_its_queue() -> None:
    world = PastWorld(*CHAIN, history=(past_run("r0", day(0), a="Failed"),), maxActiveRuns=1)
    world.scheduler.set_max_active_runs("ns", "d", 1, backfill="b")
    later = world.add(run_info("b3", logical_date=day(3), backfill="b"))
    between = world.add(run_info("b0", logical_date=day(0) + timedelta(hours=1), backfill="b"))
    assert world.waits(later) == "waiting for task 'a' of the previous run 'r1' (not started)"
    assert (later.phase, between.phase) == (RunPhase.RUNNING, RunPhase.RUNNING)


def test_dags_of_which_no_run_asks_are_not_kept() -> None:
    world = PastWorld(task("a"), task("b", "a"))
    assert not world.index.tracks(("ns", "d"))
    later = world.load("r2", day(2), dag=dag(*CHAIN))
    assert world.index.tracks(("ns", "d"))
    world.scheduler.remove_run("r2")
    world.index.drop(("ns", "r2"))
    assert not world.index.tracks(("ns", "d"))
    assert later.past is None


def test_templates_ask_too() -> None:
    assert not dag(task("a")).needs_previous_runs
    assert dag(task("a", args=["{{ prevLogicalDate | d('') }}"])).needs_previous_runs
    assert dag(task("a", waitForDownstream=True)).needs_previous_runs
    assert dag(task("a"), taskDefaults={"dependsOnPast": True}).needs_previous_runs


def test_without_an_index_there_is_no_past() -> None:
    assert World(*CHAIN).started() == ["a"]


def test_runs_that_wait_in_the_queue_are_looked_at_once_they_begin() -> None:
    world = PastWorld(task("a", args=["{{ prevLogicalDate }}"]), maxActiveRuns=1)
    queued = [world.load(f"q{number}", day(number)) for number in range(2, 50)]
    before = [run.info for run in queued]
    world.running("a", started_at=START)
    world.end(world.run, "a")
    assert queued[0].phase is RunPhase.RUNNING
    previous = queued[0].info.previous
    assert previous is not None and previous.logical_date == day(1)
    assert [run.info for run in queued[1:]] == before[1:]
