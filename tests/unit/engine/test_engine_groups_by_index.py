"""Mapped groups: decisions, setups, retries and restarts go by index."""

import pytest

from tests.unit.engine.engine_world import START, World, task
from tests.unit.engine.mapped_groups import mapped, over_output
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import TryEvent, TryReport

pytestmark = pytest.mark.unit


# Branches, short circuits, setups in mapped groups --------------------------------------------------------------------


def test_a_branch_in_a_mapped_group_decides_by_index() -> None:
    world = World(
        task("b", group="g", branch=True),
        task("left", "b", group="g"),
        task("right", "b", group="g"),
        task("join", "left", "right", group="g", triggerRule="NoneFailedMinOneSuccess"),
        groups=[mapped()],
    )
    world.succeed("b[0]", '"left"')
    world.succeed("b[1]", '["right"]')
    assert world.started()[3:] == ["left[0]", "right[1]"]
    assert world.entry("left")["indexes"] == {"Scheduled": "0", "Skipped": "1"}
    assert world.entry("right")["indexes"] == {"Scheduled": "1", "Skipped": "0"}
    world.succeed("left[0]")
    assert world.started()[5:] == ["join[0]"]
    world.restart()
    world.succeed("b[2]", '"stranger"')
    assert world.state("b[2]") is TaskState.FAILED
    assert "'stranger'" in world.entry("b")["instances"][-1]["message"]


@pytest.mark.parametrize("respect", [False, True])
def test_a_short_circuit_in_a_mapped_group_stops_its_own_index(respect: bool) -> None:
    circuit = {"respectTriggerRules": True} if respect else True
    world = World(
        task("check", group="g", shortCircuit=circuit),
        task("next", "check", group="g"),
        task("last", "next", group="g", triggerRule="AllDone"),
        task("behind", "g", triggerRule="AllDone"),
        groups=[mapped()],
    )
    world.succeed("check[0]", "true")
    world.succeed("check[1]", "false")
    assert world.counted("next") == {"Scheduled": 1, "Skipped": 1, "None": 1}
    assert world.state("last[1]") is (TaskState.SCHEDULED if respect else TaskState.SKIPPED)
    world.succeed_started()
    world.succeed("check[2]", "true")
    world.succeed_started()
    assert world.counted("last") == ({"Succeeded": 3} if respect else {"Succeeded": 2, "Skipped": 1})
    assert world.state("behind") is TaskState.SUCCEEDED, "no single index decides about what is behind the group"


def test_a_short_circuit_before_a_mapped_group_stops_all_of_it() -> None:
    world = World(
        task("check", shortCircuit=True),
        task("first", group="g"),
        task("second", "first", group="g", triggerRule="AllDone"),
        groups=[mapped("check")],
    )
    world.succeed("check", "false")
    assert world.counted("first") == world.counted("second") == {"Skipped": 3}


def test_a_branch_may_choose_a_mapped_group_or_not() -> None:
    tasks = (task("b", branch=True), task("first", group="g"), task("other", "b"))
    chosen, passed_over = (World(*tasks, groups=[mapped("b")]) for _ in range(2))
    chosen.succeed("b", '"g"')
    assert chosen.started()[1:] == ["first[0]", "first[1]", "first[2]"]
    passed_over.succeed("b", '"other"')
    assert passed_over.counted("first") == {"Skipped": 3}
    assert passed_over.entry("first")["reason"] == "NotFollowed"


def test_setup_and_teardown_in_a_mapped_group_are_by_index() -> None:
    world = World(
        task("up", group="g", setup=True),
        task("work", "up", group="g"),
        task("down", "work", group="g", teardown={"setups": ["up"]}),
        task("behind", "g"),
        groups=[mapped()],
    )
    world.succeed("up[0]")
    world.fail("up[1]")
    assert world.state("down[1]") is TaskState.UPSTREAM_FAILED, "there is nothing to tear down"
    world.succeed("up[2]")
    world.fail("work[0]")
    assert world.started()[-1] == "down[0]", "whatever happened to what was set up"
    world.succeed("work[2]")
    assert world.started()[-1] == "down[2]"
    assert world.state("behind") is TaskState.UPSTREAM_FAILED
    world.restart()
    assert world.counted("down") == {"Scheduled": 2, "UpstreamFailed": 1}


