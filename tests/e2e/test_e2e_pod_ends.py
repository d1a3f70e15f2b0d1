"""Stopped Pods keep their logs; sidecars of a task do not delay its run; tasks wait for a full cluster."""

from typing import Any

from tests.e2e.asking import ask_and_wait
from tests.e2e.spaces import Space, task
from tests.e2e.stage import Stage, side_by_side

SAYS = "trap 'echo saved; exit 0' TERM; echo began; while :; do sleep 0.2; done"
ENDED = "tradewind.dev/ended"


def ended_pod(space: Space, run: str, name: str) -> Any:
    """The Pod of a task, once it has finished."""

    def over() -> Any:
        [pod] = space.pods_of(run, name)
        return pod if pod.status.phase in ("Succeeded", "Failed") else None

    return space.eventually(over, f"the Pod of {name} has finished")


def kept(space: Space, run: str, name: str, why: str) -> None:
    """The Pod of a task was stopped for a reason, by SIGTERM, and has its log."""
    pod = ended_pod(space, run, name)
    assert (pod.metadata.annotations[ENDED], pod.metadata.deletion_timestamp) == (why, None)
    assert pod.status.reason == "DeadlineExceeded"
    assert space.log(pod.metadata.name) == "began\nsaved\n"


@side_by_side
def test_a_run_that_is_stopped_keeps_its_logs(stage: Stage) -> None:
    space = stage.watched_space("ends-stop")
    space.dag("long", task("long", SAYS), podTemplate={"spec": {"terminationGracePeriodSeconds": 20}})
    run = space.run("long")
    space.wait_state(run, "long", "Running")
    space.eventually(lambda: "began" in space.log(space.pods_of(run, "long")[0].metadata.name), "it says so")
    ask_and_wait(space, run, "Stop")
    assert space.wait_finished(run)["reason"] == "Stopped"
    kept(space, run, "long", "Stopped")
    assert space.task(run, "long")["state"] == "Skipped"


@side_by_side
def test_one_that_fails_fast_keeps_them_too(stage: Stage) -> None:
    space = stage.watched_space("ends-fast")
    bad = "sleep 4; exit 1"
    grace = {"spec": {"terminationGracePeriodSeconds": 20}}
    space.dag(
        "fast", task("long", SAYS), task("bad", bad), failFast=True, podTemplate=grace, resultProtection="Finalizer"
    )
    run = space.run("fast")
    assert space.wait_finished(run)["reason"] == "FailFast"
    kept(space, run, "long", "FailFast")
    space.eventually(lambda: not space.pods_of(run, "long")[0].metadata.finalizers, "its finalizer is removed")


@side_by_side
def test_a_task_that_exceeds_its_timeout_keeps_its_log_even_if_it_ignores_sigterm(stage: Stage) -> None:
    space = stage.watched_space("ends-late")
    space.dag("late", task("long", "trap '' TERM; echo began; while :; do sleep 0.2; done"), runTimeout="6s")
    run = space.run("late")
    assert space.wait_finished(run)["reason"] == "RunTimeout"
    pod = ended_pod(space, run, "long")
    assert space.log(pod.metadata.name) == "began\n"
    assert pod.status.container_statuses[0].state.terminated.exit_code == 137


@side_by_side
def test_a_classic_sidecar_ends_after_its_task(stage: Stage) -> None:
    space = stage.watched_space("ends-sidecar")
    proxy = {"name": "proxy", "image": "busybox:1.36", "command": ["sh", "-c", "while :; do sleep 0.2; done"]}
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    template = {"spec": {"terminationGracePeriodSeconds": 1, "containers": [{**proxy, "securityContext": restricted}]}}
    quick, slow = 'echo done; echo 42 >"$TRADEWIND_OUTPUT"', "sleep 25"
    space.dag("meshed", task("quick", quick), task("bad", "echo why; exit 3"), task("slow", slow), podTemplate=template)
    run = space.run("meshed")
    space.wait_state(run, "quick", "Succeeded")
    assert space.status(run)["phase"] == "Running"
    pod = ended_pod(space, run, "quick")
    assert (pod.metadata.annotations[ENDED], pod.metadata.deletion_timestamp) == ("Sidecars", None)
    log = space.witness.core.read_namespaced_pod_log(pod.metadata.name, space.name, container="task")
    assert log == "done\n"
    space.wait_finished(run)
    entries = {name: space.task(run, name) for name in ("quick", "bad", "slow")}
    assert {name: entry["state"] for name, entry in entries.items()} == {
        "quick": "Succeeded",
        "bad": "Failed",
        "slow": "Succeeded",
    }
    assert (entries["quick"]["output"], entries["bad"]["exitCode"], entries["bad"]["message"]) == (
        42,
        3,
        "why\n".strip(),
    )
    assert {entry["try"] for entry in entries.values()} == {1}


@side_by_side
def test_an_init_container_that_fails_says_why(stage: Stage) -> None:
    space = stage.watched_space("ends-init")
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    fetch = {"name": "fetch", "image": "busybox:1.36", "command": ["sh", "-c", "echo no such bucket; exit 3"]}
    space.dag(
        "init", task("t", "true", podTemplate={"spec": {"initContainers": [{**fetch, "securityContext": restricted}]}})
    )
    run = space.run("init")
    space.wait_finished(run)
    entry = space.task(run, "t")
    assert entry["reason"] == "InitContainerFailed"
    assert entry["message"] == "init container 'fetch' ended with exit code 3: no such bucket"


@side_by_side
def test_tasks_wait_for_a_full_cluster_with_an_event(stage: Stage) -> None:
    space = stage.watched_space("ends-full")
    much = {"requests": {"cpu": "1000"}}
    space.dag("waits", task("huge", "true", resources=much))
    space.dag("limited", task("huge", "true", resources=much, queuedTimeout="40s"))
    waits, limited = space.run("waits"), space.run("limited")
    assert space.wait_finished(limited)["phase"] == "Failed"
    assert space.task(limited, "huge")["reason"] == "Unschedulable"
    status = space.status(waits)
    assert status["phase"] == "Running"
    assert status["message"].startswith("huge is waiting: Unschedulable: 0/1 nodes are available")

    def events() -> list[str]:
        return [event.message for event in space.events("DagRun", waits) if event.reason == "TaskWaiting"]

    space.eventually(events, "an Event says so")
    assert len(events()) == 1
    assert events()[0].startswith("huge has been waiting for 30s: Unschedulable: ")


@side_by_side
def test_a_pod_that_cannot_be_created_has_an_event_too(stage: Stage) -> None:
    space = stage.watched_space("ends-refused")
    account = {"spec": {"serviceAccountName": "does-not-exist"}}
    space.dag("refused", task("t", "true", podTemplate=account, queuedTimeout="20s"))
    run = space.run("refused")
    message = space.eventually(lambda: space.status(run).get("message"), "it says why")
    assert message.startswith("t is waiting: Forbidden: ")
    assert 'serviceaccount "does-not-exist" not found' in message
    assert space.wait_finished(run)["phase"] == "Failed"
    assert space.task(run, "t")["reason"] == "Forbidden"
