"""A new leader loads the runs that there are; what is wrong with one of them costs that one alone."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

from tests.unit.controller.memory_cluster import MemoryCluster
from tradewind.aio import background
from tradewind.aio.background import Background
from tradewind.controller import leader
from tradewind.controller.dags.failure_limits import FailureLimits
from tradewind.controller.runs import load_queue, status_writer
from tradewind.controller.runs.load_queue import AT_ONCE, LoadQueue
from tradewind.controller.runs.loading import RunLoader
from tradewind.controller.runs.status_writer import StatusWriter
from tradewind.engine.run.state import RunState
from tradewind.engine.transitions import run_lifecycle, try_lifecycle
from tradewind.kube.clock import SystemClock

pytestmark = pytest.mark.unit

WIDE = [{"name": f"t{number}", "image": "busybox", "args": ["load"]} for number in range(300)]


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed work is retried at once."""
    monkeypatch.setattr(background, "FIRST_PAUSE", 0.02)


class Loads:
    """A queue of runs, and how they are loaded."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.most = self.now = 0
        self.go = asyncio.Event()
        self.pauses: dict[str, list[float]] = {}
        self.failures = 0
        self.background = Background(self._failed)
        self.queue = LoadQueue(self._load, spawn=self.background.spawn)
        self.queue.start()

    def add(self, uid: str, *, started: bool = False, day: int = 1) -> None:
        self.queue.add(("ns", uid), uid, started=started, place=datetime(2026, 1, day, tzinfo=UTC))

    def _failed(self) -> None:
        self.failures += 1

    async def _load(self, key: tuple[str, str], uid: str) -> float | None:
        self.order.append(uid)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.go.wait()
            if "poison" in uid:
                self.pauses.setdefault(uid, []).append(0)
                raise KeyError(uid)
        finally:
            self.now -= 1
        pauses = self.pauses.get(uid)
        return pauses.pop(0) if pauses else None


async def test_runs_that_have_begun_come_first_then_the_oldest() -> None:
    loads = Loads()
    for number in range(AT_ONCE):
        loads.add(f"busy{number}")
    loads.add("young", day=9)
    loads.add("old", day=2)
    loads.add("begun", day=20, started=True)
    await asyncio.sleep(0)
    assert len(loads.order) == AT_ONCE
    loads.go.set()
    await loads.queue.loaded(started=False)
    assert loads.order[AT_ONCE:] == ["begun", "old", "young"]
    assert loads.most == AT_ONCE


async def test_one_that_is_deleted_is_not_loaded() -> None:
    loads = Loads()
    for number in range(AT_ONCE + 1):
        loads.add(f"r{number}")
    await asyncio.sleep(0)
    loads.queue.discard(f"r{AT_ONCE}", cancel=True)
    loads.queue.discard("r0", cancel=True)
    loads.queue.discard("r1", cancel=False)
    loads.go.set()
    await loads.queue.loaded(started=False)
    assert loads.order == [f"r{number}" for number in range(AT_ONCE)]
    assert "r1" not in loads.queue
    loads.add("r0")
    await loads.queue.loaded(started=False)
    assert loads.order[-1] == "r0"


async def test_no_one_waits_for_runs_in_the_queue_who_wants_to_know_of_the_others() -> None:
    loads = Loads()
    loads.go.set()
    loads.pauses["queued"] = [60.0]
    loads.add("queued")
    loads.add("begun", started=True)
    await asyncio.wait_for(loads.queue.loaded(started=True), 5)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(loads.queue.loaded(started=False), 0.05)
    loads.background.cancel()


async def test_one_that_could_not_be_loaded_is_loaded_later_and_blocks_no_one() -> None:
    loads = Loads()
    loads.go.set()
    for number in range(AT_ONCE):
        loads.pauses[f"late{number}"] = [0.05]
        loads.add(f"late{number}")
    loads.add("other")
    loads.add("late0")
    await loads.queue.loaded(started=False)
    assert loads.order[AT_ONCE] == "other"
    assert sorted(loads.order[AT_ONCE + 1 :]) == sorted(f"late{number}" for number in range(AT_ONCE))


async def test_an_unexpected_error_is_counted_and_the_run_is_loaded_again(soon: None) -> None:
    loads = Loads()
    loads.go.set()
    loads.add("poison")
    deadline = time.monotonic() + 10
    while len(loads.order) < 3:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert loads.failures >= 2
    loads.background.cancel()


async def test_there_is_one_piece_of_work_in_a_turn_of_the_loop() -> None:
    queue = Loads().queue
    turn, turns = 0, []

    async def count() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async def work() -> None:
        async with queue.piece():
            turns.append(turn)

    counting = asyncio.create_task(count())
    await asyncio.gather(*(work() for _ in range(20)))
    counting.cancel()
    assert len(set(turns)) == 20, turns


async def test_nothing_begins_once_the_term_has_ended() -> None:
    done = []

    async def work() -> None:
        done.append(1)

    background = Background(lambda: None)
    background.cancel()
    task = background.spawn(work(), "late")
    await asyncio.wait([task])
    assert task.cancelled()
    assert not done


async def test_all_that_there_is_is_looked_at_in_slices() -> None:
    turns = []

    async def count() -> None:
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    seen = [item async for item in leader._in_slices(range(10 * leader.SLICE))]
    counting.cancel()
    assert seen == list(range(10 * leader.SLICE))
    assert len(turns) >= 9


# ---- on a cluster


def poison(monkeypatch: pytest.MonkeyPatch, module: ModuleType, function: str, name: str) -> list[int]:
    """A function of the engine fails for one run until the list is emptied."""
    whole, left = getattr(module, function), [1]

    def fails(state: RunState, *args: Any) -> Any:
        if left and state.info.name == name:
            left.append(1)
            raise KeyError("poison")
        return whole(state, *args)

    monkeypatch.setattr(module, function, fails)
    return left


async def test_a_run_that_cannot_be_loaded_says_so_and_is_loaded_once_it_can(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.failures_expected = True
    bad = poison(monkeypatch, run_lifecycle, "suspend", "bad")
    cluster.dag("d")
    cluster.run("d", "bad")
    cluster.run("d", "good")
    await cluster.wait_phase("good", "Succeeded")
    status = await cluster.eventually(lambda: cluster.status("dagruns", "bad"), "it says so")
    assert status == {
        "phase": "Queued",
        "observedGeneration": 1,
        "reason": "InternalError",
        "message": "waiting: the run cannot be loaded: KeyError: 'poison'",
    }
    await cluster.eventually(
        lambda: [event for event in cluster.events("DagRun", "bad") if event["reason"] == "InternalError"], "an Event"
    )
    assert cluster.failures
    bad.clear()
    status = await cluster.wait_phase("bad", "Succeeded")
    assert status["reason"] != "InternalError"


async def test_a_run_that_cannot_be_loaded_leaves_no_slots_taken(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.failures_expected = True
    cluster.dag("d")
    cluster.stays.add("r")
    cluster.run("d", "r")
    await cluster.eventually(lambda: cluster.names("pods"), "its Pod")
    await cluster.wait_phase("r", "Running")
    await cluster.stop()
    bad = poison(monkeypatch, run_lifecycle, "advance", "r")
    await cluster.start()
    await cluster.eventually(lambda: len(bad) > 3, "it was tried often")
    leader: Any = cluster.controller.leader
    slots = leader.scheduler.slots
    assert slots.active == 0
    bad.clear()
    await cluster.eventually(lambda: slots.active == 1, "its Pod holds its slot")
    status = cluster.status("dagruns", "r")
    assert status["phase"] == "Running"
    (pod,) = cluster.names("pods")
    cluster.end(pod, "r")
    await cluster.wait_phase("r", "Succeeded")


async def test_a_run_that_cannot_continue_is_loaded_again(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch, soon: None
) -> None:
    cluster.failures_expected = True
    cluster.dag("d")
    cluster.stays |= {"bad", "good"}
    cluster.run("d", "bad")
    cluster.run("d", "good")
    await cluster.eventually(lambda: len(cluster.names("pods")) == 2, "both have a Pod")
    await cluster.wait_phase("bad", "Running")
    leader: Any = cluster.controller.leader
    first = next(record for record in leader.runs.records.values() if record.key[1] == "bad")
    failed = poison(monkeypatch, try_lifecycle, "apply_report", "bad")
    whole = run_lifecycle.advance

    def advance(state: RunState, now: Any) -> Any:
        if state is first.state:
            failed.clear()
            raise KeyError("poison")
        return whole(state, now)

    monkeypatch.setattr(run_lifecycle, "advance", advance)
    failed.clear()
    for pod in cluster.names("pods"):
        cluster.end(pod, cluster.get("pods", pod)["metadata"]["labels"]["tradewind.dev/run"])
    await cluster.wait_phase("good", "Succeeded")
    await cluster.wait_phase("bad", "Succeeded")
    assert cluster.failures
    assert cluster.controller.leader is not None
    assert cluster.controller.leader.scheduler.slots.active == 0


async def test_a_status_whose_writing_fails_is_written_later(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch, soon: None
) -> None:
    cluster.failures_expected = True
    failures = iter([True, True])
    whole = StatusWriter._write

    async def write(self: StatusWriter, record: Any) -> Any:
        if next(failures, False):
            raise KeyError("poison")
        return await whole(self, record)

    monkeypatch.setattr(StatusWriter, "_write", write)
    cluster.dag("d")
    cluster.run("d", "r")
    await cluster.wait_phase("r", "Succeeded")
    assert cluster.failures == 2


async def test_a_dag_that_cannot_be_worked_on_does_not_stop_the_others(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch, soon: None
) -> None:
    from tradewind.controller.dags.dags import Dags

    cluster.failures_expected = True
    whole, bad = Dags._count_finished, [1]

    def fails(self: Dags, entry: Any) -> None:
        if bad and entry.key[1] == "bad":
            bad.append(1)
            raise KeyError("poison")
        whole(self, entry)

    monkeypatch.setattr(Dags, "_count_finished", fails)
    cluster.dag("bad", schedule={"every": "1s"})
    cluster.dag("good")
    cluster.run("good", "r")
    await cluster.wait_phase("r", "Succeeded")
    await cluster.eventually(lambda: len(bad) > leader.FAILURES_BEFORE_EXIT // 4, "it was tried often")
    bad.clear()
    await cluster.eventually(lambda: cluster.status("dags", "bad").get("conditions"), "it is worked on")


async def test_a_try_that_cannot_be_begun_does_not_keep_the_rest_of_the_plan(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.failures_expected = True
    whole = leader.Leader._record_event

    def tell(self: leader.Leader, note: Any) -> None:
        if note.run.name == "bad":
            raise KeyError("poison")
        whole(self, note)

    monkeypatch.setattr(leader.Leader, "_record_event", tell)
    cluster.dag("d")
    cluster.run("d", "bad")
    cluster.run("d", "good")
    await cluster.wait_phase("good", "Succeeded")
    await cluster.wait_phase("bad", "Succeeded")


async def test_an_end_is_reported_to_all_whoever_fails(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.failures_expected = True

    def fails(*_: Any) -> None:
        raise KeyError("poison")

    monkeypatch.setattr(cluster.controller.metrics, "run_finished", fails)
    cluster.dag("d", podRetention="1s")
    cluster.run("d", "r")
    await cluster.wait_phase("r", "Succeeded")
    await cluster.eventually(lambda: cluster.status("dags", "d").get("lastRun") == "r", "the Dag knows")
    await cluster.eventually(lambda: not cluster.names("pods"), "its Pods go")


async def test_a_dag_that_cannot_be_taken_over_keeps_no_one_from_becoming_leader(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.failures_expected = True
    cluster.dag("bad")
    cluster.dag("good")
    whole = FailureLimits.understand

    def understand(self: FailureLimits, key: Any, dag: Any) -> None:
        if key[1] == "bad":
            raise KeyError("poison")
        whole(self, key, dag)

    monkeypatch.setattr(FailureLimits, "understand", understand)
    await cluster.kill()
    await cluster.start()
    cluster.run("good", "r")
    await cluster.wait_phase("r", "Succeeded")


async def test_no_one_waits_for_news_of_a_run_that_is_written(cluster: MemoryCluster) -> None:
    """Of 10,000 runs that wait for their turn none has a task of its own."""
    cluster.dag("d", maxActiveRuns=1)
    cluster.stays.add("a")
    cluster.run("d", "a", logicalDate="2026-01-01T00:00:00Z")
    await cluster.wait_phase("a", "Running")
    for number in range(20):
        cluster.run("d", f"b{number}")
    records = cluster.controller.leader.runs.records  # type: ignore[union-attr]
    await cluster.eventually(
        lambda: len(records) == 21 and all(r.writer and r.writer.done() for r in records.values()), "nothing to do", 20
    )
    cluster.end(cluster.names("pods")[0], "a")
    await cluster.wait_phase("b19", "Succeeded")


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of runs in the order in which they are loaded."""
    order: list[str] = []
    whole = RunLoader.schedule

    def add(self: RunLoader, key: Any, *arguments: Any) -> None:
        order.append(key[1])
        whole(self, key, *arguments)

    monkeypatch.setattr(RunLoader, "schedule", add)
    return order


