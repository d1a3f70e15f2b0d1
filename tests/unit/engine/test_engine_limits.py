"""Slots: who gets them, in which order, and what is said to those who wait."""

from datetime import timedelta

import pytest

from tests.unit.engine.engine_world import START, World, dag, run_info, task
from tradewind.engine.run.states import TaskState
from tradewind.engine.status.run_status import run_status

pytestmark = pytest.mark.unit

DAY = timedelta(days=1)


def message(world: World, name: str) -> str | None:
    found = world.entry(name).get("message")
    assert found is None or isinstance(found, str)
    return found


def six(**fields: object) -> list[dict[str, object]]:
    return [task(f"t{index}", **fields) for index in range(6)]


# maxActiveTasks -----------------------------------------------------------------------------------------------------


def test_max_active_tasks_counts_queued_and_running() -> None:
    world = World(*six(), maxActiveTasks=2)
    assert world.started() == ["t0", "t1"]
    world.created("t0")
    world.running("t1")
    assert len(world.starts) == 2
    world.succeed("t1")
    assert world.started() == ["t0", "t1", "t2"]
    world.fail("t0")
    assert world.started()[-1] == "t3"


def test_sixteen_by_default() -> None:
    world = World(*(task(f"t{index}") for index in range(20)))
    assert len(world.starts) == 16
    assert message(world, "t16") == "waiting for maxActiveTasks of the Dag (16)"


def test_tasks_without_a_pod_take_no_slots() -> None:
    world = World(task("a"), task("b", noop=True), task("c", "b"), maxActiveTasks=1)
    assert world.states() == {"a": "Scheduled", "b": "Succeeded", "c": "Scheduled"}
    assert world.started() == ["a"]


def test_what_waits_for_a_retry_takes_no_slots() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "10s"}), task("b"), maxActiveTasks=1)
    world.fail("a")
    assert world.started() == ["a", "b"]
    world.wait(seconds=10)
    assert world.started() == ["a", "b"]
    world.succeed("b")
    assert world.started() == ["a", "b", "a#2"]


def test_first_in_the_dag_first() -> None:
    world = World(task("c"), task("a"), task("b"), maxActiveTasks=1)
    world.succeed("c")
    world.succeed("a")
    assert world.started() == ["c", "a", "b"]


# Pools --------------------------------------------------------------------------------------------------------------


def test_a_pool_is_shared_by_all_runs_of_its_namespace() -> None:
    world = World(*six(pool="p"))
    world.scheduler.set_pool("ns", "p", 4)
    world.add(run_info("r2", logical_date=START + DAY))
    elsewhere = world.add(run_info("r3", namespace="other"))
    assert [(start.run.name, start.task.name) for start in world.starts] == [("r1", f"t{index}") for index in range(4)]
    assert world.scheduler.slots.used == {("ns", "p"): 4}
    entry = run_status(elsewhere)["tasks"][0]
    assert entry["message"] == "waiting for pool 'p', which does not exist in namespace 'other'"


def test_a_task_takes_as_many_slots_as_it_says() -> None:
    world = World(*six(pool="p", poolSlots=2), maxActiveTasks=6)
    world.scheduler.set_pool("ns", "p", 5)
    world.plan()
    assert world.started() == ["t0", "t1"]
    assert message(world, "t2") == "waiting for a slot of pool 'p' (5 slots)"
    world.succeed("t0")
    assert world.started() == ["t0", "t1", "t2"]


def test_a_missing_pool_is_waited_for() -> None:
    world = World(task("a", pool="p"), task("b"))
    assert world.started() == ["b"]
    assert message(world, "a") == "waiting for pool 'p', which does not exist in namespace 'ns'"
    world.scheduler.set_pool("ns", "p", 1)
    world.plan()
    assert world.started() == ["b", "a"]


def test_an_unlimited_pool() -> None:
    world = World(*six(pool="p", poolSlots=1000), maxActiveTasks=6)
    world.scheduler.set_pool("ns", "p", -1)
    world.plan()
    assert len(world.starts) == 6


