"""Order in which Pods are created: no run waits for all Pods of another."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.controller.memory_cluster import MemoryCluster
from tradewind.aio.fair_queue import FairQueue
from tradewind.aio.off_loop import in_thread
from tradewind.controller.pods import tries
from tradewind.controller.pods.quotas import FIRST_PAUSE, LONGEST_PAUSE, Quotas
from tradewind.controller.pods.render_process import RenderProcess
from tradewind.kube.errors import ApiError

pytestmark = pytest.mark.unit


class Row:
    """Waiters for one permit at a time, and the order in which they get it."""

    def __init__(self, at_once: int = 1) -> None:
        self.queue = FairQueue(lambda: at_once)
        self.order: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def add(self, name: str, *path: str, weight: int = 0) -> asyncio.Task[None]:
        async def wait() -> None:
            async with self.queue.acquire(path, weight):
                self.order.append(name)
                await asyncio.sleep(0)

        self._tasks.append(asyncio.create_task(wait()))
        await asyncio.sleep(0)
        return self._tasks[-1]

    async def all(self) -> list[str]:
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return self.order


@pytest.fixture
async def row() -> Row:
    return Row()


async def test_runs_take_turns(row: Row) -> None:
    async with row.queue.acquire(()):
        for number in range(4):
            await row.add(f"wide-{number}", "ns", "wide", "run")
        await row.add("narrow", "ns", "narrow", "run")
    assert await row.all() == ["wide-0", "narrow", "wide-1", "wide-2", "wide-3"]


async def test_namespaces_before_dags_and_dags_before_runs(row: Row) -> None:
    async with row.queue.acquire(()):
        for dag in ("a", "b"):
            for run in ("1", "2"):
                await row.add(f"many-{dag}{run}", "many", dag, run)
                await row.add(f"many-{dag}{run}'", "many", dag, run)
        for number in range(3):
            await row.add(f"other-{number}", "other", "c", "1")
    order = await row.all()
    assert order[:6] == ["many-a1", "other-0", "many-b1", "other-1", "many-a2", "other-2"]
    assert order[6:] == ["many-b2", "many-a1'", "many-b1'", "many-a2'", "many-b2'"]


async def test_within_a_run_the_weightiest_goes_first(row: Row) -> None:
    async with row.queue.acquire(()):
        for name, weight in (("light", 1), ("also-light", 1), ("heavy", 5)):
            await row.add(name, "ns", "dag", "run", weight=weight)
    assert await row.all() == ["heavy", "light", "also-light"]


async def test_who_gives_up_gives_the_turn_to_the_next(row: Row) -> None:
    async with row.queue.acquire(()) as permit:
        waiting = await row.add("gives up", "ns")
        at_that_moment = await row.add("gives up when it is its turn", "ns")
        await row.add("last", "ns")
        waiting.cancel()
        await asyncio.sleep(0)
        permit.release()
        at_that_moment.cancel()
    assert await row.all() == ["last"]


async def test_a_turn_is_passed_on_once() -> None:
    row = Row()
    async with row.queue.acquire(()) as permit:
        permit.release()
        permit.release()
        await row.add("a")
        assert row.order == ["a"]
    async with row.queue.acquire(()):
        await row.add("b")
        await row.add("c")
        assert row.order == ["a"]
    assert await row.all() == ["a", "b", "c"]


async def test_a_single_task_does_not_wait_for_a_wide_run(cluster: MemoryCluster) -> None:
    """Its Pod is among the next, though hundreds were asked for before it."""
    made: list[str] = []

    def note(method: str, plural: str, name: str, body: Any) -> None:
        if (method, plural) == ("POST", "pods"):
            made.append(body["metadata"]["labels"]["tradewind.dev/dag"])
            if len(made) == 30:
                cluster.run("narrow", "narrow")

    cluster.before_write = note
    cluster.create("pools", "default", spec={"slots": -1})
    each = {"name": "each", "image": "busybox", "args": ["x"], "forEach": {"items": list(range(300))}}
    cluster.dag("wide", tasks=[each], maxActiveTasks=1000)
    cluster.dag("narrow")
    cluster.run("wide", "wide")
    await cluster.eventually(lambda: "narrow" in made, "the single task has its Pod")
    assert made.index("narrow") < 200, "loading the run takes a while, during which others continue"


# ---- quotas


class Clock:
    """Seconds that pass when a test says so."""

    time = 100.0

    def monotonic(self) -> float:
        return self.time


def refusal(used: int = 2) -> ApiError:
    text = f'pods "sales-x" is forbidden: exceeded quota: few, requested: pods=1, used: pods={used}, limited: pods=2'
    return ApiError(403, "Forbidden", text)


FULL = "exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2"


def test_one_asks_and_the_others_wait() -> None:
    clock: Any = Clock()
    quotas = Quotas(clock)
    assert quotas.full("ns") is None
    assert quotas.refused("ns", refusal()) == FULL
    assert quotas.full("ns") == FULL
    assert quotas.full("other") is None
    clock.time += FIRST_PAUSE
    assert [quotas.full("ns") for _ in range(3)] == [None, FULL, FULL]


def test_the_pause_grows_with_each_refusal_and_not_with_those_of_the_same_moment() -> None:
    clock: Any = Clock()
    quotas = Quotas(clock)
    pauses = []
    quotas.refused("ns", refusal())
    for _ in range(6):
        began = clock.time
        while quotas.full("ns") is not None:
            clock.time += 0.5
        pauses.append(clock.time - began)
        for _ in range(10):
            quotas.refused("ns", refusal())
    assert pauses == [1, 2, 4, 8, LONGEST_PAUSE, LONGEST_PAUSE]


def test_room_for_one_may_be_room_for_more() -> None:
    clock: Any = Clock()
    quotas = Quotas(clock)
    quotas.refused("ns", refusal())
    quotas.created("ns")
    assert [quotas.full("ns") for _ in range(3)] == [None] * 3


def test_one_that_asks_and_never_gets_a_response_is_followed_by_another() -> None:
    clock: Any = Clock()
    quotas = Quotas(clock)
    quotas.refused("ns", refusal())
    clock.time += FIRST_PAUSE
    assert quotas.full("ns") is None
    assert quotas.full("ns") == FULL
    clock.time += FIRST_PAUSE
    assert quotas.full("ns") is None


async def test_a_full_quota_is_not_asked_by_each_task(cluster: MemoryCluster) -> None:
    """A few requests, though hundreds of tasks wait; each says for what."""
    asked: list[str] = []

    def note(method: str, plural: str, name: str, body: Any) -> None:
        if (method, plural) == ("POST", "pods"):
            asked.append(body["metadata"]["name"])

    cluster.before_write = note
    cluster.create("resourcequotas", "few", spec={"hard": {"pods": "2"}})
    cluster.create("pools", "default", spec={"slots": -1})
    cluster.stays.add("wide")
    each = {"name": "each", "image": "busybox", "args": ["x"], "forEach": {"items": list(range(200))}}
    cluster.dag("wide", tasks=[each], maxActiveTasks=1000)
    cluster.run("wide", "wide")

    def entry() -> dict[str, Any]:
        return next(iter(cluster.status("dagruns", "wide").get("tasks", ())), {})

    await cluster.eventually(lambda: "exceeded quota: few" in str(entry()), "tasks say what they wait for")
    await asyncio.sleep(0.5)
    assert len(asked) < 3 * tries.MADE_AT_ONCE, len(asked)


async def test_hard_templates_of_one_namespace_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ncat >/dev/null\necho \'{"command": null, "args": null, "env": []}\'\n')
    python.chmod(0o755)
    monkeypatch.setattr("tradewind.controller.pods.render_process.sys.executable", str(python))
    process, order = RenderProcess(), []

    async def render(namespace: str, number: int) -> None:
        await process.render((namespace, "dag", "uid"), None, {})  # type: ignore[arg-type]
        order.append(f"{namespace}{number}")

    greedy = [asyncio.create_task(render("greedy", number)) for number in range(6)]
    await asyncio.sleep(0)
    await asyncio.gather(render("other", 0), *greedy)
    assert order.index("other0") <= 2


async def test_checks_of_one_namespace_wait_for_each_other() -> None:
    order: list[str] = []

    async def check(namespace: str) -> None:
        await in_thread(namespace, lambda: time.sleep(0.02))
        order.append(namespace)

    greedy = [asyncio.create_task(check("greedy")) for _ in range(12)]
    await asyncio.sleep(0)
    await asyncio.gather(check("other"), *greedy)
    assert order.index("other") <= 5
