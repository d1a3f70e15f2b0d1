"""Runs that wait for maxActiveRuns: what they cost, and that they are otherwise like any other."""

from __future__ import annotations

import time
import tracemalloc
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest

from tests.unit.engine.engine_world import START as NOW
from tests.unit.engine.engine_world import World, run_info, task
from tests.unit.engine.engine_world import dag as resolved
from tradewind.engine import scheduler
from tradewind.engine.run.graph import Graph
from tradewind.engine.run.slots import Slots
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase, TaskState
from tradewind.engine.run.tries import TryEvent, TryReport
from tradewind.engine.schedule.run_queue import RunQueue
from tradewind.engine.scheduler import EXPLAINED_AT_ONCE, Scheduler
from tradewind.engine.status.restore import load
from tradewind.engine.status.run_status import run_status
from tradewind.engine.transitions import run_lifecycle

pytestmark = pytest.mark.unit

WAITS = "waiting for maxActiveRuns of the Dag (1)"


def named(number: int) -> Any:
    return run_info(name=f"u{number}", logical_date=NOW + timedelta(seconds=number))


class Many:
    """A Dag of one run at a time, and a queue of so many."""

    def __init__(self, queued: int, tasks: int = 1) -> None:
        self.dag = resolved(*(task(f"t{number}") for number in range(tasks)), maxActiveRuns=1)
        self.graph = Graph.of(self.dag.tasks)
        self.scheduler = Scheduler()
        self.scheduler.set_max_active_runs("ns", "d", 1)
        for number in range(queued + 1):
            self.add(number)
        while self.scheduler.plan(NOW).wake_at is not None:
            pass

    def add(self, number: int, status: dict[str, Any] | None = None) -> RunState:
        run = load(named(number), self.dag, self.scheduler.slots, graph=self.graph, status=status)
        self.scheduler.add_run(run)
        return run

    def end(self) -> RunState:
        """Finish the running run; return the next one that runs."""
        run = self.running()
        for each in self.dag.tasks:
            reported = TryReport(each.name, 1, TryEvent.ENDED, exit_code=0, started_at=NOW, finished_at=NOW)
            self.scheduler.report(run.info.uid, reported, NOW)
        self.scheduler.plan(NOW)
        self.scheduler.remove_run(run.info.uid)
        self.scheduler.plan(NOW)
        return self.running()

    def running(self) -> RunState:
        (run,) = (run for run in self.scheduler.runs.values() if run.phase is RunPhase.RUNNING)
        return run


def test_a_run_in_the_queue_takes_little_memory() -> None:
    many = Many(1, tasks=1000)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    kept = [many.add(number) for number in range(10, 60)]
    many.scheduler.plan(NOW)
    statuses = [run_status(run) for run in kept]
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / len(kept) < 20_000
    assert statuses[0]["done"] == "0/1000"
    assert statuses[0]["message"] == WAITS
    assert statuses[0]["tasks"] == []


def test_a_run_in_the_queue_is_asked_like_any_other() -> None:
    many = Many(1, tasks=3)
    run = many.scheduler.runs["u1"]
    assert run.folded
    assert run.tally() == {TaskState.NONE: 3}
    assert run.missing([]) == []
    run.release()
    assert run.folded
    assert [instance.name for instance in run] == ["t0", "t1", "t2"]
    assert not run.folded
    assert run.tally() == {TaskState.NONE: 3}
    assert run_status(run)["tasks"] == []


def rerun(**entry: Any) -> dict[str, Any]:
    finished = {"name": "t0", "state": "Succeeded", "try": 1, "output": 7, "finishedAt": "2026-01-01T00:00:00Z"}
    tasks = [finished, {"name": "t1", "state": "None", "triesBefore": 1, **entry}]
    return {"phase": "Queued", "logicalDate": "2026-01-01T00:00:00Z", "done": "1/3", "tasks": tasks}


def test_what_a_run_that_runs_again_had_done_is_kept_while_it_waits() -> None:
    many = Many(1, tasks=3)
    run = many.add(2, rerun())
    assert run.folded
    many.scheduler.plan(NOW)
    folded = run_status(run)
    assert folded["done"] == "1/3"
    assert run.tally() == {TaskState.SUCCEEDED: 1, TaskState.NONE: 2}
    assert run["t0"].state is TaskState.SUCCEEDED
    assert not run.folded
    assert run.tally() == {TaskState.SUCCEEDED: 1, TaskState.NONE: 2}
    unfolded = run_status(run)
    assert {**unfolded, "tasks": 0} == {**folded, "tasks": 0}
    assert [entry["name"] for entry in unfolded["tasks"]] == ["t0"]
    assert run.outputs["t0"] == {"output": 7}