def test_a_pool_without_slots_holds_everything_back() -> None:
    world = World(*six(pool="p"))
    world.scheduler.set_pool("ns", "p", 0)
    world.plan()
    assert world.starts == []
    assert message(world, "t5") == "waiting for a slot of pool 'p' (0 slots)"


def test_a_pool_that_grows_lets_more_in() -> None:
    world = World(*six(pool="p"))
    world.scheduler.set_pool("ns", "p", 1)
    world.plan()
    assert world.started() == ["t0"]
    world.scheduler.set_pool("ns", "p", 3)
    world.plan()
    assert world.started() == ["t0", "t1", "t2"]


def test_a_pool_that_shrinks_takes_nothing_away() -> None:
    world = World(*six(pool="p"))
    world.scheduler.set_pool("ns", "p", 3)
    world.plan()
    world.scheduler.set_pool("ns", "p", 1)
    world.plan()
    for name in ("t0", "t1"):
        world.succeed(name)
        assert len(world.starts) == 3
    assert world.stops == []
    world.succeed("t2")
    assert world.started()[-1] == "t3"


def test_a_pool_that_is_deleted_while_in_use() -> None:
    world = World(*six(pool="p"))
    world.scheduler.set_pool("ns", "p", 2)
    world.plan()
    world.scheduler.set_pool("ns", "p", None)
    world.plan()
    world.succeed("t0")
    assert (len(world.starts), world.stops) == (2, [])
    assert message(world, "t2") == "waiting for pool 'p', which does not exist in namespace 'ns'"
    world.scheduler.set_pool("ns", "p", 2)
    world.plan()
    assert world.started() == ["t0", "t1", "t2"], "t1 still has its slot"


def test_the_default_pool_has_128_slots_unless_there_is_one_of_that_name() -> None:
    world = World(*(task(f"t{index}") for index in range(130)), maxActiveTasks=1000)
    assert len(world.starts) == 128
    assert message(world, "t129") == "waiting for a slot of pool 'default' (128 slots)"
    world.scheduler.set_pool("ns", "default", 129)
    world.plan()
    assert len(world.starts) == 129
    world.scheduler.set_pool("ns", "default", None)
    world.plan()
    assert world.scheduler.slots.limit("ns", "default") == 128


def test_a_task_that_needs_more_than_the_pool_has_says_so_and_holds_no_one_back() -> None:
    world = World(task("wide", pool="p", poolSlots=4), task("narrow", pool="p"))
    world.scheduler.set_pool("ns", "p", 3)
    plan = world.plan()
    assert plan.changed == [world.run]
    assert world.started() == ["narrow"]
    assert message(world, "wide") == "needs 4 slots of pool 'p', which has only 3"
    world.run.changed = False
    assert world.wait(seconds=1).changed == []
    world.scheduler.set_pool("ns", "p", 4)
    world.plan()
    assert message(world, "wide") == "waiting for a slot of pool 'p' (4 slots)"
    world.succeed("narrow")
    assert world.started() == ["narrow", "wide"]


def test_a_wide_task_is_not_starved_by_narrow_ones_after_it() -> None:
    world = World(task("first", pool="p"), task("wide", pool="p", poolSlots=2), task("narrow", pool="p"))
    world.scheduler.set_pool("ns", "p", 2)
    world.plan()
    assert world.started() == ["first"]
    world.succeed("first")
    assert world.started() == ["first", "wide"]
    world.succeed("wide")
    assert world.started() == ["first", "wide", "narrow"]


def test_a_full_pool_does_not_hold_back_other_pools() -> None:
    world = World(task("a", pool="p"), task("b", pool="p"), task("c", pool="q"), task("d"))
    for pool in ("p", "q"):
        world.scheduler.set_pool("ns", pool, 1)
    world.plan()
    assert world.started() == ["d", "a", "c"]


# parallelism --------------------------------------------------------------------------------------------------------


