"""Short waits, short timeouts, and time that passes at any moment: what has finished stays as it is."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property.scenarios import START
from tradewind.api.dag import DagSpec
from tradewind.api.resolve import ResolvedDag, resolve
from tradewind.api.run_request import RunRequest
from tradewind.engine.requests import Version, apply_request
from tradewind.engine.run.graph import Graph
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.run.states import FINISHED_STATES, TaskState
from tradewind.engine.run.tries import TryEvent, TryKey, TryReport
from tradewind.engine.scheduler import Scheduler
from tradewind.engine.status.restore import load
from tradewind.engine.status.run_status import run_status

pytestmark = pytest.mark.property

STEPS = 80
SECONDS = ("1s", "5s", "20s")
INFO = RunInfo("ns", "r", "r", "d", "Manual", START, START, START)


@st.composite
def dags(draw: st.DrawFn) -> ResolvedDag:
    tasks: list[dict[str, Any]] = []
    for number in range(draw(st.integers(2, 6))):
        after = (
            draw(st.lists(st.sampled_from([task["name"] for task in tasks]), max_size=2, unique=True)) if tasks else []
        )
        task: dict[str, Any] = {"name": f"t{number}", "dependsOn": after}
        task["triggerRule"] = draw(st.sampled_from(["AllSuccess", "AllDone"]))
        kind = draw(st.sampled_from(["dagRun", "duration", "Poke", "Reschedule", "task", "task"]))
        limits = {"timeout": draw(st.sampled_from(SECONDS)), "softFail": draw(st.booleans())}
        if kind in ("dagRun", "duration"):
            wait = {"dagRun": {"dag": "other"}} if kind == "dagRun" else {"duration": draw(st.sampled_from(SECONDS))}
            task |= {"waitFor": wait, "sensor": limits}
        else:
            task |= {"image": "busybox", "timeout": draw(st.sampled_from(SECONDS)), "queuedTimeout": "10s"}
            task["retries"] = {"limit": draw(st.integers(0, 1)), "delay": "2s"}
            task |= {"sensor": {**limits, "mode": kind, "interval": "2s"}} if kind != "task" else {}
        task |= {"forEach": {"items": [0, 1]}} if draw(st.integers(0, 3)) == 0 else {}
        tasks.append(task)
    spec = {"tasks": tasks, "failFast": draw(st.booleans())}
    if draw(st.booleans()):
        spec["runTimeout"] = draw(st.sampled_from(["30s", "2m"]))
    return resolve(DagSpec.model_validate(spec))


class World:
    """One run; every try in flight may finish at any time, as long as the run lasts."""

    def __init__(self, dag: ResolvedDag) -> None:
        self.dag, self.now = dag, START
        self.active: dict[TryKey, None] = {}
        self.ended: dict[str, TaskState] = {}
        self.load({})

    def load(self, status: dict[str, Any]) -> None:
        """A controller that knows nothing but the status."""
        self.scheduler = Scheduler()
        self.run = load(INFO, self.dag, self.scheduler.slots, status=status)
        if not self.run.finished:
            self.scheduler.add_run(self.run)
        self.plan()

    def plan(self) -> None:
        was_finished = self.run.finished
        plan = self.scheduler.plan(self.now)
        assert not plan.faults
        assert not (was_finished and (plan.starts or plan.waits)), "a Pod of a run that has finished"
        self.active |= dict.fromkeys(start.key for start in plan.starts)
        self.active |= dict.fromkeys(wait.key for wait in plan.waits)
        self.check()

    def check(self) -> None:
        finished = 0
        for instance in self.run:
            finished += instance.state in FINISHED_STATES
            before = self.ended.get(instance.name)
            assert before in (None, instance.state), f"{instance.name} was {before}, is {instance.state}"
            if instance.state in FINISHED_STATES:
                self.ended[instance.name] = instance.state
        total = sum(node.count or 1 for node in self.run.nodes)
        assert run_status(self.run)["done"] == f"{finished}/{total}"
        assert not self.run.finished or finished == total

    def tell(self, key: TryKey, event: TryEvent, code: int | None) -> None:
        report = TryReport(key.task, key.number, event, index=key.index, poke=key.poke, exit_code=code)
        self.scheduler.report("r", report, self.now)
        self.plan()

    def mark(self, name: str, state: str, number: int) -> None:
        request = RunRequest.model_validate({"id": f"r{number}", "type": "Mark", "tasks": [name], "state": state})
        version = Version(INFO, self.dag, Graph.of(self.dag.tasks))
        decision = apply_request(request, run_status(self.run), version, now=self.now)
        if decision.applied:
            self.ended = {}
            self.load(decision.status)


@given(dag=dags(), seed=st.integers(0, 2**32))
def test_what_has_finished_stays_as_it_is(dag: ResolvedDag, seed: int) -> None:
    # Hypothesis would try small numbers above all, and so the same few things again and again.
    world, rng = World(dag), random.Random(seed)
    for step, number in enumerate(rng.randrange(10_000) for _ in range(STEPS)):
        keys, what = list(world.active), number % 10
        if what < 5 and keys:
            event = (TryEvent.CREATED, TryEvent.RUNNING, TryEvent.ENDED, TryEvent.ENDED, TryEvent.LOST)[what]
            key = keys[number // 10 % len(keys)]
            if event in (TryEvent.ENDED, TryEvent.LOST):
                del world.active[key]
            world.tell(key, event, number // 100 % 2 if event is TryEvent.ENDED else None)
        elif what == 5:
            world.mark(
                dag.tasks[number // 10 % len(dag.tasks)].name, ("Succeeded", "Skipped", "Failed")[number % 3], step
            )
        elif what == 6:
            world.load(run_status(world.run))
        else:
            world.now += timedelta(seconds=(1, 3, 8, 25)[number // 10 % 4])
            world.plan()
