"""IndexSet and IndexMap: checked against Python's own sets and dicts, on every small set there is."""

import random
from itertools import combinations

import pytest

from tradewind.engine.run.index_map import IndexMap
from tradewind.engine.run.index_set import IndexSet

pytestmark = pytest.mark.unit

MOST = 7
SMALL = [set(chosen) for size in range(MOST + 1) for chosen in combinations(range(MOST), size)]


def same(found: IndexSet, expected: set[int]) -> bool:
    """Whether a set has just these indexes, by every way to ask."""
    ascending = sorted(expected)
    first = found.first == ascending[0] if ascending else not found
    return (
        list(found) == ascending
        and len(found) == len(ascending)
        and first
        and all((index in found) == (index in expected) for index in range(-1, MOST + 2))
        and IndexSet.parse(str(found)) == found == IndexSet(expected)
    )


@pytest.mark.parametrize(
    ("indexes", "text"),
    [
        ([], ""),
        ([0], "0"),
        ([3, 1, 2, 1], "1-3"),
        ([0, 1], "0-1"),
        ([9, 0, 2, 3, 4, 11, 12], "0,2-4,9,11-12"),
    ],
)
def test_it_reads_and_writes_ranges(indexes: list[int], text: str) -> None:
    assert str(IndexSet(indexes)) == text
    assert list(IndexSet.parse(text)) == sorted(set(indexes))


@pytest.mark.parametrize("text", ["a", "-1", "1-", "3-1", "2,1", "1,1", "0-3,2-5", "1,,2", "1-2-3", " 1", "1_0", "+1"])
def test_it_reads_nothing_else(text: str) -> None:
    with pytest.raises(ValueError, match="is not a list of"):
        IndexSet.parse(text)


def test_ranges_that_touch_are_one() -> None:
    assert str(IndexSet.parse("0-1,2,3-4,6")) == "0-4,6"


def test_a_range_from_0() -> None:
    assert [str(IndexSet.range(count)) for count in (0, 1, 10_000)] == ["", "0", "0-9999"]


@pytest.mark.parametrize("start", SMALL, ids=str)
def test_single_indexes_come_and_go(start: set[int]) -> None:
    for index in range(MOST + 1):
        added, removed = IndexSet(start), IndexSet(start)
        str(added), str(removed)  # what is known of their text must not stay
        added.add(index)
        removed.discard(index)
        assert same(added, start | {index})
        assert same(removed, start - {index})


def test_sets_taken_together() -> None:
    for one in SMALL:
        for other in SMALL:
            mine, theirs = IndexSet(one), IndexSet(other)
            assert same(mine & theirs, one & other)
            assert same(mine | theirs, one | other)
            assert same(mine - theirs, one - other)
            assert list(mine) == sorted(one), "an operation changed what it was given"


def test_a_copy_is_a_set_of_its_own() -> None:
    first = IndexSet([1, 2])
    second = first.copy()
    second.add(3)
    first.discard(1)
    assert (str(first), str(second)) == ("2", "1-3")


def test_the_first_of_none() -> None:
    with pytest.raises(IndexError):
        IndexSet().first  # noqa: B018


def test_many_indexes_in_any_order() -> None:
    order = random.Random(5)
    indexes = order.sample(range(5000), 3000)
    found, expected = IndexSet(), set()
    for index in indexes:
        found.add(index)
        expected.add(index)
    assert list(found) == sorted(expected)
    for index in order.sample(indexes, 1500):
        found.discard(index)
        expected.discard(index)
    assert list(found) == sorted(expected)
    assert IndexSet.parse(str(found)) == found


# IndexMap -----------------------------------------------------------------------------------------------------------


def test_numbers_by_index() -> None:
    numbers = IndexMap()
    assert not numbers
    for index in (3, 17, 18, 20, 19):
        numbers.set(index, 2)
    numbers.set(4, 3)
    assert numbers.texts() == {"2": "3,17-20", "3": "4"}
    assert [numbers.get(index, 1) for index in (2, 3, 4, 20)] == [1, 2, 3, 2]
    numbers.set(18, 3)
    numbers.set(3, None)
    assert numbers.texts() == {"2": "17,19-20", "3": "4,18"}
    assert IndexMap.parse(numbers.texts()).texts() == numbers.texts()


def test_what_happens_to_a_map_happens_to_a_dict() -> None:
    order = random.Random(7)
    numbers, expected = IndexMap(), dict[int, int | None]()
    for _ in range(3000):
        number = order.choice([None, 0, 1, 2, 10])
        indexes = {order.randrange(12)} if order.random() < 0.7 else set(order.sample(range(12), order.randrange(9)))
        if len(indexes) == 1:
            numbers.set(min(indexes), number)
        else:
            numbers.set_all(IndexSet(indexes), number)
        for index in indexes:
            if number is None:
                expected.pop(index, None)
            else:
                expected[index] = number
        assert {index: numbers.get(index, -1) for index in range(12)} == {i: expected.get(i, -1) for i in range(12)}
        assert {index: number for number, some in numbers.items() for index in some} == expected
        assert bool(numbers) == bool(expected)
        assert IndexMap.parse(numbers.texts()).texts() == numbers.texts()
