"""Reports on a try from the state of its Pod, in particular whether its failure is the task's fault."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.controller.kubelet_pods import DELETED, PENDING, RUNNING, pod, terminated
from tradewind.cache.observation import has_stopped, is_finished, observe, run_uid_of, try_of
from tradewind.cache.resources import PodObject
from tradewind.engine.run.tries import HeldBy, TryEvent, TryKey, TryReport

pytestmark = pytest.mark.unit

STARTED = datetime(2026, 3, 1, 6, 0, 5, tzinfo=UTC)


def seen(found: PodObject, *, gone: bool = False) -> TryReport:
    report = observe(found, gone=gone)
    assert report is not None
    assert (report.task, report.number) == ("extract", 1)
    assert is_finished(found) or report.event not in (TryEvent.ENDED, TryEvent.LOST) or gone
    return report


def summary(found: PodObject, *, gone: bool = False) -> tuple[TryEvent, str | None, int | None]:
    report = seen(found, gone=gone)
    return report.event, report.reason, report.exit_code


def disrupted(reason: str) -> str:
    return f'conditions: [{{type: DisruptionTarget, status: "True", reason: {reason}}}]'


def gone(by: str, message: str) -> str:
    return f'conditions: [{{type: DisruptionTarget, status: "True", reason: DeletionBy{by}, message: "{message}"}}]'


# On its way ---------------------------------------------------------------------------------------------------------


def test_a_pod_that_was_just_created() -> None:
    assert summary(pod("phase: Pending", node=None)) == (TryEvent.CREATED, None, None)
    assert summary(pod(PENDING)) == (TryEvent.CREATED, None, None)


def test_a_running_container() -> None:
    report = seen(pod(RUNNING))
    assert (report.event, report.started_at) == (TryEvent.RUNNING, STARTED)


@pytest.mark.parametrize(
    "reason", ["ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError", "InvalidImageName"]
)
def test_a_container_that_cannot_start_says_why(reason: str) -> None:
    state = f"{{waiting: {{reason: {reason}, message: what went wrong}}}}"
    report = seen(pod(f"phase: Pending\ncontainerStatuses: [{{name: task, state: {state}}}]"))
    assert (report.event, report.reason, report.message) == (TryEvent.CREATED, reason, "what went wrong")


def test_a_pod_that_finds_no_node_says_why() -> None:
    condition = '{type: PodScheduled, status: "False", reason: Unschedulable, message: "0/3 nodes are available"}'
    report = seen(pod(f"phase: Pending\nconditions: [{condition}]", node=None))
    assert (report.event, report.reason, report.message) == (
        TryEvent.CREATED,
        "Unschedulable",
        "0/3 nodes are available",
    )


def test_an_init_container_that_cannot_start_says_why() -> None:
    status = """
