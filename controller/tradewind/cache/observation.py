"""Derives a report on a try from the state of its Pod.

The hard part is to distinguish a failure of the task from a lost try (evicted, preempted, node lost, Pod deleted): only
a failure uses up a retry.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from tradewind.api import names
from tradewind.cache.resources import ContainerStatus, PodCondition, PodObject, Terminated
from tradewind.cache.runtime_errors import in_short
from tradewind.engine.run.tries import HeldBy, TryEvent, TryKey, TryReport

# Values of status.reason of a Pod that failed through no fault of its containers: the kubelet or a controller
# terminated or rejected it. (kubelet: eviction, admission, node shutdown; scheduler: preemption; podgc: node deleted)
_LOST_REASONS = frozenset(
    [
        "Evicted",
        "NodeLost",
        "NodeShutdown",
        "Terminated",
        "Shutdown",
        "Preempting",
        "Preempted",
        "UnexpectedAdmissionError",
        "NodeAffinity",
        "NodePorts",
        "OutOfcpu",
        "OutOfmemory",
        "OutOfpods",
        "OutOfephemeral-storage",
        "PodLost",
    ]
)
_NOT_STARTED = frozenset({"", "ContainerCreating", "PodInitializing"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""The start time that the kubelet reports for a container that never started."""
_KILLED = frozenset({137, 143})
_UNKNOWN = "ContainerStatusUnknown"
"""Reason of a container that the kubelet could not find when its Pod was terminated."""
POD_DELETED = "PodDeleted"
"""Reason of a try whose Pod was deleted by a user or another program."""
_NO_SUCH_CLAIM = re.compile(r'persistentvolumeclaim "[^"]*" not found')
"""Part of a message of the scheduler."""
_START_CANCELLED = "context canceled"
"""Part of the message of a StartError: the kubelet exited while it created the container, whose process was then
stopped."""


def try_of(pod: PodObject) -> TryKey | None:
    """Return the try of a Pod; None if its labels do not identify one."""
    labels = pod.metadata.labels
    task, number = labels.get(names.LABEL_TASK), labels.get(names.LABEL_TRY, "")
    index, poke = labels.get(names.LABEL_INDEX), labels.get(names.LABEL_POKE, "0")
    if not task or not number.isdecimal() or not poke.isdecimal() or not (index is None or index.isdecimal()):
        return None
    return TryKey(task, None if index is None else int(index), int(number), int(poke))


def run_uid_of(pod: PodObject) -> str | None:
    """Return the UID of the DagRun that owns the Pod."""
    for owner in pod.metadata.owner_references:
        if owner.kind == "DagRun" and owner.controller:
            return owner.uid
    return None


def is_finished(pod: PodObject) -> bool:
    """True if the Pod's state is final for its try."""
    report = observe(pod, gone=False)
    return report is not None and report.event in (TryEvent.ENDED, TryEvent.LOST)


def has_stopped(pod: PodObject) -> bool:
    """True if no container of the Pod is running, including sidecars.

    The phase alone is not sufficient: the kubelet reports Running for some time after the last container terminated.
    """
    containers = pod.status.container_statuses
    all_ended = bool(containers) and all(container.state.terminated is not None for container in containers)
    return all_ended or pod.status.phase in ("Succeeded", "Failed")


def observe(pod: PodObject, *, gone: bool) -> TryReport | None:
    """Return the report on the try from a Pod's state; `gone` is true if the Pod was deleted and this is its last
    state."""
    identity = try_of(pod)
    if identity is None:
        return None
    container = _task_container(pod)
    ended = container.state.terminated if container else None
    if ended is not None:
        return _ended(pod, identity, ended)
    if pod.status.phase == "Failed":
        return _failed_without_container(pod, identity)
    if pod.status.phase == "Succeeded":
        return _report(identity, TryEvent.ENDED, exit_code=0)
    never_placed = pod.metadata.deletion_timestamp is not None and not pod.spec.node_name
    if gone or never_placed:
        state = "running" if container and container.state.running else "waiting to start"
        reason = _disruption(pod) or POD_DELETED
        return _report(identity, TryEvent.LOST, reason=reason, message=f"its Pod was deleted while {state}")
    if container is not None and container.state.running is not None:
        started = _true_time(pod, container.state.running.started_at)
        return _report(identity, TryEvent.RUNNING, started_at=started, created_at=pod.metadata.creation_timestamp)
    waits_for, message = _why_waiting(pod, container)
    held_by, since = _held(pod)
    return _report(
        identity,
        TryEvent.CREATED,
        reason=waits_for,
        message=message,
        created_at=pod.metadata.creation_timestamp,
        held_by=held_by,
        held_since=since,
    )


