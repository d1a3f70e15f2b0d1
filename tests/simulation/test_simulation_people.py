"""Users of the simulation repair their objects at the end, and skewed clocks violate no invariant."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.apiserver.kinds import DAGRUNS
from tests.simulation.dags import Scenario
from tests.simulation.faults import Fault
from tests.simulation.kubelet import Script
from tests.simulation.stories import entry_of, play, status_of, task
from tests.simulation.world import World, simulate

pytestmark = pytest.mark.simulation


def test_a_dag_that_was_recreated_while_it_was_invalid_is_repaired() -> None:
    """A finalizer delays its deletion so long that the repair of an invalid Dag arrives before it is recreated."""
    faults = [Fault(10.0, "break dag", 1), Fault(16.0, "held dag", 841531), Fault(40.0, "new run", 1)]
    scenario = Scenario({"d": {"tasks": [task("a")]}}, [])
    world = simulate("broken", lambda loop: World("broken", loop, scenario=scenario, faults=faults))
    assert [run["status"]["phase"] for run in world.server.all(DAGRUNS)] == ["Succeeded"]


def set_clocks(world: World, seconds: int) -> None:
    for replica in world.replicas:
        replica.clock.skew = timedelta(seconds=seconds)


def test_a_task_and_its_run_may_be_out_of_time_at_once() -> None:
    """The clocks are set while a Pod is about to start: it is stopped, and its run does not wait for that."""

    def story(world: World) -> None:
        world.later(0.1, set_clocks, world, 90)

    world = play(story, task("a", timeout="15s"), script=Script(start_after=0.2, duration=0.5), runTimeout="20s")
    assert status_of(world)["reason"] == "RunTimeout"
    assert (entry_of(world, "a")["state"], entry_of(world, "a")["reason"]) == ("Failed", "Timeout")


def test_that_stays_so_when_they_are_run_again() -> None:
    def story(world: World) -> None:
        world.later(0.1, set_clocks, world, 90)
        world.later(3.0, set_clocks, world, 0)
        request = {"id": "again", "type": "Rerun"}
        world.later(5.0, world.request, "PATCH", DAGRUNS, "ns", "run0", {"spec": {"request": request}})
        world.busy_until = 6.0

    world = play(story, task("a", timeout="15s"), script=Script(start_after=0.2, duration=0.5), runTimeout="20s")
    assert (entry_of(world, "a")["state"], entry_of(world, "a")["try"]) == ("Succeeded", 2)