phase: Pending
initContainerStatuses: [{name: fetch, state: {waiting: {reason: ImagePullBackOff, message: no such image}}}]
containerStatuses: [{name: task, state: {waiting: {reason: PodInitializing}}}]
"""
    assert seen(pod(status)).reason == "ImagePullBackOff"


# Ended by itself ----------------------------------------------------------------------------------------------------


def test_success_with_an_output() -> None:
    report = seen(pod(terminated(0, "Completed", message='{"rows": 3}', phase="Succeeded")))
    assert (report.event, report.exit_code, report.output) == (TryEvent.ENDED, 0, '{"rows": 3}')
    assert (report.reason, report.message) == (None, None)
    assert report.started_at == STARTED
    assert report.finished_at == datetime(2026, 3, 1, 6, 0, 50, tzinfo=UTC)


def test_failure_with_its_last_words() -> None:
    report = seen(pod(terminated(3, "Error", message="KeyError: region\n")))
    assert (report.event, report.exit_code, report.reason) == (TryEvent.ENDED, 3, None)
    assert (report.message, report.output) == ("KeyError: region", None)


def test_too_much_memory_is_the_tasks_own_fault() -> None:
    report = seen(pod(terminated(137, "OOMKilled", message="reading…")))
    assert (report.event, report.reason, report.exit_code) == (TryEvent.ENDED, "OOMKilled", 137)
    assert report.message == "used more memory than its limit. reading…"


@pytest.mark.parametrize("exit_code", [137, 143, 0])
def test_the_deadline_of_the_pod(exit_code: int) -> None:
    more = "reason: DeadlineExceeded\nmessage: Pod was active on the node longer than the specified deadline"
    report = seen(pod(terminated(exit_code, "Error", more=more)))
    assert (report.event, report.reason) == (TryEvent.ENDED, "DeadlineExceeded")


@pytest.mark.parametrize(("exit_code", "seconds", "reason"), [(0, 3600, None), (3, 3600, None), (143, 60, "Deadline")])
def test_what_is_beside_a_task_exceeds_the_deadline_alone(exit_code: int, seconds: int, reason: str | None) -> None:
    """A sidecar ran for another hour, while no controller was running to stop it."""
    found = pod(terminated(exit_code, "Error", finished="06:02:00", more="reason: DeadlineExceeded"))
    found.spec.active_deadline_seconds = seconds
    assert summary(found) == (TryEvent.ENDED, reason and "DeadlineExceeded", exit_code)


def test_the_deadline_before_the_container_started() -> None:
    status = "phase: Failed\nreason: DeadlineExceeded\nmessage: Pod was active on the node longer than the deadline"
    assert summary(pod(status)) == (TryEvent.ENDED, "DeadlineExceeded", None)


def test_a_program_that_cannot_be_started() -> None:
    report = seen(pod(terminated(128, "StartError", message="exec: nope: not found")))
    assert (report.event, report.reason, report.exit_code) == (TryEvent.ENDED, "StartError", 128)


def test_a_container_whose_kubelet_went_away_while_it_was_made() -> None:
    message = "failed to create containerd task: failed to create shim task: context canceled: unknown"
    made = terminated(128, "StartError", message=message).replace("2026-03-01T06:00:05Z", "1970-01-01T00:00:00Z")
    report = seen(pod(made))
    assert (report.event, report.reason, report.message) == (TryEvent.LOST, "StartError", "context canceled")
    assert report.started_at is None


def test_an_init_container_that_failed() -> None:
    status = """