def test_parallelism_holds_for_everything_together() -> None:
    world = World(*six(), parallelism=4, maxActiveTasks=3)
    other = world.add(run_info("r2", dag_name="other", namespace="elsewhere"), dag(task("x"), task("y")))
    assert [(start.run.name, start.task.name) for start in world.starts] == [
        ("r1", "t0"),
        ("r1", "t1"),
        ("r1", "t2"),
        ("r2", "x"),
    ]
    assert run_status(other)["tasks"][1]["message"] == "waiting for the controller's parallelism (4 task instances)"
    world.succeed("t0")
    assert world.starts[-1].task.name == "y", "the first of the run that may start more"


def test_an_older_logical_date_goes_first() -> None:
    world = World(*six(), parallelism=1)
    world.add(run_info("older", logical_date=START - DAY))
    world.succeed("t0")
    assert (world.starts[-1].run.name, world.starts[-1].task.name) == ("older", "t0")


# maxActiveRuns ------------------------------------------------------------------------------------------------------


def test_runs_leave_the_queue_in_the_order_of_their_logical_dates() -> None:
    world = World(task("a"), maxActiveRuns=1)
    third = world.add(run_info("r3", logical_date=START + 2 * DAY))
    second = world.add(run_info("r2", logical_date=START + DAY))
    assert (second.phase.value, third.phase.value) == ("Queued", "Queued")
    assert run_status(third)["message"] == "waiting for maxActiveRuns of the Dag (1)"
    assert run_status(third)["done"] == "0/1"
    assert run_status(third)["tasks"] == []
    world.succeed("a")
    assert world.phase() == "Succeeded"
    assert (second.phase.value, third.phase.value) == ("Running", "Queued")
    assert "message" not in run_status(second)


def test_runs_of_the_same_date_go_by_name() -> None:
    world = World(task("a"), maxActiveRuns=1)
    runs = {name: world.add(run_info(name)) for name in ("c", "b")}
    world.succeed("a")
    assert {name: run.phase.value for name, run in runs.items()} == {"b": "Running", "c": "Queued"}


def test_each_dag_has_its_own_limit() -> None:
    world = World(task("a"), maxActiveRuns=1)
    other = world.add(run_info("other", dag_name="other"))
    same_name = world.add(run_info("same", namespace="elsewhere"))
    assert (other.phase.value, same_name.phase.value) == ("Running", "Running")


def test_a_higher_limit_lets_runs_start_and_a_lower_one_stops_none() -> None:
    world = World(task("a"), maxActiveRuns=1)
    later = [world.add(run_info(f"r{index}", logical_date=START + index * DAY)) for index in (2, 3, 4)]
    world.scheduler.set_max_active_runs("ns", "d", 3)
    world.plan()
    assert [run.phase.value for run in later] == ["Running", "Running", "Queued"]
    world.scheduler.set_max_active_runs("ns", "d", 2)
    world.plan()
    assert [run.phase.value for run in later] == ["Running", "Running", "Queued"]
    world.succeed("a")
    assert later[2].phase.value == "Queued"


def test_a_run_that_is_removed_makes_room() -> None:
    world = World(task("a"), task("b"), maxActiveRuns=1, maxActiveTasks=1)
    second = world.add(run_info("r2", logical_date=START + DAY))
    assert world.scheduler.active_runs("ns", "d") == 2
    world.scheduler.remove_run("r1")
    world.plan()
    assert world.scheduler.active_runs("ns", "d") == 1
    assert second.phase.value == "Running"
    assert world.scheduler.slots.active == 1, "what the first held was freed"
    world.scheduler.remove_run("r1")
    world.scheduler.remove_run("r2")
    assert (world.scheduler.slots.active, world.scheduler.slots.used) == (0, {})


# Pods that cannot be made now ---------------------------------------------------------------------------------------