def _report(identity: TryKey, event: TryEvent, **facts: Any) -> TryReport:
    return TryReport(identity.task, identity.number, event, index=identity.index, poke=identity.poke, **facts)


def _task_container(pod: PodObject) -> ContainerStatus | None:
    for container in pod.status.container_statuses:
        if container.name == names.TASK_CONTAINER:
            return container
    return None


def _ended(pod: PodObject, identity: TryKey, ended: Terminated) -> TryReport:
    success = ended.exit_code == 0 and not (pod.status.phase == "Failed" and pod.status.reason in _LOST_REASONS)
    deadline = _exceeded(pod, ended)
    lost = _stop_reason(pod) if deadline else None
    if not (success or lost):
        lost = _lost_reason(pod, ended)
    reason: str | None
    if lost:
        event, reason = TryEvent.LOST, lost
    elif deadline:
        event, reason = TryEvent.ENDED, "DeadlineExceeded"
    else:
        event, reason = TryEvent.ENDED, None if success or ended.reason == "Error" else ended.reason or None
    deletion = None
    if success and pod.status.reason != "DeadlineExceeded" and _ended_by_deletion(pod, ended):
        deletion = _disruption(pod) or POD_DELETED
    # The kubelet invents the exit code of a container that it cannot find.
    unknown = ended.reason == _UNKNOWN
    return _report(
        identity,
        event,
        created_at=pod.metadata.creation_timestamp,
        started_at=_true_time(pod, ended.started_at),
        finished_at=_true_time(pod, ended.finished_at),
        exit_code=None if unknown else ended.exit_code,
        reason=reason,
        message=None if success else _message(pod, ended),
        output=ended.message if success else None,
        deletion=deletion,
    )


def _exceeded(pod: PodObject, ended: Terminated) -> bool:
    """True if a container terminated because of a deadline: the Pod's own, or one that we set to stop it."""
    asked = pod.metadata.annotations.get(names.ANNOTATION_ENDED)
    if asked == names.ENDED_FOR_SIDECARS or (asked is None and _ended_in_time(pod, ended)):
        return False
    # The kubelet may report that the container was killed before it reports the reason.
    return pod.status.reason == "DeadlineExceeded" or (asked is not None and ended.exit_code != 0)


def _ended_in_time(pod: PodObject, ended: Terminated) -> bool:
    """True if a container terminated before the deadline of its Pod: then a sidecar exceeded it, while no controller
    was running to stop it."""
    started, seconds = pod.status.start_time, pod.spec.active_deadline_seconds
    if started is None or seconds is None or ended.finished_at is None:
        return False
    return ended.finished_at < started + timedelta(seconds=seconds)


def _stop_reason(pod: PodObject) -> str | None:
    """Return why we stopped a Pod, if that implies nothing about its task; None for a time limit of the task."""
    asked = pod.metadata.annotations.get(names.ANNOTATION_ENDED)
    return None if asked in (None, "Timeout", "SensorTimeout") else asked


def _lost_reason(pod: PodObject, ended: Terminated) -> str | None:
    """Return why a failed container is not at fault, or None if it is."""
    if pod.status.reason in _LOST_REASONS:
        return pod.status.reason
    # The cause of a disruption takes precedence over its effects on the container.
    disruption = _disruption(pod)
    if disruption is not None:
        return disruption
    if pod.status.reason != "DeadlineExceeded" and _ended_by_deletion(pod, ended):
        return POD_DELETED
    if ended.reason == _UNKNOWN:
        return "NodeLost"
    if ended.reason == "StartError" and _START_CANCELLED in ended.message:
        return "StartError"
    return None


def _disruption(pod: PodObject) -> str | None:
    """Return why Kubernetes deletes the Pod (preemption, eviction, a lost node), if it does."""
    return next((condition.reason or "Disrupted" for condition in _disruptions(pod)), None)


