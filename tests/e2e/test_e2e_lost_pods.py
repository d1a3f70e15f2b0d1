"""Deleted Pods: results of finished tries are kept, other tries run again."""

import threading
import time
from typing import Any

import kubernetes
import urllib3

from tests.e2e.controller_process import Controllers
from tests.e2e.pod_watch import has_exited
from tests.e2e.spaces import Space, task
from tests.e2e.stage import Stage, side_by_side

FINALIZER = "tradewind.dev/result"
QUICK_TASKS = 10
OUTPUT_SEVEN = "echo 7 >$TRADEWIND_OUTPUT"


class DeleteTheFinished(threading.Thread):
    """Deletes every Pod of a run the moment its container has exited."""

    def __init__(self, space: Space, run: str) -> None:
        super().__init__(daemon=True)
        self.deleted: set[str] = set()
        self._space, self._run = space, run
        self._ended = False
        self._watch: Any = kubernetes.watch.Watch()  # type: ignore[no-untyped-call]

    def run(self) -> None:
        try:
            self._delete()
        except urllib3.exceptions.HTTPError:
            if not self._ended:
                raise

    def _delete(self) -> None:
        core, name = self._space.witness.core, self._space.name
        selector = f"tradewind.dev/run={self._run}"
        for event in self._watch.stream(core.list_namespaced_pod, name, label_selector=selector, timeout_seconds=600):
            pod = event["object"] if event else None  # the client's end of a watch
            if pod is None:
                continue
            if pod.metadata.name not in self.deleted and has_exited(pod):
                self.deleted.add(pod.metadata.name)
                core.delete_namespaced_pod(pod.metadata.name, name, grace_period_seconds=0)

    def end(self) -> None:
        self._ended = True
        self._watch.stop()


@side_by_side
def test_a_pod_deleted_while_running_is_lost_and_made_again(stage: Stage) -> None:
    space, _ = stage.space_and_controller("lost")
    space.dag("steady", task("steady", '[ "$TRADEWIND_TRY" = 2 ] || sleep 60'))
    run = space.run("steady")
    space.wait_state(run, "steady", "Running")
    [pod] = space.pods_of(run)

    space.kubectl.run("delete", "pod", pod.metadata.name, "--grace-period=1", "--wait=false")

    space.wait_succeeded(run)
    steady = space.task(run, "steady")
    assert (steady["try"], steady["lost"]) == (2, 1), "the try does not count: there are no retries to use"
    [lost] = steady["tries"]
    assert (lost["number"], lost["state"], lost["reason"]) == (1, "Lost", "PodDeleted")
    assert any(event.reason == "TryLost" and "PodDeleted" in event.message for event in space.events("DagRun", run))


@side_by_side
def test_a_pod_deleted_before_it_starts_is_made_again(stage: Stage) -> None:
    space, _ = stage.space_and_controller("lost")
    nowhere = {"spec": {"nodeSelector": {"place": "nowhere"}}}
    space.dag("unplaced", task("wait", "true"), podTemplate=nowhere)
    run = space.run("unplaced")
    space.eventually(lambda: space.task(run, "wait").get("reason") == "Unschedulable", "its Pod waits")
    [first] = space.pods_of(run)
    space.witness.core.delete_namespaced_pod(first.metadata.name, space.name)
    space.eventually(lambda: space.task(run, "wait").get("lost") == 1, "the try is lost")
    space.eventually(lambda: [pod for pod in space.pods_of(run) if pod.metadata.name != first.metadata.name], "again")
    assert space.task(run, "wait")["tries"][0]["reason"] == "PodDeleted"


@side_by_side
def test_pods_deleted_the_moment_they_finish_lose_nothing(stage: Stage) -> None:
    space, _ = stage.space_and_controller("lost")
    tasks = [task(f"quick-{i}", f"echo {i} >$TRADEWIND_OUTPUT") for i in range(QUICK_TASKS)]
    space.dag("quick", *tasks, taskDefaults={"image": "busybox:1.36", "retries": {"limit": 0, "onLost": 0}})
    deleter = DeleteTheFinished(space, "quick")
    deleter.start()
    space.run("quick", "quick")

    space.wait_succeeded("quick")

    space.eventually(lambda: not space.pods_of("quick"), "all Pods are gone")
    deleter.end()
    assert len(deleter.deleted) == QUICK_TASKS
    entries = space.tasks("quick")
    assert [entries[f"quick-{i}"]["output"] for i in range(QUICK_TASKS)] == list(range(QUICK_TASKS))
    assert all(entry["try"] == 1 and "lost" not in entry for entry in entries.values())


