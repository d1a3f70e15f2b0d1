"""The cost of the scheduler's own work, without a cluster: `python bench/engine_steps.py [--profile NAME]`.

A step is one report on a try and the plan that follows. The targets: a run of 1,000 tasks takes at most 10 ms per
step and for planning it from scratch, one of 10,000 mapped instances at most 20 ms for anything, and a step costs the
same for any size of the run.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import orjson

from tradewind.api.dag import DagSpec
from tradewind.api.resolve import ResolvedDag, resolve
from tradewind.engine.run.graph import Graph
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.run.state import RunState
from tradewind.engine.run.tries import TryEvent, TryKey, TryReport
from tradewind.engine.scheduler import Scheduler, Start
from tradewind.engine.status.restore import load
from tradewind.engine.status.run_status import run_status

NOW = datetime(2026, 1, 1, tzinfo=UTC)
INFO = RunInfo("ns", "run", "uid", "d", "Manual", NOW, NOW, NOW)
STEPS = 2000
MOST_TASKS = 2000
"""The most that a Dag may have."""


def dag(tasks: list[dict[str, Any]], **spec: Any) -> ResolvedDag:
    tasks = [{"image": "busybox", "command": ["true"], **task} for task in tasks]
    return resolve(DagSpec.model_validate({"tasks": tasks, "maxActiveTasks": 1000, **spec}))


def chains(count: int) -> ResolvedDag:
    """Ten chains."""
    return dag([{"name": f"t{n}", "dependsOn": [f"t{n - 10}"] if n >= 10 else []} for n in range(count)])


def fan(count: int) -> ResolvedDag:
    """One task, all others but one in parallel, one."""
    middle = [f"t{n}" for n in range(1, count - 1)]
    tasks = [{"name": "t0"}, *({"name": name, "dependsOn": ["t0"], "group": "g"} for name in middle)]
    return dag([*tasks, {"name": "last", "dependsOn": ["g"]}], groups=[{"name": "g"}])


def diamonds(count: int) -> ResolvedDag:
    """Layers of 20 tasks, each downstream of all of the previous layer."""
    layers = [[f"t{n}" for n in range(first, first + 20)] for first in range(0, count, 20)]
    tasks: list[dict[str, Any]] = [{"name": name} for name in layers[0]]
    for before, layer in pairwise(layers):
        tasks += [{"name": name, "dependsOn": before} for name in layer]
    return dag(tasks)


def mapped(count: int) -> ResolvedDag:
    """A mapped task, and one downstream of it."""
    over = {"forEach": {"items": list(range(count))}, "maxActivePerRun": 64, "retries": {"limit": 2, "delay": "1h"}}
    return dag([{"name": "each", **over}, {"name": "last", "dependsOn": ["each"]}], maxMapLength=count)


def mapped_group(count: int) -> ResolvedDag:
    """A mapped group of three tasks in sequence, and one downstream of it."""
    tasks = [
        {"name": "a", "group": "g", "maxActivePerRun": 64},
        {"name": "b", "group": "g", "dependsOn": ["a"]},
        {"name": "c", "group": "g", "dependsOn": ["b"]},
        {"name": "last", "dependsOn": ["g"]},
    ]
    return dag(tasks, maxMapLength=count, groups=[{"name": "g", "forEach": {"items": list(range(count))}}])


class Bench:
    """One run, driven by hand."""

    def __init__(self, resolved: ResolvedDag, status: dict[str, Any] | None = None, graph: Graph | None = None) -> None:
        self.dag, self.now = resolved, NOW
        self.graph = graph or Graph.of(resolved.tasks)
        self.scheduler = Scheduler()
        self.scheduler.set_pool("ns", "default", -1)
        self.started: list[Start] = []
        self.run = load(INFO, resolved, self.scheduler.slots, status=status, graph=self.graph)
        self.scheduler.add_run(self.run)
        self.plan()

    def plan(self) -> None:
        self.started += self.scheduler.plan(self.now).starts

    def step(self, event: TryEvent, key: TryKey, **facts: Any) -> None:
        self.scheduler.report(
            INFO.uid, TryReport(key.task, key.number, event, index=key.index, poke=key.poke, **facts), self.now
        )
        self.plan()

    def steps(self, most: int, outcome: Callable[[int], dict[str, Any]]) -> Iterator[Callable[[], None]]:
        """Each try starts and finishes, oldest first."""
        done = 0
        while done < most and self.started:
            key = self.started.pop(0).key
            yield lambda key=key: self.step(TryEvent.RUNNING, key, started_at=self.now)  # type: ignore[misc]
            yield lambda key=key, n=done: self.step(TryEvent.ENDED, key, finished_at=self.now, **outcome(n))  # type: ignore[misc]
            done += 1

    def finish(self, outcome: Callable[[int], dict[str, Any]]) -> None:
        for step in self.steps(10**9, outcome):
            step()


def well(_: int) -> dict[str, Any]:
    return {"exit_code": 0}


def with_output(_: int) -> dict[str, Any]:
    return {"exit_code": 0, "output": "12"}


def badly(_: int) -> dict[str, Any]:
    return {"exit_code": 1, "message": "no luck today, nor on any other day of the week: " * 10}


def by_turns(number: int) -> dict[str, Any]:
    return badly(number) if number % 2 else well(number)


def milliseconds(action: Callable[[], Any]) -> float:
    gc.collect()
    began = time.process_time()
    action()
    return (time.process_time() - began) * 1000


def best(action: Callable[[], Any], times: int = 3) -> float:
    return min(milliseconds(action) for _ in range(times))


def spread(steps: Iterator[Callable[[], None]]) -> tuple[float, float]:
    """(mean, 99th percentile) of steps, in ms."""
    found = []
    for step in steps:
        began = time.process_time()
        step()
        found.append((time.process_time() - began) * 1000)
    found.sort()
    return sum(found) / len(found), found[int(len(found) * 0.99)]


def line(name: str, value: float, target: float | None = None, more: str = "") -> None:
    limit = f"  (at most {target:g})" if target else ""
    mark = " !" if target and value > target else ""
    print(f"  {name:48} {value:9.3f} ms{limit}{mark}{more}")


def plain_runs() -> None:
    for shape in (chains, fan, diamonds):
        resolved = shape(1000)
        graph = Graph.of(resolved.tasks)
        print(f"{shape.__name__}, 1,000 tasks")
        line("graph, once for each revision of the Dag", best(lambda resolved=resolved: Graph.of(resolved.tasks)))
        line("planned from scratch", best(lambda resolved=resolved, graph=graph: Bench(resolved, graph=graph)), 10)
        bench = Bench(resolved, graph=graph)
        mean, slowest = spread(bench.steps(10**9, well))
        line("a step, on average", mean, 10, f"; 99 of 100 within {slowest:.3f} ms")
        line("status()", best(partial(run_status, bench.run)), 10)
        half = Bench(resolved, graph=graph)
        for step in half.steps(500, well):
            step()
        status = orjson.loads(orjson.dumps(run_status(half.run)))
        line("restored half-way", best(lambda r=resolved, s=status, g=graph: Bench(r, s, g)), 10)


def mapped_runs() -> None:
    for shape in (mapped, mapped_group):
        resolved = shape(10_000)
        graph = Graph.of(resolved.tasks)
        print(f"{shape.__name__.replace('_', ' ')}, 10,000 instances of each")
        line("expanded and planned", best(lambda resolved=resolved, graph=graph: Bench(resolved, graph=graph)), 20)
        all_well = with_output if shape is mapped else well
        for name, outcome in (("well", all_well), ("every second badly", by_turns), ("badly", badly)):
            bench = Bench(resolved, graph=graph)
            mean, slowest = spread(bench.steps(STEPS, outcome))
            line(f"a step, ends {name}", mean, 20, f"; 99 of 100 within {slowest:.3f} ms")
            bench.finish(outcome)
            phase(f"all ended {name}", bench)
            while not bench.run.finished:
                bench.now += timedelta(hours=1)
                line("  a step in which thousands are due", best(bench.plan, 1), 50)
                bench.finish(outcome)
                phase("and again an hour later", bench)


def phase(name: str, bench: Bench) -> None:
    """Status and restart of a run in its current state."""
    status = run_status(bench.run)
    text = orjson.dumps(status)
    bench.run.nodes[0].whole.touch()
    line(f"status(), {name}", best(partial(run_status, bench.run)), 20, f"; {len(text) / 1000:.0f} kB")
    if not bench.run.finished:
        line("  restored", best(lambda: Bench(bench.dag, orjson.loads(text), bench.graph)), 20)


def curve() -> None:
    print("one step by size of the run, in µs")
    sizes = (100, 1000, 10_000)
    print(f"  {'':24}" + "".join(f"{size:>10,}" for size in sizes))
    for shape, outcome in ((mapped, well), (mapped, by_turns), (mapped_group, well), (chains, well), (fan, well)):
        means = []
        for size in sizes:
            bench = Bench(shape(min(size, MOST_TASKS) if shape in (chains, fan) else size))
            means.append(spread(bench.steps(min(STEPS, size), outcome))[0] * 1000)
        name = shape.__name__.replace("_", " ") + (", some fail" if outcome is by_turns else "")
        print(f"  {name:24}" + "".join(f"{mean:>10.0f}" for mean in means))
    print(f"  (chains and fan: {MOST_TASKS:,} tasks at most)")


def queues() -> None:
    """One more run is created, and one finishes, while so many wait for maxActiveRuns."""
    print("runs in the queue of a Dag")
    resolved = dag([{"name": "t0"}], maxActiveRuns=1)
    graph = Graph.of(resolved.tasks)
    for queued in (100, 10_000):
        scheduler = Scheduler()
        scheduler.set_max_active_runs("ns", "d", 1)

        def arrive(number: int, scheduler: Scheduler = scheduler) -> None:
            at = NOW + timedelta(seconds=number)
            info = RunInfo("ns", f"r{number}", f"r{number}", "d", "Manual", at, at, at)
            scheduler.add_run(RunState(info, resolved, scheduler.slots, graph=graph))
            scheduler.plan(NOW)

        def end(number: int, scheduler: Scheduler = scheduler) -> None:
            report = TryReport("t0", 1, TryEvent.ENDED, exit_code=0, started_at=NOW, finished_at=NOW)
            scheduler.report(f"r{number}", report, NOW)
            scheduler.plan(NOW)
            scheduler.remove_run(f"r{number}")
            scheduler.plan(NOW)

        for number in range(queued):
            arrive(number)
        arrivals = spread(iter([lambda n=n: arrive(n) for n in range(queued, queued + 500)]))  # type: ignore[misc]
        ends = spread(iter([lambda n=n: end(n) for n in range(50)]))  # type: ignore[misc]
        line(f"one more is created, {queued:,} wait", arrivals[0], 1, f"; 99 of 100 within {arrivals[1]:.3f} ms")
        line(f"one finishes, {queued:,} wait", ends[0], 1, f"; 99 of 100 within {ends[1]:.3f} ms")


PARTS = {"queues": queues, "plain": plain_runs, "mapped": mapped_runs, "curve": curve}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="Default: all.")
    parser.add_argument("--profile", action="store_true", help="Profile each part.")
    options = parser.parse_args()
    for name in options.parts or PARTS:
        profile = cProfile.Profile()
        if options.profile:
            profile.enable()
        PARTS[name]()
        if options.profile:
            profile.disable()
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
