"""Another client writes to a run, or its events come late: the last write counts, and finished stays finished."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.apiserver import Request
from tests.apiserver.kinds import DAGRUNS, PODS
from tests.simulation.kubelet import Script
from tests.simulation.stories import entry_of, is_write, play, stall, status_of, task
from tests.simulation.world import World

pytestmark = pytest.mark.simulation

Json = dict[str, Any]

SLOW, FAST = Script(start_after=0.2, duration=20.0), Script(start_after=0.2, duration=6.0)


def written_elsewhere(world: World, change: Callable[[Json], None], run: str = "run0") -> None:
    """Another controller writes the status of a run."""
    status = orjson.loads(orjson.dumps(status_of(world, run)))
    change(status)
    world.request("PATCH", DAGRUNS, "ns", f"{run}/status", {"status": status})


def a_succeeded(status: Json) -> None:
    [entry] = [entry for entry in status["tasks"] if entry["name"] == "a"]
    entry |= {"state": "Succeeded", "exitCode": 0, "finishedAt": "2026-03-01T06:00:05Z"}


def ended(status: Json) -> None:
    for entry in status["tasks"]:
        entry |= {"state": "Failed", "finishedAt": "2026-03-01T06:00:05Z"} | (
            {"exitCode": 1} if entry["name"] == "a" else {}
        )
    status |= {"phase": "Failed", "finishedAt": "2026-03-01T06:00:05Z"}


def after(world: World, name: str) -> float:
    """Seconds after which a task began."""
    minutes, seconds = entry_of(world, name)["startedAt"].rstrip("Z").split(":")[1:]
    return int(minutes) * 60 + float(seconds)


def test_a_status_of_another_client_is_not_overwritten() -> None:
    def story(world: World) -> None:
        world.later(5.0, written_elsewhere, world, a_succeeded)

    scripts = {"a": SLOW, "c": FAST}
    world = play(story, task("a"), task("b", "a"), task("c"), scripts=scripts, parallelism=2)
    assert after(world, "b") < 15, "it continues from the other client's write"


def test_nor_when_the_watch_does_not_show_it() -> None:
    """It is read once and then used; also if the Dag needs more to be read."""
    conflicts: list[str] = []

    def story(world: World) -> None:
        def note(request: Request) -> str:
            if is_write(request, "PATCH", "dagruns/run0/status"):
                conflicts.append(request.path)
            return ""

        world.later(4.0, stall, world, "", "dagruns", 30.0)
        world.later(5.0, written_elsewhere, world, a_succeeded)
        world.network.interfere = note

    scripts = {"a": SLOW, "c": FAST}
    first = task("d", dependsOnPast=True)
    world = play(story, task("a"), task("b", "a"), task("c"), first, scripts=scripts)
    assert after(world, "b") < 15
    assert len(conflicts) < 20


def test_slots_of_a_run_are_not_free_while_it_is_read_again() -> None:
    """Its Dag needs more to be read, which is rejected for a while."""

    def story(world: World) -> None:
        def interfere(request: Request) -> str:
            asks = request.method == "GET" and request.path.endswith("/dagruns") and "watch" not in request.params
            return "429" if asks and world.loop.time() < 12 else ""

        def annoy() -> None:
            world.network.interfere = interfere
            written_elsewhere(world, lambda status: status["tasks"][0].update(message="seen"))

        world.later(5.0, annoy)

    pools = [task("a", pool="narrow"), task("c"), task("d", "a", dependsOnPast=True)]
    play(story, *pools, scripts={"a": SLOW, "c": FAST}, runs=2)


def delete_pod(world: World, name: str) -> None:
    """A user deletes the Pod of a task."""
    [uid] = [uid for uid, truth in world.kubelet.truths.items() if truth.id.task == name]
    world.kubelet.delete(uid, 0)


def test_a_run_that_another_client_finished_is_not_revived_by_old_watch_events() -> None:
    def story(world: World) -> None:
        world.later(0.1, stall, world, "", "dagruns", 9.0)
        world.later(4.0, stall, world, "", "dagruns", 30.0)
        world.later(5.0, written_elsewhere, world, ended)
        world.later(6.0, delete_pod, world, "c")

    scripts = {"a": Script(start_after=0.2, duration=0.8, exit_code=1), "c": SLOW}
    retried = task("a", retries={"limit": 1, "delay": "7s"})
    world = play(story, retried, task("c", retries={"onLost": 0}), scripts=scripts)
    assert [truth.id.task for truth in world.kubelet.truths.values()] == ["a", "c"]


def test_a_deleted_run_is_not_revived_by_old_watch_events() -> None:
    def story(world: World) -> None:
        world.later(0.1, stall, world, "", "dagruns", 4.0)
        world.later(1.49, stall, world, "", "dagruns", 20.0)
        world.later(1.5, world.request, "DELETE", DAGRUNS, "ns", "run0")

    scripts = {"a": Script(start_after=0.2, duration=0.8, exit_code=1), "c": SLOW}
    retried = task("a", retries={"limit": 1, "delay": "2s"})
    world = play(story, retried, task("c", retries={"onLost": 0}), scripts=scripts)
    assert [truth.id.task for truth in world.kubelet.truths.values()] == ["a", "c"]


def test_a_run_that_is_claimed_late_is_not_claimed_back() -> None:
    """Another controller ends it, just when this one makes itself its controller."""

    def story(world: World) -> None:
        def interfere(request: Request) -> str:
            if request.method == "PATCH" and request.path.endswith("/dagruns/run0"):
                world.network.interfere = lambda request: ""
                status = {"phase": "Failed", "finishedAt": "2026-03-01T06:00:00Z"}
                world.request("PATCH", DAGRUNS, "ns", "run0/status", {"status": status})
            return ""

        world.network.interfere = interfere
        world.later(0.005, stall, world, "", "dagruns", 5.0)

    world = play(story, task("a"))
    assert world.kubelet.truths == {}


def unseen(world: World) -> None:
    """The watches of Pods break, and undelivered events are lost."""
    for stream in world.streams():
        if stream.plural == "pods":
            stream.cut()
    world.server.store.compact()


def test_a_stopped_pod_that_was_never_seen_has_finished() -> None:
    def story(world: World) -> None:
        world.later(0.005, stall, world, "", "pods", 30.0)
        world.later(15.0, unseen, world)

    never = Script(start_after=0.2, duration=None)
    world = play(story, task("a", queuedTimeout="5s"), script=never)
    assert entry_of(world, "a")["state"] == "Failed"


def test_an_existing_pod_that_was_never_seen_has_finished_once_it_is_deleted() -> None:
    def story(world: World) -> None:
        world.later(0.005, stall, world, "", "pods", 40.0)
        world.later(3.0, written_elsewhere, world, lambda status: status["tasks"][0].update(message="seen"))
        world.later(9.0, lambda: world.kubelet.delete(world.kubelet.running()[0], 0))
        world.later(14.0, unseen, world)

    world = play(story, task("a"), task("c"), scripts={"a": SLOW, "c": Script(start_after=0.2, duration=3.0)})
    assert (entry_of(world, "a")["state"], entry_of(world, "a")["try"]) == ("Succeeded", 2)


def test_the_finalizer_of_another_client_stays() -> None:
    def story(world: World) -> None:
        def interfere(request: Request) -> str:
            if request.method == "PATCH" and "/pods/" in request.path:
                world.network.interfere = lambda request: ""
                name = request.path.rpartition("/")[2]
                both = ["tradewind.dev/result", "example.dev/keep"]
                world.request("PATCH", PODS, "ns", name, {"metadata": {"finalizers": both}})
            return ""

        world.network.interfere = interfere

    world = play(story, task("a"), resultProtection="Finalizer")
    [pod] = world.server.all(PODS)
    assert pod["metadata"]["finalizers"] == ["example.dev/keep"]
