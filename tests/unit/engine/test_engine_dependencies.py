"""A task starts once all tasks upstream succeeded; how they end otherwise is passed on downstream."""

from dataclasses import replace
from itertools import product

import pytest

from tests.unit.engine.engine_world import World, dag, task
from tradewind.engine.run.graph import Graph
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import TryEvent, TryReport
from tradewind.engine.run.upstream import End
from tradewind.engine.transitions import run_lifecycle, try_lifecycle
from tradewind.engine.trigger_rules import Run, UpstreamCounts, Wait
from tradewind.engine.trigger_rules.all_success import all_success

pytestmark = pytest.mark.unit

ENDS = [TaskState.SUCCEEDED, TaskState.FAILED, TaskState.SKIPPED, TaskState.UPSTREAM_FAILED]


def all_success_by_the_book(states: tuple[TaskState | None, ...]) -> TaskState | str:
    """docs/scheduling.md: all Succeeded; UF on the first F/UF; else SK on the first SK. None: not ended yet."""
    if TaskState.FAILED in states or TaskState.UPSTREAM_FAILED in states:
        return TaskState.UPSTREAM_FAILED
    if TaskState.SKIPPED in states:
        return TaskState.SKIPPED
    return "wait" if None in states else "run"


@pytest.mark.parametrize(
    "states",
    [states for size in range(4) for states in product([None, *ENDS], repeat=size)],
    ids=lambda states: "-".join(state.value if state else "pending" for state in states) or "none",
)
def test_all_success(states: tuple[TaskState | None, ...]) -> None:
    counts = UpstreamCounts(len(states))
    for state in states:
        if state is not None:
            counts.add(state)
    verdict = all_success(counts)
    expected = all_success_by_the_book(states)
    if expected == "run":
        assert verdict == Run()
    elif expected == "wait":
        assert isinstance(verdict, Wait)
    else:
        assert isinstance(verdict, End)
        assert verdict.state is expected


def test_removed_tasks_do_not_block_others() -> None:
    counts = UpstreamCounts(2)
    counts.add(TaskState.REMOVED)
    assert isinstance(all_success(counts), Wait)
    counts.add(TaskState.SUCCEEDED)
    assert all_success(counts) == Run()


def test_only_an_end_can_be_counted() -> None:
    with pytest.raises(ValueError, match="Running is not a finished state"):
        UpstreamCounts(1).add(TaskState.RUNNING)


@pytest.mark.parametrize(
    "outcomes",
    [outcomes for size in (1, 2, 3) for outcomes in product(["succeed", "fail", "skip"], repeat=size)],
    ids="-".join,
)
def test_a_run_follows_the_rule(outcomes: tuple[str, ...]) -> None:
    names = [f"up{index}" for index in range(len(outcomes))]
    world = World(*map(task, names), task("last", *names))
    for name, outcome in zip(names, outcomes, strict=True):
        getattr(world, outcome)(name)
    expected = {"fail": "UpstreamFailed", "skip": "Skipped", "succeed": "Scheduled"}
    # Both ends hold from the first moment: what comes later does not change them.
    first = next((outcome for outcome in outcomes if outcome != "succeed"), "succeed")
    assert world.states()["last"] == expected[first]
    assert ("last" in world.started()) == (first == "succeed")


@pytest.mark.parametrize("outcomes", list(product(["succeed", "fail", "skip"], repeat=3)), ids="-".join)
def test_a_failure_counts_more_than_a_skip_seen_at_the_same_time(outcomes: tuple[str, ...]) -> None:
    world = World(task("a"), task("b"), task("c"), task("last", "a", "b", "c"))
    exits = {"succeed": 0, "fail": 1, "skip": 99}
    for name, outcome in zip("abc", outcomes, strict=True):
        try_lifecycle.apply_report(world.run, TryReport(name, 1, TryEvent.ENDED, exit_code=exits[outcome]), world.now)
    run_lifecycle.advance(world.run, world.now)
    expected = {"fail": "UpstreamFailed", "skip": "Skipped", "succeed": "Scheduled"}
    assert world.states()["last"] == expected[next(worst for worst in expected if worst in outcomes)]


def test_an_end_is_passed_on_before_the_others_have_finished() -> None:
    world = World(task("a"), task("b"), task("last", "a", "b"))
    world.fail("a")
    assert world.state("last") is TaskState.UPSTREAM_FAILED
    assert world.phase() == "Running"
    world.succeed("b")
    assert world.phase() == "Failed"


def test_a_later_failure_does_not_change_what_was_skipped() -> None:
    world = World(task("a"), task("b"), task("last", "a", "b"))
    world.skip("a")
    assert world.state("last") is TaskState.SKIPPED
    world.fail("b")
    assert world.state("last") is TaskState.SKIPPED


def test_a_skip_runs_down_the_whole_chain() -> None:
    world = World(task("a"), task("b", "a"), task("c", "b"), task("d", "c"))
    world.skip("a")
    assert world.states() == dict.fromkeys("abcd", "Skipped")
    assert world.phase() == "Succeeded"
    assert world.entry("d")["message"] == "an upstream task was skipped"
    assert world.started() == ["a"]


def test_a_failure_runs_down_the_whole_chain() -> None:
    world = World(task("a"), task("b", "a"), task("c", "b"))
    world.fail("a", message="out of luck")
    assert world.states() == {"a": "Failed", "b": "UpstreamFailed", "c": "UpstreamFailed"}
    assert (world.entry("c")["reason"], world.entry("c")["message"]) == ("TriggerRule", "an upstream task failed")


def test_both_branches_of_a_diamond_meet_again() -> None:
    world = World(task("a"), task("b", "a"), task("c", "a"), task("d", "b", "c"))
    world.succeed("a")
    world.succeed("c")
    assert world.started() == ["a", "b", "c"]
    world.succeed("b")
    assert world.started() == ["a", "b", "c", "d"]


def test_a_dependency_named_twice_counts_once() -> None:
    first, second = dag(task("a"), task("b", "a")).tasks
    graph = Graph.of([first, replace(second, depends_on=("a", "a"))])
    assert (graph.upstream, graph.downstream, graph.leaves) == (((), (0,)), ((1,), ()), (1,))
