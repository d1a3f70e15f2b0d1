"""The number of objects that the garbage collector visits while it blocks everything."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Iterator

import pytest

from tests.unit.controller.memory_cluster import MemoryCluster
from tradewind.controller.process.heap import freeze_survivors
from tradewind.engine.run.state import RunState

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    yield
    gc.enable()
    gc.unfreeze()


async def test_what_has_stayed_is_not_looked_at_again() -> None:
    before = list(gc.callbacks)
    task = asyncio.create_task(freeze_survivors())
    await asyncio.sleep(0)
    kept = [[number] for number in range(50_000)]
    frozen = gc.get_freeze_count()
    gc.collect(1)
    assert gc.get_freeze_count() == frozen, "only what has stayed for long"
    gc.collect()
    assert gc.get_freeze_count() - frozen >= len(kept)
    assert len(gc.get_objects()) < 10_000
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert gc.callbacks == before


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[RunState]]:
    """The runs that have been made."""
    made: list[weakref.ref[RunState]] = []
    prepare = RunState.__init__

    def init(run: RunState, *args: object, **options: object) -> None:
        prepare(run, *args, **options)  # type: ignore[arg-type]
        made.append(weakref.ref(run))

    monkeypatch.setattr(RunState, "__init__", init)
    return made


async def test_a_run_that_has_finished_goes_without_being_looked_for(
    cluster: MemoryCluster, made: list[weakref.ref[RunState]]
) -> None:
    cluster.dag(
        "d",
        tasks=[
            {
                "name": "a",
                "image": "busybox",
                "args": ["{{ prevLogicalDate | default('none') }}"],
                "dependsOnPast": True,
                "retries": {"limit": 1, "delay": "0s"},
            },
            {"name": "b", "image": "busybox", "args": ["{{ item }}"], "dependsOn": ["a"], "forEach": {"items": [1, 2]}},
        ],
    )
    gc.disable()
    cluster.run("d", "good", logicalDate="2026-03-02T06:00:00Z")
    cluster.run("d", "bad", fails=True, logicalDate="2026-03-03T06:00:00Z")
    cluster.run("d", "deleted", logicalDate="2026-03-04T06:00:00Z")
    await cluster.wait_phase("good", "Succeeded")
    await cluster.wait_phase("bad", "Failed")
    await cluster.eventually(lambda: "'bad' (Failed)" in str(cluster.status("dagruns", "deleted")), "it waits")
    cluster.delete("dagruns", "deleted")
    await cluster.eventually(lambda: not any(run() for run in made), "they are gone", 10)
    assert len(made) == 3


async def test_so_does_one_that_was_loaded_again(cluster: MemoryCluster, made: list[weakref.ref[RunState]]) -> None:
    cluster.dag("d")
    cluster.stays.add("edited")
    gc.disable()
    cluster.run("d", "edited")
    await cluster.wait_phase("edited", "Running")
    cluster.patch("dagruns", "edited", subresource="status", status={"message": "another client's"})
    cluster.patch("dagruns", "edited", spec={"suspend": True})
    await cluster.eventually(lambda: len(made) > 1, "it is loaded again")
    await cluster.eventually(lambda: made[0]() is None, "what was known of it is gone", 10)