async def test_a_new_leader_loads_what_has_begun_first_and_of_the_rest_the_oldest(
    cluster: MemoryCluster, loaded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_queue, "AT_ONCE", 1)
    cluster.dag("d", maxActiveRuns=1)
    cluster.stays.add("z")
    cluster.run("d", "z", logicalDate="2026-05-01T00:00:00Z")
    await cluster.wait_phase("z", "Running")
    for number in (3, 1, 2):
        cluster.run("d", f"a{number}", logicalDate=f"2026-01-0{number}T00:00:00Z")
    await cluster.eventually(lambda: cluster.status("dagruns", "a2").get("message"), "all wait")
    await cluster.kill()
    loaded.clear()
    await cluster.start()
    await cluster.eventually(lambda: len(loaded) == 4, "all are loaded")
    assert loaded == ["z", "a1", "a2", "a3"]
    cluster.end(cluster.names("pods")[0], "z")
    await cluster.wait_phase("a3", "Succeeded")
    started = {name: cluster.status("dagruns", name)["startedAt"] for name in ("a1", "a2", "a3")}
    assert sorted(started, key=started.__getitem__) == ["a1", "a2", "a3"]


async def test_many_queued_wide_runs_hold_the_loop_for_a_moment_only(cluster: MemoryCluster) -> None:
    cluster.dag("wide", tasks=WIDE, maxActiveRuns=1)
    for number in range(60):
        cluster.stays.add(f"r{number:02}")
        cluster.run("wide", f"r{number:02}", logicalDate=f"2026-01-01T00:00:{number:02}Z")
    leads: Any = cluster.controller.leader
    await cluster.eventually(lambda: len(leads.runs.records) == 60, "all are loaded")
    await cluster.kill()
    took: list[float] = []

    async def beat() -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            took.append(now - last)
            last = now

    beats = asyncio.create_task(beat())
    await cluster.start()
    leads = cluster.controller.leader
    await cluster.eventually(lambda: len(leads.runs.records) == 60, "all are loaded")
    beats.cancel()
    folded = [record.state.folded for record in leads.runs.records.values()]
    assert folded.count(False) == 1
    assert max(took) < 0.5, "loading all of them at once took seconds"


class Stepped(SystemClock):
    """A clock that the test sets."""

    offset = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset


async def test_a_clock_that_is_set_forward_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader, "LOOK_AGAIN", 0.2)
    monkeypatch.setattr(status_writer, "FIRST_WRITE_AFTER", 0.01)
    clock = Stepped()
    cluster = MemoryCluster(clock)
    await cluster.start()
    cluster.dag("d", schedule={"every": "1h"})
    await cluster.eventually(lambda: cluster.status("dags", "d").get("nextScheduleTime"), "it is scheduled")
    await asyncio.sleep(0.3)
    assert not cluster.names("dagruns")
    clock.offset = timedelta(hours=2)
    await cluster.eventually(lambda: cluster.names("dagruns"), "the tick is made", 10)
    await cluster.stop()
    assert not cluster.failures
