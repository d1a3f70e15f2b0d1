"""Refusals of the API server, which end."""

from __future__ import annotations

import orjson
import pytest

from tests.apiserver import Refusal, Request, Response
from tests.simulation.kubelet import Script
from tests.simulation.stories import play, status_of, task
from tests.simulation.world import World

pytestmark = pytest.mark.simulation


def refuse_pods(request: Request) -> Response | None:
    """A role that lacks Pods."""
    if request.method == "GET" and request.path.endswith("/pods"):
        refusal = Refusal(403, "Forbidden", "cannot list resource pods")
        return Response(refusal.code, orjson.dumps(refusal.document()))
    return None


def test_a_new_leader_retries_recently_rejected_requests_first() -> None:
    """The earlier leader saw no more Pods; then the server was away for longer than runTimeout."""

    def story(world: World) -> None:
        world.later(2.0, refuse, world)
        world.later(12.0, go_away, world)
        world.later(40.0, come_back, world)

    def refuse(world: World) -> None:
        world.network.refusals.append(refuse_pods)
        cut(world)

    def cut(world: World) -> None:
        for stream in world.streams():
            stream.cut()

    def go_away(world: World) -> None:
        world.network.down.update(replica.name for replica in world.replicas)
        cut(world)

    def come_back(world: World) -> None:
        world.network.refusals.clear()
        world.network.down.clear()

    world = play(story, task("a"), script=Script(duration=15.0), runTimeout="35s")
    assert status_of(world)["phase"] == "Succeeded"