phase: Failed
initContainerStatuses: [{name: fetch, state: {terminated: {exitCode: 2, reason: Error, message: no such bucket}}}]
containerStatuses: [{name: task, state: {waiting: {reason: PodInitializing}}}]
"""
    report = seen(pod(status))
    assert (report.event, report.reason) == (TryEvent.ENDED, "InitContainerFailed")
    assert report.message == "init container 'fetch' ended with exit code 2: no such bucket"


def test_a_running_sidecar_does_not_keep_the_task_from_ending() -> None:
    status = terminated(0, "Completed", phase="Running") + "- {name: proxy, state: {running: {}}}\n"
    assert summary(pod(status)) == (TryEvent.ENDED, None, 0)


def test_a_pod_stops_with_its_last_container() -> None:
    ended = terminated(0, "Completed", phase="Running")
    assert has_stopped(pod(ended)), "the kubelet tells the phase later"
    assert not has_stopped(pod(ended + "- {name: proxy, state: {running: {}}}\n"))
    assert not has_stopped(pod(RUNNING)) and not has_stopped(pod(PENDING)) and not has_stopped(pod("phase: Pending"))
    assert has_stopped(pod("phase: Failed"))


def test_a_sidecar_that_ended_is_not_the_task() -> None:
    status = RUNNING + "- {name: proxy, state: {terminated: {exitCode: 1, reason: Error}}}\n"
    assert seen(pod(status)).event is TryEvent.RUNNING


def test_a_succeeded_pod_whose_container_state_is_missing() -> None:
    assert summary(pod("phase: Succeeded")) == (TryEvent.ENDED, None, 0)


# Lost to its surroundings -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["Error", "ContainerStatusUnknown"])
def test_an_evicted_pod(reason: str) -> None:
    more = "reason: Evicted\nmessage: 'The node was low on resource: memory. '"
    report = seen(pod(terminated(137, reason, more=more)))
    assert (report.event, report.reason) == (TryEvent.LOST, "Evicted")
    assert report.message == "The node was low on resource: memory."


def test_an_evicted_pod_that_had_not_started() -> None:
    assert summary(pod("phase: Failed\nreason: Evicted\nmessage: 'The node was low on resource: memory.'")) == (
        TryEvent.LOST,
        "Evicted",
        None,
    )


@pytest.mark.parametrize(
    "reason", ["OutOfcpu", "OutOfmemory", "OutOfpods", "UnexpectedAdmissionError", "NodeAffinity", "NodeShutdown"]
)
def test_a_pod_that_the_kubelet_refused(reason: str) -> None:
    report = seen(pod(f"phase: Failed\nreason: {reason}\nmessage: Pod was rejected"))
    assert (report.event, report.reason, report.message) == (TryEvent.LOST, reason, "Pod was rejected")


@pytest.mark.parametrize(
    "reason", ["PreemptionByScheduler", "EvictionByEvictionAPI", "DeletionByTaintManager", "TerminationByKubelet"]
)
def test_a_pod_that_had_to_make_way(reason: str) -> None:
    found = pod(terminated(143, "Error", more=disrupted(reason), finished="06:01:05"), **DELETED)
    assert summary(found) == (TryEvent.LOST, reason, 143)


def test_a_node_that_is_deleted() -> None:
    why = "PodGC: node no longer exists"
    found = pod(terminated(137, "ContainerStatusUnknown", message="could not be located", more=gone("PodGC", why)))
    report = seen(found)
    assert (report.event, report.reason, report.message) == (TryEvent.LOST, "DeletionByPodGC", why)
    assert report.exit_code is None, "the kubelet has made it up"


def test_a_container_that_the_kubelet_lost_though_no_one_took_the_pod() -> None:
    found = pod(terminated(137, "ContainerStatusUnknown", message="could not be located"))
    assert summary(found) == (TryEvent.LOST, "NodeLost", None)
    assert seen(found).message == "could not be located"


def test_a_pod_that_a_user_deleted_and_whose_container_the_kubelet_lost() -> None:
    """The last state of a Pod that was deleted while its image could not be pulled."""
    made_up = "The container could not be located when the pod was terminated"
    for finished in ("06:01:03", "06:01:30"):
        found = pod(terminated(137, "ContainerStatusUnknown", message=made_up, finished=finished), **DELETED)
        report = seen(found)
        assert (report.event, report.reason, report.exit_code) == (TryEvent.LOST, "PodDeleted", None)
        assert report.message == "its Pod was deleted; the exit code of its container is unknown"


# Exit code 0 of a Pod that was to go --------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["PreemptionByScheduler", "EvictionByEvictionAPI", "DeletionByTaintManager"])
@pytest.mark.parametrize("finished", ["06:01:00", "06:01:02", "06:01:30"])
def test_a_container_that_ended_politely_when_it_was_stopped(reason: str, finished: str) -> None:
    status = terminated(0, "Completed", phase="Succeeded", finished=finished, message="{}", more=disrupted(reason))
    for gone_for_good in (False, True):
        report = seen(pod(status, **DELETED), gone=gone_for_good)
        assert (report.event, report.exit_code, report.deletion) == (TryEvent.ENDED, 0, reason)
        assert report.output == "{}", "for a task that says that it has done its work then"


def test_a_container_that_ended_politely_when_a_user_deleted_its_pod() -> None:
    found = pod(terminated(0, "Completed", phase="Succeeded", finished="06:01:01"), **DELETED)
    assert seen(found).deletion == "PodDeleted"


@pytest.mark.parametrize("more", ["", disrupted("PreemptionByScheduler")])
def test_success_before_the_deletion_is_success(more: str) -> None:
    found = pod(terminated(0, "Completed", phase="Succeeded", finished="06:00:59", more=more), **DELETED)
    for gone_for_good in (False, True):
        report = seen(found, gone=gone_for_good)
        assert (report.event, report.exit_code, report.deletion) == (TryEvent.ENDED, 0, None)


def test_a_pod_that_was_deleted_when_it_had_finished_has_no_grace_period() -> None:
    """Cleaning up in the very second in which it ended: with a finalizer it is still there."""
    at_once: dict[str, Any] = {"deletionTimestamp": "2026-03-01T06:01:00Z", "deletionGracePeriodSeconds": 0}
    assert seen(pod(terminated(0, "Completed", finished="06:01:00", phase="Succeeded"), **at_once)).deletion is None
    assert seen(pod(terminated(0, "Completed", finished="06:01:01", phase="Succeeded"), **at_once)).deletion


def test_a_disruption_that_did_not_come_is_none() -> None:
    status = terminated(0, "Completed", phase="Succeeded", more=disrupted("PreemptionByScheduler"))
    assert seen(pod(status)).deletion is None


# Clocks of nodes ----------------------------------------------------------------------------------------------------


def test_a_node_whose_clock_is_behind() -> None:
    """It saw the Pod five minutes before it was created."""
    created = {"creationTimestamp": "2026-03-01T06:05:00Z"}
    running = seen(pod(RUNNING, **created))
    assert running.started_at == datetime(2026, 3, 1, 6, 5, 5, tzinfo=UTC)
    assert running.created_at == datetime(2026, 3, 1, 6, 5, tzinfo=UTC)
    ended = seen(pod(terminated(1, "Error"), **created))
    assert ended.started_at == datetime(2026, 3, 1, 6, 5, 5, tzinfo=UTC)
    assert ended.finished_at == datetime(2026, 3, 1, 6, 5, 50, tzinfo=UTC)


def test_a_polite_end_on_a_node_whose_clock_is_behind() -> None:
    created = {"creationTimestamp": "2026-03-01T06:00:30Z"}
    found = pod(terminated(0, "Completed", finished="06:00:40", phase="Succeeded"), **created, **DELETED)
    assert seen(found).deletion == "PodDeleted", "by the API server's clock it was 06:01:10"
    assert seen(pod(terminated(0, "Completed", finished="06:00:40", phase="Succeeded"), **DELETED)).deletion is None


# Deleted ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exit_code", "finished"), [(143, "06:01:02"), (137, "06:01:30"), (1, "06:01:01"), (137, "06:01:00")]
)
def test_a_container_that_was_killed_by_the_deletion_of_its_pod(exit_code: int, finished: str) -> None:
    found = pod(terminated(exit_code, "Error", finished=finished), **DELETED)
    assert summary(found) == (TryEvent.LOST, "PodDeleted", exit_code)


@pytest.mark.parametrize(("exit_code", "finished"), [(1, "06:00:59"), (137, "06:00:30"), (1, "06:01:00")])
def test_a_failure_before_the_deletion_is_the_tasks_own(exit_code: int, finished: str) -> None:
    found = pod(terminated(exit_code, "Error", finished=finished), **DELETED)
    for gone in (False, True):
        assert summary(found, gone=gone) == (TryEvent.ENDED, None, exit_code)


def test_a_deadline_is_not_a_deletion() -> None:
    found = pod(terminated(143, "Error", finished="06:01:02", more="reason: DeadlineExceeded"), **DELETED)
    assert summary(found) == (TryEvent.ENDED, "DeadlineExceeded", 143)


def test_a_pod_that_is_being_deleted_still_runs() -> None:
    assert seen(pod(RUNNING, **DELETED)).event is TryEvent.RUNNING


def test_a_pod_that_vanished() -> None:
    running, waiting = seen(pod(RUNNING, **DELETED), gone=True), seen(pod(PENDING), gone=True)
    assert (running.event, running.reason) == (TryEvent.LOST, "PodDeleted")
    assert running.message == "its Pod was deleted while running"
    assert waiting.message == "its Pod was deleted while waiting to start"


def test_a_pod_that_is_deleted_before_it_found_a_node_never_starts() -> None:
    assert summary(pod("phase: Pending", node=None, **DELETED)) == (TryEvent.LOST, "PodDeleted", None)


def test_an_init_container_that_was_killed_by_the_deletion_of_its_pod() -> None:
    status = """
