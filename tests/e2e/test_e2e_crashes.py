"""A controller that is killed at any moment leaves nothing behind that the next one cannot go on with.

Each crash is in a namespace of its own with controllers of its own, and all take place side by side.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from busy_run import assert_undisturbed, finished, make_busy
from controller_process import LEASE_SECONDS, Controllers
from spaces import NewSpace, Space

Crash = Callable[[Space, Controllers], None]


def crash_when(happened: Callable[[Space], bool], *, dead_for: float = 1.0) -> Crash:
    """SIGKILL once something has happened to the run; another controller comes later."""

    def crash(space: Space, controllers: Controllers) -> None:
        controller = controllers.launch_for(space.name).wait_leading()
        space.run("busy", "busy")
        space.eventually(lambda: happened(space), "the moment of the crash comes", 30)
        controller.kill()
        killed = datetime.now(UTC)
        time.sleep(dead_for)
        restarted = datetime.now(UTC)
        controllers.launch_for(space.name)
        assert_undisturbed(space, "busy")
        if dead_for > 2:
            ends = [pod.status.container_statuses[0].state.terminated.finished_at for pod in space.pods_of("busy")]
            assert any(killed < end < restarted for end in ends), "no task ended while no controller ran"

    return crash


def crash_after(seconds: float) -> Crash:
    """SIGKILL so long after the run was made."""

    def crash(space: Space, controllers: Controllers) -> None:
        controller = controllers.launch_for(space.name).wait_leading()
        space.run("busy", "busy")
        time.sleep(seconds)
        controller.kill()
        controllers.launch_for(space.name)
        assert_undisturbed(space, "busy")

    return crash


def crash_again_and_again(space: Space, controllers: Controllers) -> None:
    space.run("busy", "busy")
    for seconds in (0.05, 0.3, 0.7):
        controller = controllers.launch_for(space.name).wait_leading()
        time.sleep(seconds)
        controller.kill()
    controllers.launch_for(space.name)
    assert_undisturbed(space, "busy")


def leader_of_two_dies(space: Space, controllers: Controllers) -> None:
    leader = controllers.launch_for(space.name).wait_leading()
    standby = controllers.launch_for(space.name).wait_ready()
    space.run("busy", "busy")
    space.eventually(lambda: finished(space, "busy") >= 2, "two tasks have finished", 30)
    leader.kill()
    standby.wait_leading(LEASE_SECONDS + 3)
    assert_undisturbed(space, "busy")


CRASHES: dict[str, Crash] = {
    "at once": crash_after(0),
    "in the middle of the first creates": crash_after(0.06),
    "before the first status": crash_when(lambda space: bool(space.pods_of("busy")), dead_for=0),
    "half way": crash_when(lambda space: finished(space, "busy") >= 2, dead_for=3),
    "near the end": crash_when(lambda space: space.task("busy", "join").get("state") == "Running", dead_for=3),
    "again and again": crash_again_and_again,
    "leader of two": leader_of_two_dies,
}


@pytest.fixture(scope="module")
def crashes(new_space: NewSpace, controllers: Controllers) -> Iterator[dict[str, Future[None]]]:
    """All crashes, under way."""

    def take_place(name: str) -> None:
        space = new_space("crash")
        make_busy(space)
        CRASHES[name](space, controllers)

    with ThreadPoolExecutor(len(CRASHES)) as pool:
        yield {name: pool.submit(take_place, name) for name in CRASHES}


@pytest.mark.parametrize("name", CRASHES)
def test_crash(crashes: dict[str, Future[None]], name: str) -> None:
    crashes[name].result(timeout=120)
