"""Sensors, whose pokes are Pods of their own, when the controller dies between two pokes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulation.kubelet import Script, TryId
from tests.simulation.stories import entry_of, leader, play, task
from tests.simulation.world import World

pytestmark = pytest.mark.simulation


@pytest.mark.parametrize("mode", ["Poke", "Reschedule"])
def test_a_poke_that_was_due_without_a_leader_is_not_lost(mode: str) -> None:
    """The next leader starts it as it loads the run; that there is no Pod of it at that moment means nothing."""

    def script_of(try_id: TryId, document: Any) -> Script:
        return Script(start_after=0.2, duration=4.0, exit_code=0 if try_id.poke == "2" else 1)

    def story(world: World) -> None:
        world.kubelet.script_of = script_of
        # The first poke ends after some 4 s, the next is due 5 s later; the Lease takes 15 s to run out.
        world.later(6.0, die, world)

    def die(world: World) -> None:
        leader(world).kill(None)

    world = play(story, task("a", sensor={"mode": mode, "interval": "5s", "timeout": "60s"}))
    assert (entry_of(world, "a")["state"], entry_of(world, "a")["pokes"]) == ("Succeeded", 2)
    assert [truth.id.poke for truth in world.kubelet.truths.values()] == ["1", "2"]
