"""No schedule may be faster than what the bench takes for the fastest."""

import heapq
import random

import pytest

from bench.harness.lower_bound import critical_path, lower_bound, simple_bound

pytestmark = pytest.mark.unit


def alone(seconds: dict[str, float]) -> dict[str, list[str]]:
    """Independent tasks."""
    return {task: [] for task in seconds}


def test_a_chain_takes_its_length() -> None:
    seconds, after = {"a": 1.0, "b": 2.0, "c": 3.0}, {"a": [], "b": ["a"], "c": ["b"]}
    assert critical_path(seconds, after) == lower_bound(seconds, after, 4) == 6


def test_work_is_spread_over_the_slots() -> None:
    seconds = {str(number): 1.0 for number in range(8)}
    assert lower_bound(seconds, alone(seconds), 4) == simple_bound(seconds, alone(seconds), 4) == 2


def test_one_task_more_than_slots_takes_another_round() -> None:
    """max(critical path, work / slots) would have it done in 12.5 seconds."""
    seconds = {str(number): 10.0 for number in range(5)}
    after = alone(seconds)
    assert simple_bound(seconds, after, 4) == 12.5
    assert lower_bound(seconds, after, 4) == 20
    # A task downstream of all of them adds its time.
    assert lower_bound(seconds | {"last": 3.0}, after | {"last": list(seconds)}, 4) == 23


@pytest.mark.parametrize("seed", range(200))
def test_no_schedule_beats_it(seed: int) -> None:
    rng = random.Random(seed)
    names = [str(number) for number in range(rng.randint(1, 14))]
    seconds = {name: rng.choice([1.0, 2.0, 5.0, 9.0]) for name in names}
    after = {name: rng.sample(names[:place], min(place, rng.choice([0, 1, 2]))) for place, name in enumerate(names)}
    slots = rng.randint(1, 4)
    bound = lower_bound(seconds, after, slots)
    assert bound >= simple_bound(seconds, after, slots) - 1e-9
    for _ in range(20):
        assert bound <= _played(seconds, after, slots, rng) + 1e-9


def _played(seconds: dict[str, float], after: dict[str, list[str]], slots: int, rng: random.Random) -> float:
    """The makespan where any task that is ready takes a free slot."""
    done: set[str] = set()
    waiting, running, now = list(seconds), list[tuple[float, str]](), 0.0
    while waiting or running:
        ready = [name for name in waiting if done.issuperset(after[name])]
        while ready and len(running) < slots:
            name = ready.pop(rng.randrange(len(ready)))
            waiting.remove(name)
            heapq.heappush(running, (now + seconds[name], name))
        now, name = heapq.heappop(running)
        done.add(name)
    return now