def test_what_is_behind_a_mapped_group_does_not_wait_for_its_teardowns() -> None:
    world = World(
        task("up", group="g", setup=True),
        task("work", "up", group="g"),
        task("down", "work", group="g", teardown={"setups": ["up"]}),
        task("behind", "g"),
        groups=[mapped(count=2)],
    )
    for name in ("up[0]", "up[1]", "work[0]", "work[1]"):
        world.succeed(name)
    assert "behind" in world.started()
    world.fail("down[0]")
    world.succeed("down[1]")
    world.succeed("behind")
    assert world.phase() == "Succeeded"


# Everything else by index ---------------------------------------------------------------------------------------------


def test_noops_in_a_mapped_group() -> None:
    world = World(
        task("start", group="g", noop=True),
        task("work", "start", group="g"),
        task("done", "work", group="g", noop=True),
        groups=[mapped()],
    )
    assert world.started() == ["work[0]", "work[1]", "work[2]"]
    world.succeed("work[1]")
    world.fail("work[0]")
    assert world.counted("done") == {"Succeeded": 1, "UpstreamFailed": 1, "None": 1}


def test_retries_in_a_mapped_group() -> None:
    world = World(
        task("first", group="g", retries={"limit": 1, "delay": "10s"}),
        task("second", "first", group="g"),
        groups=[mapped(count=2)],
    )
    world.fail("first[0]")
    world.succeed("first[1]")
    assert world.counted("second") == {"None": 1, "Scheduled": 1}
    world.wait(seconds=10)
    world.succeed("first[0]")
    assert world.started()[-1] == "second[0]"


def test_fail_fast_runs_the_teardowns_of_the_indexes_that_were_set_up() -> None:
    world = World(
        task("up", group="g", setup=True),
        task("work", "up", group="g"),
        task("down", "work", group="g", teardown={"setups": ["up"]}),
        groups=[mapped(count=2)],
        failFast=True,
    )
    world.succeed("up[0]")
    world.fail("work[0]")
    assert world.counted("up") == {"Succeeded": 1, "Skipped": 1}
    assert world.counted("work") == {"Failed": 1, "Skipped": 1}
    assert world.counted("down") == {"Scheduled": 1, "Skipped": 1}
    world.lose("up[1]")
    world.succeed("down[0]")
    assert (world.phase(), world.run.reason) == ("Failed", "FailFast")


def test_a_whole_group_at_once() -> None:
    """Operations on thousands of instances are batched, with the right result."""
    count = 2000
    world = World(
        task("before"),
        task("first", group="g"),
        task("second", "first", group="g", noop=True),
        task("third", "second", group="g"),
        groups=[mapped("before", count=count)],
        maxMapLength=count,
        maxActiveTasks=3,
    )
    world.fail("before")
    for name in ("first", "second", "third"):
        assert world.counted(name) == {"UpstreamFailed": count}
    assert world.phase() == "Failed"
    assert world.status()["done"] == f"{3 * count + 1}/{3 * count + 1}"


def test_pods_of_a_group_that_status_does_not_know_are_taken_over() -> None:
    world = over_output()
    status = world.status()
    reports = [
        TryReport("second", 1, TryEvent.RUNNING, index=1, started_at=START),
        TryReport("first", 1, TryEvent.ENDED, exit_code=0, index=1, output="1"),
        TryReport("extract", 1, TryEvent.ENDED, exit_code=0, output="[1, 2]"),
    ]
    world.starts.clear()
    world.restart(reports, status)
    assert world.entry("second")["indexes"] == {"Running": "1"}
    assert world.started() == ["first[0]"]
    assert not world.run.early
