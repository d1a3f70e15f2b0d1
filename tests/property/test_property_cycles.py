"""Cycles are found where there are any, and what is found is one."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.api.validation.dependencies import find_cycle

pytestmark = pytest.mark.property

NAMES = [f"t{index}" for index in range(12)]
GRAPHS = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=3)).map(
    lambda found: {name: [other for other in others if other in found] for name, others in found.items()}
)


def reachable(upstream: dict[str, list[str]], start: str) -> set[str]:
    """Everything upstream of a task, found one step at a time."""
    found: set[str] = set()
    border = set(upstream[start])
    while border:
        found |= border
        border = {other for name in border for other in upstream[name]} - found
    return found


@given(upstream=GRAPHS)
def test_a_cycle_is_found_where_a_task_waits_for_itself(upstream: dict[str, list[str]]) -> None:
    cycle = find_cycle(upstream)
    assert bool(cycle) == any(name in reachable(upstream, name) for name in upstream)
    for earlier, later in pairwise(cycle):
        assert earlier in upstream[later]
    if cycle:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1


@given(order=st.permutations(NAMES), data=st.data())
def test_edges_that_all_point_the_same_way_make_no_cycle(order: list[str], data: st.DataObject) -> None:
    earlier = {name: order[:index] for index, name in enumerate(order)}
    upstream = {
        name: data.draw(st.lists(st.sampled_from(before), max_size=4), label=name) if before else []
        for name, before in earlier.items()
    }
    assert find_cycle(upstream) == []
