"""The number of shards changes while runs are running and controllers die: all invariants hold, and
controllers of different numbers are never leaders of the same namespace.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.apiserver.kinds import DAGRUNS, NAMESPACES, PODS
from tests.simulation.dags import Scenario
from tests.simulation.kubelet import Script
from tests.simulation.network import QUIET, Trouble
from tests.simulation.replica import Replica
from tests.simulation.stories import task
from tests.simulation.world import World, simulate
from tradewind.api.shards import bucket_of

pytestmark = pytest.mark.simulation

TEAMS = ("prod", "team-a", "team-b", "team-1", "team-2", "team-3")
RUNS = 2
CHAIN = [task("a"), task("b", "a"), task("c", "a"), task("d", "b", "c")]
TROUBLE = Trouble(lost_before=0.02, lost_after=0.02, silent=0.01, duplicated=0.02, delayed=0.2, delay=2.0)


class Change:
    """One shard becomes two, and two become three; each with a standby."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.trouble = chance.random() < 0.5

    def __call__(self, world: World) -> None:
        for number, team in enumerate(TEAMS):
            world.request("POST", NAMESPACES, "", None, {"metadata": {"name": team}})
            world.make_dag(f"dag{number}", {"tasks": CHAIN, "maxActiveRuns": RUNS}, team)
        groups = [list(world.replicas), *(self._group(world, count) for count in (2, 3))]
        for replica in groups[1] + groups[2]:
            world.replicas.append(replica)
        moment = 2.0
        for index, group in enumerate(groups):
            if index:
                for replica in group:
                    world.later(moment + self.chance.random() * 4, replica.start)
            self._work(world, index, moment)
            for _ in range(self.chance.randrange(3)):
                # A process dies at any await, and restarts.
                victim = self.chance.choice(group)
                steps = self.chance.randrange(1000 + 5000 * index, 8000 + 5000 * index)
                world.strike_at_any_await(steps, lambda replica=victim: self._strike(replica))
            moment += 45 + self.chance.random() * 15
            if index < 2:
                for replica in group:
                    world.later(moment + self.chance.random() * 5, self._end, replica)
        world.busy_until = moment + 60
        # Those that were frozen for long were found unhealthy, and rightly so.
        world.later(world.busy_until - 1, lambda: [replica.failures.clear() for replica in world.replicas])
        if self.trouble:
            world.later(1.0, setattr, world.network, "trouble", TROUBLE)
            world.later(moment, setattr, world.network, "trouble", QUIET)

    def _group(self, world: World, count: int) -> list[Replica]:
        return [
            world.replica(f"{count}{index}{copy}", shards=count, shard=index) for index in range(count) for copy in "ab"
        ]

    def _work(self, world: World, index: int, moment: float) -> None:
        for number, team in enumerate(TEAMS):
            for run in range(RUNS):
                label = {"tradewind.dev/bucket": str(bucket_of(team))} if run else None
                when = moment + self.chance.random() * 44
                world.later(when, world.make_run, f"run{number}-{index}-{run}", f"dag{number}", team, label)

    def _strike(self, replica: Replica) -> None:
        if replica.life is not None:
            if self.chance.random() < 0.6:
                replica.kill()
            else:
                replica.freeze(self.chance.choice([3.0, 12.0]))

    def _end(self, replica: Replica) -> None:
        """For good; how, is left to chance."""
        ended_well = self.chance.random() < 0.5
        if ended_well:
            replica.stop(restart_after=None)
        else:
            replica.kill(restart_after=None)
        # The kubelet does not wait for ever; and one that was about to start again is not wanted any more.
        for seconds in (25.0, 30.0) if ended_well else (3.0, 8.0):
            replica._later(seconds, replica.kill, None)


@pytest.mark.parametrize("number", range(24))
def test_one_two_three_shards(number: int) -> None:
    change = Change(random.Random(f"shards/{number}"))
    scenario = Scenario({}, [], pools={})
    makers: dict[str, set[str]] = {}

    def make(loop: Any) -> World:
        world = World(
            f"shards/{number}",
            loop,
            scenario=scenario,
            faults=[],
            script_of=lambda try_id, document: Script(start_after=0.2, duration=1.0 + len(try_id.task) % 3),
            story=change,
        )

        def made(commit: Any) -> None:
            request = world.server.request
            if commit.kind is PODS and commit.old is None and request is not None:
                makers.setdefault(commit.new.metadata["namespace"], set()).add(request.client.partition("-")[0])

        world.server.store.on_commit.append(made)
        return world

    world = simulate(f"shards/{number}", make)
    runs = world.server.all(DAGRUNS)
    assert len(runs) == 3 * RUNS * len(TEAMS)
    parts = {replica.name: replica.part for replica in world.replicas}
    for namespace, names in makers.items():
        assert all(parts[name].owns(namespace) for name in names), (namespace, names)
    used = {parts[name].count for names in makers.values() for name in names}
    assert {1, 3} <= used, "the first and the last had work; how long the change took is left to chance"
    for run in runs:
        assert run["status"]["phase"] == "Succeeded", run["status"]
        if not change.trouble:
            tries = [entry.get("try", 1) for entry in run["status"]["tasks"]]
            assert set(tries) == {1}, run["status"]