def test_a_postponed_try_frees_its_slots_and_comes_back() -> None:
    world = World(task("a"), task("b"), maxActiveTasks=1)
    world.postpone("a", message="exceeded quota: pods=1")
    assert world.started() == ["a", "b"]
    entry = world.entry("a")
    assert (entry["state"], entry["try"]) == ("Scheduled", 1)
    assert (entry["reason"], entry["message"]) == ("QuotaExceeded", "exceeded quota: pods=1")
    world.succeed("b")
    assert world.started() == ["a", "b"], "not before it is due"
    world.wait(seconds=2)
    assert world.started() == ["a", "b", "a"]
    assert "message" not in world.entry("a")


def test_the_wait_grows_up_to_a_minute() -> None:
    world = World(task("a"))
    waits = []
    for _ in range(8):
        world.postpone("a")
        again = world.run["a"].postponed_until
        assert again is not None
        waits.append((again - world.now).total_seconds())
        world.wait(seconds=waits[-1])
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60]
    assert len(world.starts) == 9


def test_quota_is_waited_for_however_long_it_takes() -> None:
    world = World(task("a", queuedTimeout="1m"))
    for _ in range(10):
        world.postpone("a")
        world.wait(minutes=5)
    assert world.states() == {"a": "Scheduled"}


def test_what_will_hardly_change_is_waited_for_as_long_as_queued_timeout() -> None:
    world = World(task("a", queuedTimeout="1m", retries={"limit": 3}))
    world.postpone("a", reason="Forbidden", message="admission webhook denied", retry=False)
    world.wait(seconds=59)
    world.postpone("a", reason="Forbidden", message="admission webhook denied", retry=False)
    assert world.states() == {"a": "Scheduled"}
    world.wait(seconds=60)
    world.postpone("a", reason="Forbidden", message="admission webhook denied", retry=False)
    entry = world.entry("a")
    assert (entry["state"], entry["reason"], entry["message"]) == ("Failed", "Forbidden", "admission webhook denied")


def test_the_time_in_which_a_task_had_no_slots_does_not_count() -> None:
    world = World(task("a"), task("b", queuedTimeout="1m"), maxActiveTasks=1)
    world.wait(hours=1)
    world.succeed("a")
    world.postpone("b", reason="Forbidden", message="admission webhook denied", retry=False)
    assert world.state("b") is TaskState.SCHEDULED


def test_a_pod_that_exists_after_all_ends_the_wait() -> None:
    world = World(task("a"), task("b"))
    world.postpone("a", reason="ApiUnavailable", message="timed out")
    world.running("a")
    world.wait(seconds=50)
    assert world.started() == ["a", "b"]
    assert "reason" not in world.entry("a")
    assert world.run.active == 2


def test_runs_of_a_backfill_have_a_limit_of_their_own() -> None:
    world = World(task("a"), maxActiveRuns=1)
    world.scheduler.set_max_active_runs("ns", "d", 2, backfill="b")
    made = [world.add(run_info(f"b{n}", logical_date=START - timedelta(days=n), backfill="b")) for n in (1, 2, 3)]
    own = world.add(run_info("r2"))
    assert [run.phase for run in made] == ["Running", "Running", "Queued"]
    assert made[2].message == "waiting for maxActiveRuns of Backfill b (2)"
    assert own.message == "waiting for maxActiveRuns of the Dag (1)"
    assert world.scheduler.active_runs("ns", "d") == 2
    world.scheduler.remove_run("b1")
    world.plan()
    assert (made[2].phase, own.phase) == ("Running", "Queued")
    world.succeed("a")
    assert own.phase == "Running"


def test_the_runs_of_a_backfill_can_be_held_back_and_released() -> None:
    world = World(task("a"))
    world.scheduler.set_max_active_runs("ns", "d", 0, backfill="b")
    run = world.add(run_info("b1", backfill="b"))
    assert run.phase == "Queued"
    world.scheduler.set_max_active_runs("ns", "d", 1, backfill="b")
    world.scheduler.set_max_active_runs("ns", "d", None, backfill="b")
    world.plan()
    assert run.phase == "Running"
