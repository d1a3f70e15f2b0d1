"""The cycle finder against brute force, on small graphs of every kind."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.api.dag import DagSpec
from tradewind.api.validation import validate_dag_spec
from tradewind.api.validation.dependencies import find_cycle
from tradewind.api.validation.order import Upstream

pytestmark = pytest.mark.unit

NAMES = "abcdefg"
graphs = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=4), min_size=1).map(
    lambda graph: {name: [other for other in others if other in graph] for name, others in graph.items()}
)


def ancestors(graph: dict[str, list[str]], name: str) -> set[str]:
    found: set[str] = set()
    border = set(graph[name])
    while border:
        found |= border
        border = {other for name in border for other in graph[name]} - found
    return found


@given(graphs)
def test_finds_a_cycle_exactly_where_there_is_one(graph: dict[str, list[str]]) -> None:
    cycle = find_cycle(graph)
    assert bool(cycle) == any(name in ancestors(graph, name) for name in graph)


@given(graphs)
def test_what_it_finds_is_a_cycle(graph: dict[str, list[str]]) -> None:
    cycle = find_cycle(graph)
    if cycle:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        for before, after in pairwise(cycle):
            assert before in graph[after], f"{after} does not wait for {before}"


@given(graphs)
def test_what_has_finished_before(graph: dict[str, list[str]]) -> None:
    upstream = Upstream(graph)
    for name in graph:
        ended = {other for other in graph if upstream.has(name, other)}
        assert ended == (set(graph) if find_cycle(graph) else ancestors(graph, name))


def test_is_deterministic_and_starts_with_the_first_name() -> None:
    assert find_cycle({"c": ["b"], "b": ["a"], "a": ["c"], "d": ["c"]}) == ["a", "b", "c", "a"]


def test_takes_the_largest_dag_at_once() -> None:
    """No recursion, and no work per pair of tasks where there is no cycle."""
    chain = {str(i): [str(i - 1)] if i else [] for i in range(50_000)}
    assert find_cycle(chain) == []


def test_a_long_cycle_is_not_spelled_out() -> None:
    """Its message has to fit into a condition."""
    tasks = [{"name": f"t{i}", "noop": True, "dependsOn": [f"t{(i - 1) % 2000}"]} for i in range(2000)]
    problems = validate_dag_spec(DagSpec.model_validate({"tasks": tasks}))
    assert [problem.reason for problem in problems] == ["Cycle"]
    assert "t0 → t1 → t2 → t3 → t4 → … 1990 more … → " in problems[0].message
    assert problems[0].message.endswith(" → t0")
    assert len(problems[0].message) < 300
