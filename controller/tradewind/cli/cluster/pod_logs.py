"""The containers of a Pod: which of them have a log, and why not."""

from collections.abc import Iterator, Mapping
from typing import Any

from tradewind.api.names import LABEL_INDEX, LABEL_POKE, LABEL_TASK, LABEL_TRY
from tradewind.cache.runtime_errors import in_short
from tradewind.cli.errors import CliError
from tradewind.engine.run.tries import instance_name

_FINISHED = ("Succeeded", "Failed")
_NEVER_STARTED = ("StartError", "ContainerCannotRun")
_EMPTY_REASONS = ("PodInitializing", "ContainerCreating")


def instance_of(pod: Mapping[str, Any]) -> str:
    """Return the task instance of a Pod: `load` or `load[3]`."""
    labels = pod["metadata"]["labels"]
    index = labels.get(LABEL_INDEX)
    return instance_name(labels[LABEL_TASK], None if index is None else int(index))


def attempt(pod: Mapping[str, Any]) -> tuple[int, int]:
    """Return the number of the try and, for a sensor, of the poke: the higher, the later."""
    labels = pod["metadata"]["labels"]
    return int(labels.get(LABEL_TRY, 0)), int(labels.get(LABEL_POKE, 0))


def check_container(pod: Mapping[str, Any], container: str) -> None:
    """Raise CliError if the Pod has no container with this name."""
    spec = pod.get("spec") or {}
    own = [each["name"] for each in spec.get("containers") or ()]
    init = [each["name"] for each in spec.get("initContainers") or ()]
    if own and container not in (*own, *init):
        also = f"; its init containers are {', '.join(init)}" if init else ""
        raise CliError(
            f"task {instance_of(pod)!r} has no container {container!r}; its containers are {', '.join(own)}{also}"
        )


def has_container(pod: Mapping[str, Any], container: str) -> bool:
    """True if the Pod has a container with this name."""
    spec = pod.get("spec") or {}
    return any(
        each["name"] == container for field in ("containers", "initContainers") for each in spec.get(field) or ()
    )


def has_log(pod: Mapping[str, Any], container: str) -> bool:
    """True if the container has started. The Pod's phase is not enough: it may still be Pending when a container has
    already exited."""
    for each in _statuses(pod):
        if each["name"] == container:
            return any(
                (each.get(field) or {}).get(state)
                for field in ("state", "lastState")
                for state in ("running", "terminated")
            )
    return False


def is_finished(pod: Mapping[str, Any]) -> bool:
    """True if the Pod has finished, so that no more containers start."""
    return (pod.get("status") or {}).get("phase") in _FINISHED


def start_error(pod: Mapping[str, Any], container: str) -> str | None:
    """Return the container runtime's error if the container could not start."""
    for each in _statuses(pod):
        terminated = (each.get("state") or {}).get("terminated") or {}
        if each["name"] == container and terminated.get("reason") in _NEVER_STARTED:
            return in_short(str(terminated.get("message") or terminated["reason"]).strip())
    return None


def waiting_reason(pod: Mapping[str, Any]) -> str:
    """Return why a Pod's containers do not start, in parentheses, from the kubelet or the scheduler; empty if neither
    gives a reason."""
    for each in _statuses(pod):
        state = each.get("state") or {}
        terminated = state.get("terminated") or {}
        if each["init"] and terminated.get("exitCode"):
            name, code = each["name"], terminated["exitCode"]
            return f" (init container {name!r} exited with code {code}: see -c {name})"
        waiting = state.get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] not in _EMPTY_REASONS:
            return f" ({waiting['reason']}{_detail(waiting)})"
    status = pod.get("status") or {}
    if status.get("reason"):
        return f" ({status['reason']}{_detail(status)})"
    for condition in status.get("conditions") or ():
        if condition.get("status") == "False" and condition.get("message"):
            return f" ({condition['message']})"
    return ""


def started(pod: Mapping[str, Any], container: str) -> str:
    """Return the start time of the container, as a sort key."""
    for each in _statuses(pod):
        state = each.get("state") or {}
        found = (state.get("running") or state.get("terminated") or {}).get("startedAt")
        if each["name"] == container and found:
            return str(found)
    return str(pod["metadata"].get("creationTimestamp") or "")


def _detail(status: Mapping[str, Any]) -> str:
    return f": {status['message']}" if status.get("message") else ""


def _statuses(pod: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the statuses of all containers, init containers first, with `init` set on those."""
    status = pod.get("status") or {}
    for field in ("initContainerStatuses", "containerStatuses"):
        for each in status.get(field) or ():
            yield {**each, "init": field == "initContainerStatuses"}
