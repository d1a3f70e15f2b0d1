"""Thousands of waitFor instances: so many begin or come due in one plan, and nothing but that is different."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.engine.engine_world import START as NOW
from tests.unit.engine.engine_world import dag, run_info, task
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase
from tradewind.engine.run.tries import TryEvent, TryReport
from tradewind.engine.scheduler import Plan, Scheduler
from tradewind.engine.status.restore import load
from tradewind.engine.status.run_status import run_status

pytestmark = pytest.mark.unit

AT_ONCE = 100
COUNT = 1050
RUN_WAITS = {"dagRun": {"dag": "other"}}
LATER = NOW + timedelta(hours=1)


def mapped(wait: dict[str, Any], **facts: Any) -> dict[str, Any]:
    return {"name": "each", "forEach": {"items": list(range(COUNT))}, "waitFor": wait, **facts}


LAST = {"name": "last", "noop": True, "dependsOn": ["each"]}


class Steps:
    """A scheduler that is asked for plans as long as it says that there is more to do now."""

    def __init__(self, *tasks: dict[str, Any], at_once: float = AT_ONCE, **spec: Any) -> None:
        self.dag = dag(*tasks, maxMapLength=COUNT, **spec)
        self.scheduler = Scheduler(waits_at_once=at_once)
        self.run = self.add("u1")

    def add(self, name: str, *tasks: dict[str, Any], status: dict[str, Any] | None = None) -> RunState:
        run = load(run_info(name=name), dag(*tasks) if tasks else self.dag, self.scheduler.slots, status=status)
        self.scheduler.add_run(run)
        return run

    def plan(self, now: Any = NOW) -> Plan:
        plan = self.scheduler.plan(now)
        assert not plan.faults
        assert not plan.failed
        return plan

    def plans(self, now: Any = NOW) -> list[Plan]:
        found = [self.plan(now)]
        while (wake := found[-1].wake_at) is not None and wake <= now:
            found.append(self.plan(now))
        return found


def waiting(run: RunState) -> int:
    return sum(instance.state == "UpForReschedule" for instance in run)


@pytest.mark.parametrize(
    "tasks",
    [
        (mapped(RUN_WAITS), LAST),
        tuple({"name": f"w{number}", "waitFor": RUN_WAITS} for number in range(COUNT)),
        ({"name": "a", "noop": True, "group": "each"}, mapped(RUN_WAITS) | {"group": "each", "dependsOn": ["a"]}, LAST),
    ],
    ids=["mapped", "tasks", "group"],
)
def test_so_many_begin_in_one_plan(tasks: tuple[dict[str, Any], ...]) -> None:
    groups: list[dict[str, Any]] = []
    if "group" in tasks[0]:
        tasks = tuple({name: value for name, value in each.items() if name != "forEach"} for each in tasks)
        tasks[1]["name"] = "w"
        groups = [{"name": "each", "forEach": {"items": list(range(COUNT))}}]
    steps = Steps(*tasks, groups=groups)
    plans = steps.plans()
    assert [len(plan.waits) for plan in plans if plan.waits] == [100] * 10 + [50]
    assert all(steps.run in plan.changed for plan in plans if plan.waits)
    assert len({wait.key for plan in plans for wait in plan.waits}) == waiting(steps.run) == COUNT
    assert steps.run.phase is RunPhase.RUNNING


@pytest.mark.parametrize("at_once", [AT_ONCE, 1000, float("inf")])
def test_those_that_are_due_at_once_end_as_without_a_limit(at_once: float) -> None:
    steps = Steps(mapped({"duration": "1h"}), LAST, at_once=at_once)
    assert waiting(steps.run) == 0
    began = steps.plans()
    assert waiting(steps.run) == COUNT
    assert began[-1].wake_at == LATER
    ended = steps.plans(LATER)
    assert len(ended) == len(began) == -(-COUNT // min(at_once, COUNT))
    assert steps.run.phase is RunPhase.SUCCEEDED
    assert steps.run.finished_at == LATER
    assert run_status(steps.run)["done"] == f"{COUNT + 1}/{COUNT + 1}"


def test_a_run_that_waits_for_room_is_not_deadlocked_and_can_be_stopped() -> None:
    steps = Steps(mapped(RUN_WAITS), LAST, runTimeout="1m")
    steps.plan()
    assert waiting(steps.run) == AT_ONCE
    steps.plan(NOW + timedelta(minutes=1))
    assert steps.run.phase is RunPhase.FAILED
    assert steps.run.reason == "RunTimeout"
    assert steps.plan(LATER).wake_at is None


def test_a_run_that_is_suspended_in_between_begins_the_rest_later() -> None:
    steps = Steps(mapped(RUN_WAITS), LAST)
    steps.plan()
    steps.scheduler.suspend("u1", True)
    assert not any(plan.waits for plan in steps.plans())
    assert waiting(steps.run) == AT_ONCE
    steps.scheduler.suspend("u1", False)
    steps.plans()
    assert waiting(steps.run) == COUNT


def test_a_restart_in_between_continues_with_the_rest() -> None:
    steps = Steps(mapped(RUN_WAITS), LAST)
    steps.plan()
    status = run_status(steps.run)
    steps.scheduler = Scheduler(waits_at_once=AT_ONCE)
    run = steps.add("u1", status=status)
    assert sum(len(plan.waits) for plan in steps.plans()) == COUNT
    assert waiting(run) == COUNT


def test_other_runs_share_the_room_and_their_tries_do_not_wait_for_it() -> None:
    steps = Steps(mapped({"duration": "1h"}), LAST)
    retries = {"limit": 1, "delay": "1h"}
    other = steps.add("u2", task("a", retries=retries), {"name": "w", "waitFor": {"duration": "30m"}})
    plans = steps.plans()
    assert "a" in {start.task.name for start in plans[0].starts}
    assert waiting(other) == 1
    steps.scheduler.report("u2", TryReport("a", 1, TryEvent.ENDED, exit_code=1, finished_at=NOW), NOW)
    steps.plan()
    due = steps.plan(LATER)
    assert [start.key.number for start in due.starts] == [2]
    assert sum(instance.finished for instance in (*steps.run, *other)) == AT_ONCE
    steps.plans(LATER)
    assert steps.run.phase is RunPhase.SUCCEEDED
    assert other["w"].state == "Succeeded"
