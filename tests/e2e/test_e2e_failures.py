"""Tries that never start, are killed, or time out: each has the reason of Kubernetes."""

from tests.cluster import Manifest, moment
from tests.e2e.pod_watch import has_exited
from tests.e2e.spaces import task
from tests.e2e.stage import Stage, side_by_side


def last_seen(history: list[Manifest], name: str, state: str) -> list[Manifest]:
    """The entries in which a task was seen in a state."""
    entries = [entry for status in history for entry in status.get("tasks", ()) if entry["name"] == name]
    return [entry for entry in entries if entry["state"] == state]


@side_by_side
def test_an_image_that_does_not_exist(stage: Stage) -> None:
    space = stage.watched_space("no-image")
    space.dag("absent", task("absent", "true", image="absent.invalid/nothing:1", queuedTimeout="25s"))
    history = space.history_of(space.run("absent", "absent"))

    waiting = last_seen(history, "absent", "Queued")
    reasons = {entry.get("reason") for entry in waiting} - {None}
    assert reasons
    assert reasons <= {"ErrImagePull", "ImagePullBackOff"}, reasons
    assert any("absent.invalid/nothing:1" in entry.get("message", "") for entry in waiting)
    failed = space.task("absent", "absent")
    assert failed["state"] == "Failed"
    assert failed["reason"] in ("ErrImagePull", "ImagePullBackOff")
    assert "did not start within queuedTimeout (25s)" in failed["message"]
    assert 25 <= (moment(failed["finishedAt"]) - moment(failed["queuedAt"])).total_seconds() < 240
    space.eventually(lambda: not space.pods_of("absent"), "the Pod is gone")


@side_by_side
def test_a_pod_that_fits_nowhere(stage: Stage) -> None:
    space = stage.watched_space("no-room")
    space.dag(
        "huge", task("huge", "true", queuedTimeout="10s", resources={"requests": {"cpu": "1000"}}, retries={"limit": 0})
    )
    history = space.history_of(space.run("huge", "huge"))
    assert {entry.get("reason") for entry in last_seen(history, "huge", "Queued")} >= {"Unschedulable"}
    failed = space.task("huge", "huge")
    assert (failed["state"], failed["reason"]) == ("Failed", "Unschedulable")
    assert "Insufficient cpu" in failed["message"]


@side_by_side
def test_memory_beyond_the_limit(stage: Stage) -> None:
    space = stage.watched_space("oom")
    space.dag("hungry", task("hungry", "tail /dev/zero", resources={"limits": {"memory": "16Mi"}}))
    run = space.run("hungry")
    assert space.wait_finished(run)["phase"] == "Failed"
    failed = space.task(run, "hungry")
    assert (failed["reason"], failed["exitCode"]) == ("OOMKilled", 137)
    assert "more memory than its limit" in failed["message"]


@side_by_side
def test_a_timeout_leaves_time_to_clean_up_and_keeps_the_log(stage: Stage) -> None:
    space = stage.watched_space("timeout")
    polite = "trap 'echo cleaning up; sleep 1; echo cleaned up; exit 0' TERM; echo started; while :; do sleep 0.2; done"
    stubborn = "trap '' TERM; echo started; while :; do sleep 0.2; done"
    grace = {"spec": {"terminationGracePeriodSeconds": 4}}
    space.dag(
        "slow",
        task("polite", polite, timeout="2s"),
        task("stubborn", stubborn, timeout="2s", podTemplate={"spec": {"terminationGracePeriodSeconds": 1}}),
        podTemplate=grace,
    )
    run = space.run("slow")
    assert space.wait_finished(run)["phase"] == "Failed"
    for name in ("polite", "stubborn"):
        entry = space.task(run, name)
        assert (entry["state"], entry["reason"]) == ("Failed", "Timeout"), entry
        assert "ran longer than timeout (2s)" in entry["message"]
        assert 2 <= (moment(entry["finishedAt"]) - moment(entry["startedAt"])).total_seconds() < 60
    [pod] = space.pods_of(run, "polite")
    assert space.kubectl.run("logs", pod.metadata.name) == "started\ncleaning up\ncleaned up\n"
    [pod] = space.pods_of(run, "stubborn")
    assert space.kubectl.run("logs", pod.metadata.name) == "started\n"


@side_by_side
def test_a_timed_out_try_is_retried(stage: Stage) -> None:
    space = stage.watched_space("retimed")
    script = '[ "$TRADEWIND_TRY" = 2 ] || sleep 60'
    space.dag("slow", task("slow", script, timeout="2s", retries={"limit": 1, "delay": "0s"}))
    run = space.run("slow")
    space.wait_succeeded(run)
    entry = space.task(run, "slow")
    assert entry["try"] == 2
    assert [(past["state"], past["reason"]) for past in entry["tries"]] == [("Failed", "Timeout")]


@side_by_side
def test_a_run_that_exceeds_run_timeout_fails(stage: Stage) -> None:
    space = stage.watched_space("run-timeout")
    space.dag("endless", task("endless", "sleep 600"), task("after", "true", "endless"), runTimeout="3s")
    run = space.run("endless")
    status = space.wait_finished(run)
    assert (status["phase"], status["reason"]) == ("Failed", "RunTimeout")
    assert {entry["state"] for entry in status["tasks"]} == {"Skipped"}
    space.eventually(lambda: all(map(has_exited, space.pods_of(run))), "its Pod has finished")


@side_by_side
def test_exit_codes(stage: Stage) -> None:
    space = stage.watched_space("codes")
    retries = {"limit": 3, "delay": "0s"}
    space.dag(
        "codes",
        task("skipped", "exit 99", retries=retries),
        task("fatal", "echo cannot be helped; exit 2", failExitCodes=[2], retries=retries),
        task("hopeless", "echo no luck in try $TRADEWIND_TRY; exit 7", retries={"limit": 1, "delay": "0s"}),
        task("not-json", "echo '{' >$TRADEWIND_OUTPUT"),
    )
    run = space.run("codes")
    status = space.wait_finished(run)
    entries = space.tasks(run)
    assert {name: entry["state"] for name, entry in entries.items()} == {
        "skipped": "Skipped",
        "fatal": "Failed",
        "hopeless": "Failed",
        "not-json": "Failed",
    }
    assert (entries["skipped"]["try"], entries["fatal"]["try"], entries["hopeless"]["try"]) == (1, 1, 2)
    assert entries["fatal"]["message"] == "cannot be helped"
    assert entries["hopeless"]["message"] == "no luck in try 2"
    assert entries["not-json"]["reason"] == "InvalidOutput"
    assert status["message"] == "failed: fatal, hopeless, not-json"


@side_by_side
def test_a_pod_that_the_namespace_refuses(stage: Stage) -> None:
    """The namespace allows only restricted Pods: the API server's own words say what is wrong."""
    space = stage.watched_space("refused")
    root = {"spec": {"securityContext": {"runAsNonRoot": False, "runAsUser": 0}}}
    space.dag("rooted", task("rooted", "true", podTemplate=root, retries={"limit": 5}))
    run = space.run("rooted")
    assert space.wait_finished(run)["phase"] == "Failed"
    entry = space.task(run, "rooted")
    assert (entry["reason"], entry["try"]) == ("Forbidden", 1)
    assert "violates PodSecurity" in entry["message"]
    assert not space.pods_of(run)