def _disruptions(pod: PodObject) -> list[PodCondition]:
    conditions = pod.status.conditions
    return [each for each in conditions if each.type == "DisruptionTarget" and each.status == "True"]


def _ended_by_deletion(pod: PodObject, ended: Terminated) -> bool:
    """True if the container terminated because its Pod was being deleted, not before that."""
    deletion, grace = pod.metadata.deletion_timestamp, pod.metadata.deletion_grace_period_seconds or 0
    if deletion is None:
        return False
    asked, finished = deletion - timedelta(seconds=grace), _true_time(pod, ended.finished_at)
    if finished is None or finished > asked:
        return True
    # Both times are in whole seconds. Within the same second, a failed container was killed if its exit code says so; a
    # successful one terminated gracefully, unless the Pod had finished and was therefore deleted without a grace
    # period.
    return finished == asked and (grace > 0 if ended.exit_code == 0 else ended.exit_code in _KILLED)


def _true_time(pod: PodObject, reported: datetime | None) -> datetime | None:
    """Adjust a time from the kubelet to the clock of the API server, as far as possible: a node cannot see a Pod before
    it was created, so the node's clock is behind by at least that difference."""
    if reported is None or reported == _EPOCH:
        return None
    created, seen = pod.metadata.creation_timestamp, pod.status.start_time
    return reported + (created - seen) if created and seen and seen < created else reported


def _failed_without_container(pod: PodObject, identity: TryKey) -> TryReport:
    """Report on a Pod that failed before its task ran, or whose container state was never reported."""
    reason, message = pod.status.reason or "PodFailed", pod.status.message or None
    if reason == "DeadlineExceeded":
        if asked := _stop_reason(pod):
            return _report(identity, TryEvent.LOST, reason=asked, message=message)
        return _report(identity, TryEvent.ENDED, reason=reason, message=message)
    for container in pod.status.init_container_statuses:
        ended = container.state.terminated
        if ended is not None and ended.exit_code != 0:
            lost = _lost_reason(pod, ended)
            if lost:
                return _report(identity, TryEvent.LOST, reason=lost, message=message)
            text = f"init container {container.name!r} ended with exit code {ended.exit_code}"
            text += f": {ended.message.strip()}" if ended.message.strip() else ""
            return _report(identity, TryEvent.ENDED, reason="InitContainerFailed", message=text)
    return _report(identity, TryEvent.LOST, reason=reason, message=message)


def _message(pod: PodObject, ended: Terminated) -> str | None:
    text = in_short(ended.message.strip())
    if ended.reason == _UNKNOWN:
        text = next((each.message for each in _disruptions(pod) if each.message), text)
        if pod.metadata.deletion_timestamp is not None and not _disruption(pod):
            text = "its Pod was deleted; the exit code of its container is unknown"
    if pod.status.message and pod.status.reason and names.ANNOTATION_ENDED not in pod.metadata.annotations:
        text = f"{pod.status.message} {text}".strip()
    if ended.reason == "OOMKilled":
        text = f"used more memory than its limit. {text}".strip()
    return text or None


def _held(pod: PodObject) -> tuple[HeldBy | None, datetime | None]:
    """Return what delays the start of the Pod, and since when the Pod's own spec delays it: once it has a node, or if
    its volume claim does not exist."""
    for condition in pod.status.conditions:
        if condition.type == "PodScheduled":
            if condition.status == "True":
                return None, condition.last_transition_time
            if condition.reason == "SchedulingGated":
                return HeldBy.GATES, None
            if _NO_SUCH_CLAIM.search(condition.message):
                return None, None
    return (None, None) if pod.spec.node_name else (HeldBy.CLUSTER, None)


def _why_waiting(pod: PodObject, container: ContainerStatus | None) -> tuple[str | None, str | None]:
    """Return the Pod's own reason for not having started, or (None, None) if there is none."""
    waiting = container.state.waiting if container else None
    if waiting is not None and waiting.reason not in _NOT_STARTED:
        return waiting.reason, in_short(waiting.message) or None
    for init in pod.status.init_container_statuses:
        if init.state.waiting is not None and init.state.waiting.reason not in _NOT_STARTED:
            return init.state.waiting.reason, init.state.waiting.message or None
    for condition in pod.status.conditions:
        if condition.type == "PodScheduled" and condition.status == "False" and condition.reason:
            return condition.reason, condition.message or None
    return None, None
