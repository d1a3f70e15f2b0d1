"""A leader is killed while many runs are queued."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.kinds import DAGRUNS
from tests.simulation.stories import leader, play, status_of, task
from tests.simulation.world import World
from tradewind.controller.runs import load_queue

pytestmark = pytest.mark.simulation

RUNS = 300
AT_ONCE = 10
OFTEN = (4.0, 30.0, 60.0)
"""When the leader is killed."""


def phases(world: World) -> list[str]:
    return [(run.get("status") or {}).get("phase", "") for run in world.server.all(DAGRUNS)]


def test_all_of_300_queued_runs_have_their_turn_though_leaders_die() -> None:
    queued: list[int] = []
    waits: set[Any] = set()

    def story(world: World) -> None:
        world.later(0.5, make_runs, world)
        for seconds in OFTEN:
            world.later(seconds, strike, world)

    def make_runs(world: World) -> None:
        for number in range(RUNS):
            world.make_run(f"r{number:03}", "d")

    def strike(world: World) -> None:
        queued.append(sum(phase in ("", "Queued") for phase in phases(world)))
        waits.update(
            (run.get("status") or {}).get("message")
            for run in world.server.all(DAGRUNS)
            if (run.get("status") or {}).get("phase") == "Queued"
        )
        leader(world).kill()

    world = play(story, task("a"), task("b", "a"), maxActiveRuns=AT_ONCE, successfulRunsHistoryLimit=RUNS + 10)
    assert max(queued) > RUNS / 2, "the leader died while most of them waited"
    assert waits == {f"waiting for maxActiveRuns of the Dag ({AT_ONCE})"}
    assert phases(world) == ["Succeeded"] * (RUNS + 1)
    started = [status_of(world, f"r{number:03}")["startedAt"] for number in range(RUNS)]
    places = [(started[n], started[n + 2 * load_queue.AT_ONCE]) for n in range(RUNS - 2 * load_queue.AT_ONCE)]
    assert all(older <= younger for older, younger in places), "the older leaves the queue first, whoever leads"