@side_by_side
def test_onlost_zero_fails_the_task(stage: Stage) -> None:
    space, _ = stage.space_and_controller("lost")
    space.dag("fragile", task("fragile", "sleep 60", retries={"onLost": 0}))
    run = space.run("fragile")
    space.wait_state(run, "fragile", "Running")
    space.witness.core.delete_namespaced_pod(space.pods_of(run)[0].metadata.name, space.name)
    assert space.wait_finished(run)["phase"] == "Failed"
    assert space.task(run, "fragile")["reason"] == "PodDeleted"


def finish_while_no_controller_runs(space: Space, controllers: Controllers, end: str, **spec: Any) -> None:
    """A run whose only Pod ends, and is deleted, while no controller runs."""
    controller = controllers.launch_for(space.name).wait_leading()
    space.dag("alone", task("alone", f"sleep 5; {end}"), **spec)
    space.run("alone", "alone")
    [pod] = space.eventually(lambda: space.pods_of("alone"), "there is a Pod")
    space.eventually(lambda: space.pods_of("alone")[0].status.phase == "Running", "it runs")
    controller.kill()
    space.eventually(lambda: has_exited(space.pods_of("alone")[0]), "the Pod ends")
    space.witness.core.delete_namespaced_pod(pod.metadata.name, space.name)


@side_by_side
def test_the_finalizer_keeps_a_result_that_no_controller_saw(stage: Stage) -> None:
    space = stage.space("finalizer")
    finish_while_no_controller_runs(space, stage.controllers, OUTPUT_SEVEN, resultProtection="Finalizer")
    time.sleep(2)
    [held] = space.pods_of("alone")
    assert held.metadata.finalizers == [FINALIZER]
    assert held.metadata.deletion_timestamp is not None

    stage.controllers.launch_for(space.name)

    space.wait_succeeded("alone")
    entry = space.task("alone", "alone")
    assert (entry["try"], entry["output"], "lost" in entry) == (1, 7, False)
    space.eventually(lambda: not space.pods_of("alone"), "the Pod is really gone")


@side_by_side
def test_the_finalizer_keeps_a_failure_too(stage: Stage) -> None:
    """It was the task that failed: its Pod was deleted only after that."""
    space = stage.space("failure")
    finish_while_no_controller_runs(space, stage.controllers, "exit 3", resultProtection="Finalizer")
    stage.controllers.launch_for(space.name)
    assert space.wait_finished("alone")["phase"] == "Failed"
    entry = space.task("alone", "alone")
    assert (entry["try"], entry["reason"], entry["exitCode"], "lost" in entry) == (1, "Error", 3, False)
    space.eventually(lambda: not space.pods_of("alone"), "the Pod is really gone")


@side_by_side
def test_without_the_finalizer_such_a_try_is_lost(stage: Stage) -> None:
    space = stage.space("no-finalizer")
    finish_while_no_controller_runs(space, stage.controllers, OUTPUT_SEVEN)
    space.eventually(lambda: not space.pods_of("alone"), "the Pod is gone")

    stage.controllers.launch_for(space.name)

    space.wait_succeeded("alone")
    entry = space.task("alone", "alone")
    assert (entry["try"], entry["lost"], entry["output"]) == (2, 1, 7)
    assert entry["tries"][0]["reason"] == "PodVanished"


@side_by_side
def test_finalizers_are_removed_once_the_result_is_recorded(stage: Stage) -> None:
    space, _ = stage.space_and_controller("lost")
    space.dag("guarded", task("first", "true"), task("second", "exit 3", "first"), resultProtection="Finalizer")
    run = space.run("guarded")
    assert space.wait_finished(run)["phase"] == "Failed"
    space.eventually(lambda: not any(p.metadata.finalizers for p in space.pods_of(run)), "no finalizer is left")
    assert len(space.pods_of(run)) == 2


@side_by_side
def test_deleting_an_active_run_leaves_no_pod_with_a_finalizer(stage: Stage) -> None:
    space, _ = stage.space_and_controller("lost")
    space.dag("cut-short", task("long", "sleep 60"), resultProtection="Finalizer")
    run = space.run("cut-short")
    space.wait_state(run, "long", "Running")
    assert space.pods_of(run)[0].metadata.finalizers == [FINALIZER]
    space.witness.delete(space.name, "dagruns", run)
    space.eventually(lambda: not space.pods_of(run), "its Pod is gone")


@side_by_side
def test_a_namespace_with_guarded_pods_goes(stage: Stage) -> None:
    """Its own controller runs while the namespace ends, as it would in a real cluster."""
    space, _ = stage.space_and_controller("goes")
    space.dag("guarded", task("long", "sleep 60"), resultProtection="Finalizer")
    run = space.run("guarded")
    space.wait_state(run, "long", "Running")
    space.delete()
    space.wait_gone(60)
