"""After a controller is killed at any moment, the next one can continue."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tests.e2e.busy_run import assert_undisturbed, finished, make_busy
from tests.e2e.pod_watch import has_exited
from tests.e2e.spaces import Space, task
from tests.e2e.stage import Stage, side_by_side


def crash(stage: Stage, happened: Callable[[Space], object], *, until_idle: bool = False) -> None:
    """SIGKILL once something has happened to the run; another controller continues it, at once or after all running
    tasks have exited."""
    space, controller = stage.space_and_controller("crash")
    make_busy(space)
    space.run("busy", "busy")
    space.eventually(lambda: happened(space), "the moment of the crash comes")
    controller.kill()
    if until_idle:
        assert not all(map(has_exited, space.pods_of("busy"))), "no task runs while no controller does"
        space.eventually(lambda: all(map(has_exited, space.pods_of("busy"))), "running tasks have exited")
    stage.controllers.launch_for(space.name)
    assert_undisturbed(space, "busy")


@side_by_side
def test_at_once(stage: Stage) -> None:
    crash(stage, lambda _: True)


@side_by_side
def test_before_the_first_status(stage: Stage) -> None:
    """Pods are created before status has them."""
    crash(stage, lambda space: bool(space.pods_of("busy")))


@side_by_side
def test_half_way(stage: Stage) -> None:
    crash(stage, lambda space: finished(space, "busy") >= 2, until_idle=True)


@side_by_side
def test_near_the_end(stage: Stage) -> None:
    crash(stage, lambda space: space.wait_state("busy", "join", "Running"), until_idle=True)


@side_by_side
def test_again_and_again(stage: Stage) -> None:
    space = stage.space("crashes")
    make_busy(space)
    space.run("busy", "busy")
    for seconds in (0.05, 0.3, 0.7):
        controller = stage.controllers.launch_for(space.name).wait_leading()
        time.sleep(seconds)
        controller.kill()
    stage.controllers.launch_for(space.name)
    assert_undisturbed(space, "busy")


@side_by_side
def test_the_leader_of_two(stage: Stage) -> None:
    space, leader = stage.space_and_controller("two")
    standby = stage.controllers.launch_for(space.name).wait_ready()
    make_busy(space)
    space.run("busy", "busy")
    space.eventually(lambda: finished(space, "busy") >= 2, "two tasks have finished")
    leader.kill()
    standby.wait_leading()
    assert_undisturbed(space, "busy")


@side_by_side
def test_a_schedule_makes_each_run_once(stage: Stage) -> None:
    space = stage.space("ticks")
    last = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=1)
    start = last - timedelta(minutes=19)
    dates = {"startDate": f"{start:%Y-%m-%dT%H:%M:%SZ}", "endDate": f"{last:%Y-%m-%dT%H:%M:%SZ}"}
    # Their names are all that matters: no task runs.
    space.dag("often", {"name": "nothing", "noop": True}, schedule="* * * * *", catchup=True, **dates)
    for seconds in (0.0, 0.02, 0.05):
        controller = stage.controllers.launch_for(space.name).wait_leading()
        time.sleep(seconds)
        controller.kill()
    stage.controllers.launch_for(space.name)
    expected = [f"often-{start + timedelta(minutes=minute):%Y%m%dt%H%M%S}" for minute in range(20)]
    space.eventually(lambda: len(space.runs("often")) >= 20, "all runs are made")
    for run in expected:
        space.wait_succeeded(run)
    assert [run["metadata"]["name"] for run in space.runs("often")] == expected


@side_by_side
def test_after_an_edit_the_run_continues_with_its_own_dag(stage: Stage) -> None:
    space, controller = stage.space_and_controller("edited")
    space.dag("talk", task("wait", "sleep 4"), task("say", "echo '\"old\"' >$TRADEWIND_OUTPUT", "wait"))
    run = space.run("talk")
    space.wait_state(run, "wait", "Running")
    new = [task("wait", "true"), task("say", "echo '\"new\"' >$TRADEWIND_OUTPUT", "wait"), task("more", "true", "wait")]
    space.edit_dag("talk", tasks=new)
    controller.kill()
    stage.controllers.launch_for(space.name)
    status = space.wait_succeeded(run)
    assert space.task(run, "say")["output"] == "old"
    assert [entry["name"] for entry in status["tasks"]] == ["wait", "say"]


@side_by_side
def test_a_sensor_continues_when_its_controller_is_killed(stage: Stage) -> None:
    space, controller = stage.space_and_controller("poke-killed")
    fifth = 'test "$TRADEWIND_POKE" -ge 5'
    space.dag("landing", task("landed", fifth, sensor={"mode": "Reschedule", "interval": "3s", "timeout": "2m"}))
    run = space.run("landing", "landing")
    space.wait_state(run, "landed", "UpForReschedule")
    controller.kill()
    stage.controllers.launch_for(space.name).wait_leading()
    space.wait_succeeded(run)
    pods = space.pods_of(run, "landed")
    pokes = [pod.metadata.labels["tradewind.dev/poke"] for pod in pods]
    assert len(pokes) == len(set(pokes)) == space.task(run, "landed")["pokes"]
