"""What people do to a simulated cluster they put right in the end: no run waits for it for ever."""

from __future__ import annotations

import pytest

from apiserver.kinds import DAGRUNS
from simulation.dags import Scenario
from simulation.faults import Fault
from simulation.stories import task
from simulation.world import World, simulate

pytestmark = pytest.mark.simulation


def test_a_dag_that_was_made_again_as_it_was_when_it_was_broken_is_mended() -> None:
    """A finalizer holds it for so long that what mends a broken Dag comes before it is made again."""
    faults = [Fault(10.0, "break dag", 1), Fault(16.0, "held dag", 841531), Fault(40.0, "new run", 1)]
    scenario = Scenario({"d": {"tasks": [task("a")]}}, [])
    world = simulate("broken", lambda loop: World("broken", loop, scenario=scenario, faults=faults))
    assert [run["status"]["phase"] for run in world.server.all(DAGRUNS)] == ["Succeeded"]
