"""What the state of a Pod says about the try it runs.

The hard part is telling a task's own failure from a try that was lost to its surroundings (evicted, preempted, node
gone, Pod deleted): only the first uses up a try.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from tradewind.api import names
from tradewind.cache.resources import ContainerStatus, PodCondition, PodObject, Terminated
from tradewind.cache.runtime_errors import in_short
from tradewind.engine.run.tries import HeldBy, TryEvent, TryKey, TryReport

# Reasons in status.reason of a Pod that failed through no fault of its containers: the kubelet or a controller ended
# or refused it. (kubelet: eviction, admission, node shutdown; scheduler: preemption; podgc: node gone)
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
"""When a container started that never did, as the kubelet puts it."""
_KILLED = frozenset({137, 143})
_UNKNOWN = "ContainerStatusUnknown"
"""Reason of a container that the kubelet no longer found when its Pod was ended."""
POD_DELETED = "PodDeleted"
"""Reason of a try whose Pod somebody deleted."""
_NO_SUCH_CLAIM = re.compile(r'persistentvolumeclaim "[^"]*" not found')
"""In the message of the scheduler."""
_START_CANCELLED = "context canceled"
"""In the message of a StartError: who asked for the container, the kubelet, went away while it was being made. What had
begun to run by then was ended."""


def try_of(pod: PodObject) -> TryKey | None:
    """The try of a Pod of ours; None when its labels do not say."""
    labels = pod.metadata.labels
    task, number = labels.get(names.LABEL_TASK), labels.get(names.LABEL_TRY, "")
    index, poke = labels.get(names.LABEL_INDEX), labels.get(names.LABEL_POKE, "0")
    if not task or not number.isdecimal() or not poke.isdecimal() or not (index is None or index.isdecimal()):
        return None
    return TryKey(task, None if index is None else int(index), int(number), int(poke))


def run_uid_of(pod: PodObject) -> str | None:
    """UID of the DagRun that owns the Pod."""
    for owner in pod.metadata.owner_references:
        if owner.kind == "DagRun" and owner.controller:
            return owner.uid
    return None


def is_over(pod: PodObject) -> bool:
    """Whether the Pod's state is final for its try."""
    report = observe(pod, gone=False)
    return report is not None and report.event in (TryEvent.ENDED, TryEvent.LOST)


def has_stopped(pod: PodObject) -> bool:
    """Whether no container of the Pod runs any more, be it the task's or one beside it.

    The phase alone does not tell: the kubelet says Running for some time after the last container has ended.
    """
    containers = pod.status.container_statuses
    all_ended = bool(containers) and all(container.state.terminated is not None for container in containers)
    return all_ended or pod.status.phase in ("Succeeded", "Failed")


def observe(pod: PodObject, *, gone: bool) -> TryReport | None:
    """The report that a Pod's state makes; `gone` when it has been deleted and this was its last state."""
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
    lost = _asked_for(pod) if deadline else None
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
    # Of a container that the kubelet no longer finds it makes up the exit code.
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
    """Whether a container ended since its Pod had to: by its own deadline, or by one that we gave it."""
    asked = pod.metadata.annotations.get(names.ANNOTATION_ENDED)
    if asked == names.ENDED_FOR_SIDECARS or (asked is None and _ended_in_time(pod, ended)):
        return False
    # The kubelet may tell that the container was killed before it tells why.
    return pod.status.reason == "DeadlineExceeded" or (asked is not None and ended.exit_code != 0)


def _ended_in_time(pod: PodObject, ended: Terminated) -> bool:
    """Whether a container ended before the deadline of its Pod: what exceeded that is beside it, and no controller was
    there to end it."""
    started, seconds = pod.status.start_time, pod.spec.active_deadline_seconds
    if started is None or seconds is None or ended.finished_at is None:
        return False
    return ended.finished_at < started + timedelta(seconds=seconds)


def _asked_for(pod: PodObject) -> str | None:
    """Why we have ended a Pod, where that says nothing of how its task went; None for a limit of the task itself."""
    asked = pod.metadata.annotations.get(names.ANNOTATION_ENDED)
    return None if asked in (None, "Timeout", "SensorTimeout") else asked


def _lost_reason(pod: PodObject, ended: Terminated) -> str | None:
    """Why a container that did not succeed is not to blame, or None when it is."""
    if pod.status.reason in _LOST_REASONS:
        return pod.status.reason
    # Who took the Pod away, before what became of its container.
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
    """Why Kubernetes itself takes the Pod away (preemption, eviction, a lost node), if it does."""
    return next((condition.reason or "Disrupted" for condition in _disruptions(pod)), None)


def _disruptions(pod: PodObject) -> list[PodCondition]:
    conditions = pod.status.conditions
    return [each for each in conditions if each.type == "DisruptionTarget" and each.status == "True"]


def _ended_by_deletion(pod: PodObject, ended: Terminated) -> bool:
    """Whether the container ended because its Pod was being deleted, rather than before that."""
    deletion, grace = pod.metadata.deletion_timestamp, pod.metadata.deletion_grace_period_seconds or 0
    if deletion is None:
        return False
    asked, finished = deletion - timedelta(seconds=grace), _true_time(pod, ended.finished_at)
    if finished is None or finished > asked:
        return True
    # Both times have whole seconds. Within the same one a container that failed was killed if its exit code says so;
    # one that succeeded ended politely, unless the Pod had ended: then it is deleted without a grace period.
    return finished == asked and (grace > 0 if ended.exit_code == 0 else ended.exit_code in _KILLED)


def _true_time(pod: PodObject, told: datetime | None) -> datetime | None:
    """A moment that the kubelet tells, by the clock of the API server as far as that is known: a Pod is not seen by its
    node before it was created, so by so much at least is the clock of the node behind."""
    if told is None or told == _EPOCH:
        return None
    created, seen = pod.metadata.creation_timestamp, pod.status.start_time
    return told + (created - seen) if created and seen and seen < created else told


def _failed_without_container(pod: PodObject, identity: TryKey) -> TryReport:
    """The Pod failed before its task ran, or its container's state was never reported."""
    reason, message = pod.status.reason or "PodFailed", pod.status.message or None
    if reason == "DeadlineExceeded":
        if asked := _asked_for(pod):
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
            text = "its Pod was deleted, and how its container ended is not known"
    if pod.status.message and pod.status.reason and names.ANNOTATION_ENDED not in pod.metadata.annotations:
        text = f"{pod.status.message} {text}".strip()
    if ended.reason == "OOMKilled":
        text = f"used more memory than its limit. {text}".strip()
    return text or None


def _held(pod: PodObject) -> tuple[HeldBy | None, datetime | None]:
    """Whose affair it is that the Pod has not started, and since when its own: once it has a node, or where the volume
    that it asks for is not there."""
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
    """The Pod's own reason for not having started, or (None, None) while all goes its way."""
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