@pytest.mark.parametrize("entry", [{"state": "Running", "try": 1}, {"count": 3}, {"name": "gone", "state": "Removed"}])
def test_a_run_in_the_queue_of_which_a_task_is_more_than_its_entry_has_its_tasks_at_once(entry: dict[str, Any]) -> None:
    dag = resolved(task("t0"), task("t1", forEach={"items": [1, 2, 3]}) if "count" in entry else task("t1"), task("t2"))
    run = load(named(1), dag, Slots(), status=rerun(**entry))
    assert not run.folded


def test_the_oldest_leaves_first_however_they_came() -> None:
    many = Many(0)
    for number in (5, 3, 9, 4):
        many.add(number)
    many.scheduler.plan(NOW)
    assert [many.end().info.uid for _ in range(4)] == ["u3", "u4", "u5", "u9"]


def test_a_suspended_run_is_passed_over_until_it_continues() -> None:
    many = Many(3)
    many.scheduler.suspend("u1", True)
    many.scheduler.plan(NOW)
    assert many.end().info.uid == "u2"
    many.scheduler.suspend("u1", False)
    many.scheduler.plan(NOW)
    assert many.end().info.uid == "u1"
    assert many.end().info.uid == "u3"


def test_all_are_notified_of_another_limit_though_not_at_once() -> None:
    many = Many(3 * EXPLAINED_AT_ONCE)
    queued = [run for run in many.scheduler.runs.values() if run.phase is RunPhase.QUEUED]
    assert {run.message for run in queued} == {WAITS}
    many.scheduler.set_max_active_runs("ns", "d", 2)
    plan = many.scheduler.plan(NOW)
    assert len(plan.changed) <= EXPLAINED_AT_ONCE + 1
    assert plan.wake_at == NOW, "there is more to do"
    while many.scheduler.plan(NOW).wake_at is not None:
        pass
    waiting = [run for run in queued if run.phase is RunPhase.QUEUED]
    assert {run.message for run in waiting} == {"waiting for maxActiveRuns of the Dag (2)"}
    assert len(waiting) == len(queued) - 1


def test_why_a_run_waits_is_written_once() -> None:
    many = Many(20)
    for run in many.scheduler.runs.values():
        run.changed = False
    many.add(100)
    assert [run.info.uid for run in many.scheduler.plan(NOW).changed] == ["u100"]
    many.end()
    changed = [run.info.uid for run in many.scheduler.runs.values() if run.changed and run.phase is RunPhase.QUEUED]
    assert changed == ["u100"], "it was not cleared"


def test_a_long_queue_costs_no_more_than_a_short_one() -> None:
    def cost(queued: int) -> float:
        many = Many(queued)
        best = 1.0
        for number in range(20):
            began = time.process_time()
            many.add(100_000 + number)
            many.scheduler.plan(NOW)
            many.end()
            best = min(best, time.process_time() - began)
        return best

    assert cost(3000) < 4 * cost(30) + 0.001


def test_a_queue_forgets_what_has_left() -> None:
    queue = RunQueue()
    for number in range(1000):
        queue.put(f"u{number}", (NOW, "ns", f"{number:04}"), may_start=True)
        queue.put(f"u{number}", (NOW, "ns", f"{number:04}"), may_start=False)
        queue.discard(f"u{number}")
    assert queue.first is None
    assert len(queue) == 0
    assert len(queue._heap) == 0
    queue.put("a", (NOW, "ns", "a"), may_start=True)
    for _ in range(1000):
        queue.put("a", (NOW, "ns", "a"), may_start=True)
    assert len(queue._heap) < 50
    assert queue.first == "a"


def poison(monkeypatch: pytest.MonkeyPatch, module: ModuleType, function: str, bad: RunState) -> None:
    """A function of the engine fails for one run."""
    whole = getattr(module, function)

    def fails(run: RunState, *args: Any, **options: Any) -> Any:
        if run is bad:
            raise KeyError("poison")
        return whole(run, *args, **options)

    monkeypatch.setattr(module, function, fails)


def test_a_run_that_cannot_be_worked_on_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(task("a"))
    bad = RunState(run_info("bad"), world.dag, world.scheduler.slots)
    poison(monkeypatch, run_lifecycle, "advance", bad)
    world.scheduler.add_run(bad)
    good = world.add(run_info("good"))
    assert {(info.name, str(error)) for info, error in world.last.failed} == {("bad", "'poison'")}
    assert good.phase is RunPhase.RUNNING
    assert [start.run.name for start in world.starts] == ["r1", "good"]


def test_a_run_that_cannot_begin_or_take_slots_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(task("a"))
    first = RunState(run_info("u1"), world.dag, world.scheduler.slots)
    second = RunState(run_info("u2"), world.dag, world.scheduler.slots)
    poison(monkeypatch, run_lifecycle, "begin", first)
    poison(monkeypatch, scheduler, "grant", second)
    world.scheduler.add_run(first)
    world.scheduler.add_run(second)
    world.add(run_info("u3"))
    assert {info.name for info, _ in world.last.failed} == {"u1", "u2"}
    assert world.starts[-1].run.name == "u3"
