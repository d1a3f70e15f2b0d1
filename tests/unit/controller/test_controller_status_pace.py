"""Rate of status writes: as high as allowed, and lower the more expensive they are."""

from itertools import pairwise

import pytest

from tests.unit.controller.memory_cluster import MemoryCluster
from tests.unit.kube.virtual_time import VirtualClock
from tradewind.controller.runs import status_writer
from tradewind.controller.runs.status_pace import (
    CLOSEST,
    LONGEST_PAUSE,
    LONGEST_WRITE,
    SHARE,
    StatusPace,
    cost_of_write,
)

pytestmark = pytest.mark.unit


def test_the_first_write_need_not_wait_and_the_next_waits_for_what_it_took() -> None:
    pace = StatusPace(VirtualClock())
    assert pace.pause(0.05) == 0
    assert pace.pause(0.05) == pytest.approx(0.05 / SHARE)


def test_many_runs_share_the_time() -> None:
    pace = StatusPace(VirtualClock())
    assert [round(pace.pause(0.02), 3) for _ in range(5)] == [0, 0.2, 0.4, 0.6, 0.8]


def test_time_that_passes_is_time_to_write_in() -> None:
    clock = VirtualClock()
    pace = StatusPace(clock)
    pace.pause(0.2)
    clock.time += 5
    assert pace.pause(0.2) == 0


def test_of_many_no_two_write_in_the_same_moment() -> None:
    """Thousands that wake together would hold the event loop."""
    pace = StatusPace(VirtualClock())
    pauses = [pace.pause(0.02) for _ in range(5000)]
    assert min(after - before for before, after in pairwise(pauses)) > 0.9 * CLOSEST
    assert pauses[-1] < LONGEST_PAUSE + 5000 * CLOSEST


def test_no_one_waits_forever() -> None:
    pace = StatusPace(VirtualClock())
    assert LONGEST_PAUSE <= max(pace.pause(60) for _ in range(1000)) <= LONGEST_PAUSE + 1000 * CLOSEST


@pytest.mark.parametrize(
    ("took", "tasks", "counts"),
    [
        pytest.param(0.007, 10, 0.007, id="a quiet API server"),
        pytest.param(2.0, 10, 0.025, id="a busy one"),
        pytest.param(0.2, 1000, 0.2, id="many tasks"),
        pytest.param(20.0, 10_000, LONGEST_WRITE, id="many, on a busy one"),
    ],
)
def test_a_write_that_takes_long_for_its_size_waits_for_others_and_counts_less(
    took: float, tasks: int, counts: float
) -> None:
    assert cost_of_write(took, tasks) == pytest.approx(counts)


async def test_a_write_counts_as_long_as_it_took(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[float] = []
    monkeypatch.setattr(status_writer, "cost_of_write", lambda took, tasks: counted.append(took) or 0.0)
    cluster.dag("d")
    cluster.run("d", "r")
    await cluster.wait_phase("r", "Succeeded")
    await cluster.eventually(lambda: counted, "its status was written")
    assert all(0 <= took < 30 for took in counted)
