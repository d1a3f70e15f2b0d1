"""Sensors, branches, short circuits, teardowns, limits of tasks and failFast, with real Pods."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from tests.cluster import moment
from tests.e2e.pod_watch import PodWatch
from tests.e2e.spaces import Space, task
from tests.e2e.stage import Stage, side_by_side

OUTPUT = "echo '%s' > \"$TRADEWIND_OUTPUT\""


def states(space: Space, run: str) -> dict[str, str]:
    return {name: entry["state"] for name, entry in space.tasks(run).items()}


@side_by_side
def test_a_sensor_that_reschedules_has_no_pod_in_between(stage: Stage) -> None:
    """Its slot goes to another task meanwhile, and each poke is a Pod of its own."""
    space = stage.watched_space("reschedule")
    third = 'test "$TRADEWIND_POKE" -ge 3'
    space.dag(
        "landing",
        task("landed", third, sensor={"mode": "Reschedule", "interval": "6s", "timeout": "2m"}),
        task("beside", "sleep 4"),
        task("after", "true", dependsOn=["landed"]),
        maxActiveTasks=1,
    )
    run = space.run("landing", "landing")
    space.wait_succeeded(run)
    landed = space.task(run, "landed")
    pods = sorted(space.pods_of(run, "landed"), key=lambda pod: int(pod.metadata.labels["tradewind.dev/poke"]))
    assert (landed["state"], landed["try"]) == ("Succeeded", 1)
    assert landed["pokes"] == len(pods) == 3
    assert [pod.metadata.labels["tradewind.dev/poke"] for pod in pods] == ["1", "2", "3"]
    assert {pod.metadata.labels["tradewind.dev/try"] for pod in pods} == {"1"}
    for before, after in pairwise(pods):
        ended = before.status.container_statuses[0].state.terminated.finished_at
        # Both are whole seconds.
        assert after.metadata.creation_timestamp - ended > timedelta(seconds=4), (ended, after.metadata)
    beside = space.task(run, "beside")
    assert moment(beside["startedAt"]) < moment(landed["finishedAt"])


@side_by_side
def test_a_sensor_that_pokes_keeps_its_slot(stage: Stage) -> None:
    space = stage.watched_space("poke")
    space.dag(
        "landing",
        task("landed", "exit 1", sensor={"interval": "1s", "timeout": "5s", "softFail": True}),
        task("beside", "true"),
        maxActiveTasks=1,
    )
    run = space.run("landing", "landing")
    space.wait_succeeded(run)
    landed, beside = space.task(run, "landed"), space.task(run, "beside")
    assert (landed["state"], landed["reason"]) == ("Skipped", "SensorTimeout")
    assert landed["pokes"] >= 2
    assert moment(beside["queuedAt"]) >= moment(landed["finishedAt"])


@side_by_side
def test_a_branch_is_followed(stage: Stage) -> None:
    space = stage.watched_space("branch")
    space.dag(
        "fork",
        task("choose", OUTPUT % '["left"]', branch=True),
        task("left", "true", dependsOn=["choose"]),
        task("right", "true", dependsOn=["choose"]),
        task("join", "true", dependsOn=["left", "right"], triggerRule="NoneFailedMinOneSuccess"),
    )
    run = space.run("fork")
    space.wait_succeeded(run)
    assert states(space, run) == {"choose": "Succeeded", "left": "Succeeded", "right": "Skipped", "join": "Succeeded"}
    assert space.task(run, "right")["reason"] == "NotFollowed"
    assert not space.pods_of(run, "right")


@side_by_side
def test_a_branch_to_nowhere_fails(stage: Stage) -> None:
    space = stage.watched_space("nowhere")
    space.dag("fork", task("choose", OUTPUT % '"rihgt"', branch=True), task("right", "true", dependsOn=["choose"]))
    run = space.run("fork")
    assert space.wait_finished(run)["phase"] == "Failed"
    choose = space.task(run, "choose")
    assert choose["reason"] == "InvalidBranch"
    assert "the branch chose 'rihgt'" in choose["message"] and "one of right" in choose["message"]


@side_by_side
def test_a_short_circuit_stops_all_but_teardowns(stage: Stage) -> None:
    space = stage.watched_space("short")
    space.dag(
        "short",
        task("up", "true", setup=True),
        task("new", OUTPUT % "false", shortCircuit=True, dependsOn=["up"]),
        task("work", "true", dependsOn=["new"]),
        task("down", "true", dependsOn=["work"], teardown={"setups": ["up"]}),
    )
    run = space.run("short")
    space.wait_succeeded(run)
    assert states(space, run) == {"up": "Succeeded", "new": "Succeeded", "work": "Skipped", "down": "Succeeded"}


@side_by_side
def test_a_teardown_after_a_failure(stage: Stage) -> None:
    space = stage.watched_space("teardown")
    space.dag(
        "scope",
        task("up", "true", setup=True),
        task("work", "exit 3", dependsOn=["up"]),
        task("more", "true", dependsOn=["work"]),
        task("down", "echo cleaned", dependsOn=["more"], teardown={"setups": ["up"]}),
    )
    run = space.run("scope")
    status = space.wait_finished(run)
    assert (status["phase"], status["message"]) == ("Failed", "failed: work")
    assert states(space, run) == {"up": "Succeeded", "work": "Failed", "more": "UpstreamFailed", "down": "Succeeded"}
    assert space.log(space.pods_of(run, "down")[0].metadata.name) == "cleaned\n"


@side_by_side
def test_fail_fast_stops_running_tasks(stage: Stage) -> None:
    space = stage.watched_space("fail-fast")
    space.dag(
        "fast",
        task("long", "sleep 300"),
        task("bad", "sleep 3; exit 1"),
        task("later", "true", dependsOn=["long"]),
        failFast=True,
    )
    run = space.run("fast")
    status = space.wait_finished(run)
    assert (status["phase"], status["reason"]) == ("Failed", "FailFast")
    assert states(space, run) == {"long": "Skipped", "bad": "Failed", "later": "Skipped"}
    [pod] = space.pods_of(run, "long")
    space.eventually(lambda: space.pods_of(run, "long")[0].status.phase == "Failed", "the running task has exited")
    assert pod.metadata.deletion_timestamp is None


@side_by_side
def test_a_pool_of_two_with_ten_tasks_and_a_limit_of_its_own(stage: Stage) -> None:
    space = stage.watched_space("pool-of-two")
    space.pool("two", 2)
    space.dag(
        "ten",
        *(task(f"t{number}", "sleep 1", pool="two", priorityWeight=number + 1) for number in range(10)),
        maxActiveTasks=20,
    )
    watch = PodWatch(space)
    run = space.run("ten")
    space.wait_succeeded(run)
    watch.end()
    assert watch.most_at_once() <= 2
    entries = space.tasks(run)
    queued = [moment(entries[f"t{number}"]["queuedAt"]) for number in reversed(range(10))]
    assert queued == sorted(queued), "the weightiest first"
    assert queued[1] < queued[-2]


@side_by_side
def test_explain_says_what_a_task_waits_for(stage: Stage) -> None:
    space = stage.watched_space("explain")
    space.dag("why", task("first", "true", pool="nope"), task("second", "true", dependsOn=["first"]))
    run = space.run("why")
    space.eventually(lambda: space.task(run, "first").get("message"), "a message")

    def explained(name: str) -> dict[str, str]:
        program = Path(sys.executable).with_name("tradewind")
        words = [str(program), "explain", run, name, "-n", space.name, "-o", "json"]
        env = {**os.environ, "KUBECONFIG": str(space.kubectl.kubeconfig)}
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=True)
        return {reason["rule"]: reason["message"] for reason in json.loads(done.stdout)["reasons"]}

    assert f"waiting for pool 'nope', which does not exist in namespace '{space.name}'" in explained("first")["slots"]
    assert explained("second")["dependsOn"] == "first is Scheduled"
    space.pool("nope", 1)
    space.wait_succeeded(run)
    assert explained("second")["state"] == "it is Succeeded"
