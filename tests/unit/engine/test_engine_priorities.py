"""priorityWeight, weightRule, maxActivePerRun and maxActivePerDag."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.engine.engine_world import START, World, run_info, task
from tradewind.engine.run.graph import Graph

pytestmark = pytest.mark.unit

DIAMOND = (task("a"), task("b", "a", priorityWeight=2), task("c", "a", priorityWeight=3), task("d", "b", "c"))


@pytest.mark.parametrize(
    ("rule", "weights"),
    [("Downstream", (7, 3, 4, 1)), ("Upstream", (1, 3, 4, 7)), ("Absolute", (1, 2, 3, 1))],
)
def test_each_task_counts_once(rule: str, weights: tuple[int, ...]) -> None:
    tasks = [{**each, "weightRule": rule} for each in DIAMOND]
    assert Graph.of(World(*tasks).dag.tasks).weights == weights


def test_the_weightiest_goes_first_then_the_first_in_the_dag() -> None:
    world = World(task("x"), task("y", priorityWeight=5), task("z", priorityWeight=5), task("w"), maxActiveTasks=1)
    for name in ("y", "z", "x"):
        assert world.started()[-1] == name
        world.running(name)
        world.succeed(name)
    assert world.started() == ["y", "z", "x", "w"]


def test_what_holds_up_most_goes_first_by_default() -> None:
    world = World(task("lone"), task("root"), task("after", "root"), maxActiveTasks=1)
    assert world.started() == ["root"]


def test_priorities_count_over_all_runs_of_a_pool() -> None:
    world = World(task("low", pool="p"), task("low2", pool="p"))
    heavy = World(task("high", pool="p", priorityWeight=9)).dag
    world.add(run_info("r2", logical_date=START + timedelta(days=1), dag_name="e"), heavy)
    world.scheduler.set_pool("ns", "p", 1)
    world.plan()
    assert [start.task.name for start in world.starts] == ["high"]


def test_a_wide_run_does_not_starve_the_only_task_of_another_dag() -> None:
    world = World(*(task(f"t{number}", pool="p") for number in range(50)), maxActiveTasks=100)
    lone = World(task("lone", pool="p")).dag
    world.add(run_info("r2", logical_date=START + timedelta(days=1), dag_name="e"), lone)
    world.scheduler.set_pool("ns", "p", 4)
    world.plan()
    assert {start.task.name for start in world.starts} == {"t0", "t1", "t2", "lone"}


def limited(**fields: Any) -> World:
    return World(task("a", forEach={"items": [1, 2, 3, 4, 5]}, **fields), task("b"))


def test_max_active_per_run() -> None:
    world = limited(maxActivePerRun=2)
    assert world.started() == ["a[0]", "a[1]", "b"], "others continue"
    assert world.entry("a")["message"] == "waiting for maxActivePerRun of the task (2)"
    world.running("a[1]")
    world.succeed("a[1]")
    assert world.started()[-1] == "a[2]"


def test_max_active_per_dag() -> None:
    world = limited(maxActivePerDag=3)
    world.add(replace(run_info("r2"), logical_date=START + timedelta(days=1)))
    assert [(start.run.name, start.key.instance) for start in world.starts] == [
        ("r1", "a[0]"),
        ("r1", "a[1]"),
        ("r1", "a[2]"),
        ("r1", "b"),
        ("r2", "b"),
    ]
    assert world.status()["tasks"][0]["message"] == "waiting for maxActivePerDag of the task (3)"
    world.running("a[0]")
    world.succeed("a[0]")
    assert [(start.run.name, start.key.instance) for start in world.last.starts] == [("r1", "a[3]")]


def test_a_run_that_is_suspended_starts_nothing() -> None:
    world = World(task("a"), task("b", "a"))
    world.running("a")
    world.run.suspended = True
    world.succeed("a")
    assert world.started() == ["a"]
    assert world.entry("b")["message"] == "waiting: the run is suspended"