phase: Failed
initContainerStatuses:
- {name: fetch, state: {terminated: {exitCode: 143, reason: Error, finishedAt: "2026-03-01T06:01:02Z"}}}
containerStatuses: [{name: task, state: {waiting: {reason: PodInitializing}}}]
"""
    assert summary(pod(status, **DELETED), gone=True) == (TryEvent.LOST, "PodDeleted", None)


def test_an_init_container_that_was_ended_with_its_node() -> None:
    status = f"""
phase: Failed
{disrupted("DeletionByTaintManager")}
initContainerStatuses: [{{name: fetch, state: {{terminated: {{exitCode: 137, reason: Error}}}}}}]
containerStatuses: [{{name: task, state: {{waiting: {{reason: PodInitializing}}}}}}]
"""
    assert summary(pod(status)) == (TryEvent.LOST, "DeletionByTaintManager", None)


# Whose Pod it is ----------------------------------------------------------------------------------------------------


def test_pods_are_known_by_their_labels_and_owner() -> None:
    assert try_of(pod()) == TryKey("extract", None, 1)
    assert run_uid_of(pod()) == "run-uid"
    stranger = pod(labels={"tradewind.dev/task": "extract", "tradewind.dev/try": "one"}, ownerReferences=[])
    assert (try_of(stranger), run_uid_of(stranger), observe(stranger, gone=False)) == (None, None, None)
    other = [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u", "controller": True}]
    assert run_uid_of(pod(ownerReferences=other)) is None


# Pods that the controller stopped by their deadline ------------------------------------------------------------------

DEADLINE = "reason: DeadlineExceeded\nmessage: Pod was active on the node longer than the specified deadline"


def ended_for(why: str) -> dict[str, Any]:
    return {"annotations": {"tradewind.dev/ended": why}}


@pytest.mark.parametrize("why", ["Stopped", "FailFast", "RunTimeout", "Superseded"])
@pytest.mark.parametrize(("exit_code", "more"), [(143, DEADLINE), (137, DEADLINE), (0, DEADLINE), (143, "")])
def test_one_that_was_ended_for_another_reason_was_lost_and_not_too_slow(why: str, exit_code: int, more: str) -> None:
    """Also before the kubelet says why, and if the container is polite."""
    found = pod(terminated(exit_code, "Error", more=more), **ended_for(why))
    assert summary(found) == (TryEvent.LOST, why, exit_code)


def test_what_ended_well_before_the_kubelet_came_to_it_ended_well() -> None:
    found = pod(terminated(0, "Completed", message="[1]", phase="Succeeded"), **ended_for("Stopped"))
    assert (summary(found), seen(found).output) == ((TryEvent.ENDED, None, 0), "[1]")


@pytest.mark.parametrize("why", ["Timeout", "SensorTimeout"])
@pytest.mark.parametrize("more", [DEADLINE, ""])
def test_one_that_was_ended_for_its_own_limit_has_exceeded_it(why: str, more: str) -> None:
    assert summary(pod(terminated(143, "Error", more=more), **ended_for(why))) == (
        TryEvent.ENDED,
        "DeadlineExceeded",
        143,
    )


@pytest.mark.parametrize(("exit_code", "reason"), [(0, "Completed"), (1, "Error"), (137, "OOMKilled")])
def test_one_that_was_ended_for_its_sidecars_says_how_its_task_went(exit_code: int, reason: str) -> None:
    alone = seen(pod(terminated(exit_code, reason, message="[1]")))
    assert seen(pod(terminated(exit_code, reason, message="[1]", more=DEADLINE), **ended_for("Sidecars"))) == alone


def test_one_that_was_ended_while_its_init_container_ran() -> None:
    status = f"phase: Failed\n{DEADLINE}"
    assert summary(pod(status, **ended_for("FailFast"))) == (TryEvent.LOST, "FailFast", None)
    assert summary(pod(status, **ended_for("Timeout"))) == (TryEvent.ENDED, "DeadlineExceeded", None)
    assert summary(pod(status)) == (TryEvent.ENDED, "DeadlineExceeded", None)


# Why a Pod has not started --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "node", "held_by"),
    [
        ("", None, HeldBy.CLUSTER),
        ("", "node-1", None),
        ('{type: PodScheduled, status: "True", lastTransitionTime: "2026-03-01T06:00:05Z"}', "node-1", None),
        ('{type: PodScheduled, status: "False", reason: Unschedulable, message: full}', None, HeldBy.CLUSTER),
        ('{type: PodScheduled, status: "False", reason: SchedulingGated}', None, HeldBy.GATES),
        (
            '{type: PodScheduled, status: "False", reason: Unschedulable, message: \'0/1 nodes are available: '
            'persistentvolumeclaim "data" not found. preemption: 0/1\'}',
            None,
            None,
        ),
    ],
)
def test_whose_affair_it_is(condition: str, node: str | None, held_by: HeldBy | None) -> None:
    report = seen(pod(f"phase: Pending\nconditions: [{condition}]", node=node))
    assert (report.event, report.held_by) == (TryEvent.CREATED, held_by)
    assert report.held_since == (STARTED if "True" in condition else None)
