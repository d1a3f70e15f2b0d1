"""Limits hold at every moment, and waiting tasks report which.

The witness is a watch: a Pod counts from its creation to the end of its container, in the API server's own order.
"""

from tests.e2e.pod_watch import PodWatch
from tests.e2e.spaces import Space, task
from tests.e2e.stage import Stage, side_by_side


def message(space: Space, run: str, name: str) -> str:
    return str(space.task(run, name).get("message", ""))


@side_by_side
def test_a_pool_is_shared_by_dags_and_never_exceeded(stage: Stage) -> None:
    space, _ = stage.space_and_controller("pool")
    watch = PodWatch(space)
    space.pool("warehouse", 2)
    defaults = {"image": "busybox:1.36", "pool": "warehouse"}
    for dag in ("sales", "stock"):
        space.dag(dag, *(task(f"{dag}-{i}", "sleep 1") for i in range(4)), taskDefaults=defaults)
    space.dag("whole", task("both", "sleep 1", poolSlots=2), taskDefaults=defaults)
    runs = [space.run(dag) for dag in ("sales", "stock", "whole")]
    waits = "waiting for a slot of pool 'warehouse' (2 slots)"
    space.eventually(lambda: message(space, runs[1], "stock-3") == waits, "a task says what it waits for")
    for run in runs:
        space.wait_succeeded(run)
    assert watch.most_at_once({"both": 2}) == 2
    assert len(watch.created()) == 9
    watch.end()


@side_by_side
def test_max_active_tasks_of_a_run(stage: Stage) -> None:
    space, _ = stage.space_and_controller("tasks")
    watch = PodWatch(space)
    space.dag("wide", *(task(f"t-{i}", "sleep 1") for i in range(7)), maxActiveTasks=3)
    run = space.run("wide")
    waits = "waiting for maxActiveTasks of the Dag (3)"
    space.eventually(lambda: message(space, run, "t-6") == waits, "a task says what it waits for")
    space.wait_succeeded(run)
    assert watch.most_at_once() == 3
    created = watch.created()
    assert set(created[:3]) == {"t-0", "t-1", "t-2"}, "first in the Dag, first served"
    assert created[6:] == ["t-6"]
    watch.end()


@side_by_side
def test_parallelism_of_the_controller(stage: Stage) -> None:
    space, _ = stage.space_and_controller("parallel", "--parallelism=2")
    watch = PodWatch(space)
    for dag in ("one", "two"):
        space.dag(dag, *(task(f"{dag}-{i}", "sleep 1") for i in range(3)))
    for run in [space.run("one"), space.run("two")]:
        space.wait_succeeded(run)
    assert watch.most_at_once() == 2
    watch.end()


@side_by_side
def test_limits_hold_when_the_controller_is_replaced(stage: Stage) -> None:
    """The new one counts what the old one has started before it starts more."""
    space, controller = stage.space_and_controller("heirs")
    watch = PodWatch(space)
    space.pool("warehouse", 2)
    space.dag("sales", *(task(f"s-{i}", "sleep 3", pool="warehouse") for i in range(6)), maxActiveTasks=5)
    run = space.run("sales")
    space.eventually(lambda: len(space.pods_of(run)) == 2, "two tasks have started")
    controller.kill()
    stage.controllers.launch_for(space.name)
    space.wait_succeeded(run)
    assert watch.most_at_once() == 2
    watch.end()


@side_by_side
def test_a_pool_that_does_not_exist_yet(stage: Stage) -> None:
    space, _ = stage.space_and_controller("no-pool")
    space.dag("early", task("early", "true", pool="later"), task("other", "true"))
    run = space.run("early")
    waits = f"waiting for pool 'later', which does not exist in namespace '{space.name}'"
    space.eventually(lambda: message(space, run, "early") == waits, "the task says what is missing")
    space.wait_state(run, "other", "Succeeded")
    space.pool("later", 0)
    space.eventually(lambda: "'later' (0 slots)" in message(space, run, "early"), "the task says that it is full")
    space.witness.patch(space.name, "pools", "later", {"spec": {"slots": 1}})
    space.wait_succeeded(run)
    assert "message" not in space.task(run, "early")


@side_by_side
def test_max_active_runs(stage: Stage) -> None:
    space, _ = stage.space_and_controller("runs")
    watch = PodWatch(space)
    space.dag("single", task("t", "sleep 1"), maxActiveRuns=1)
    runs = [space.run("single", f"single-{i}", logicalDate=f"2026-01-0{9 - i}T00:00:00Z") for i in range(3)]
    last = space.eventually(
        lambda: next((run for run in runs if "maxActiveRuns" in space.status(run).get("message", "")), None),
        "a run says that it waits",
    )
    assert space.status(last)["message"] == "waiting for maxActiveRuns of the Dag (1)"
    assert space.status(last)["phase"] == "Queued"
    for run in runs:
        assert "message" not in space.wait_succeeded(run)
    assert watch.most_at_once() == 1
    watch.end()
