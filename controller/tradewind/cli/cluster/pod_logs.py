"""What a Pod says of its containers: whether one has a log, and why not."""

from collections.abc import Iterator, Mapping
from typing import Any

from tradewind.api.names import LABEL_INDEX, LABEL_POKE, LABEL_TASK, LABEL_TRY
from tradewind.cache.runtime_errors import in_short
from tradewind.cli.errors import CliError
from tradewind.engine.run.tries import instance_name

_OVER = ("Succeeded", "Failed")
_NEVER_STARTED = ("StartError", "ContainerCannotRun")
_EMPTY_REASONS = ("PodInitializing", "ContainerCreating")


def instance_of(pod: Mapping[str, Any]) -> str:
    """The task instance of a Pod: `load` or `load[3]`."""
    labels = pod["metadata"]["labels"]
    index = labels.get(LABEL_INDEX)
    return instance_name(labels[LABEL_TASK], None if index is None else int(index))


def attempt(pod: Mapping[str, Any]) -> tuple[int, int]:
    """Try and, of a sensor, which look: the higher is the later."""
    labels = pod["metadata"]["labels"]
    return int(labels.get(LABEL_TRY, 0)), int(labels.get(LABEL_POKE, 0))


def check_container(pod: Mapping[str, Any], container: str) -> None:
    """Raise CliError where a Pod has no container of that name."""
    spec = pod.get("spec") or {}
    own = [each["name"] for each in spec.get("containers") or ()]
    init = [each["name"] for each in spec.get("initContainers") or ()]
    if own and container not in (*own, *init):
        also = f", and before them {', '.join(init)}" if init else ""
        raise CliError(f"{instance_of(pod)!r} has no container {container!r}; it has {', '.join(own)}{also}")


def has_container(pod: Mapping[str, Any], container: str) -> bool:
    """Whether a Pod has a container of that name."""
    spec = pod.get("spec") or {}
    return any(
        each["name"] == container for field in ("containers", "initContainers") for each in spec.get(field) or ()
    )


def has_log(pod: Mapping[str, Any], container: str) -> bool:
    """Whether the container has started. The Pod's phase says it late: the kubelet may tell of a container that has
    ended while that is still Pending."""
    for each in _statuses(pod):
        if each["name"] == container:
            return any(
                (each.get(field) or {}).get(state)
                for field in ("state", "lastState")
                for state in ("running", "terminated")
            )
    return False


def is_over(pod: Mapping[str, Any]) -> bool:
    """Whether a Pod has finished, so that nothing of it starts any more."""
    return (pod.get("status") or {}).get("phase") in _OVER


def could_not_start(pod: Mapping[str, Any], container: str) -> str | None:
    """Why the container's program never ran, where it was tried, in the runtime's words."""
    for each in _statuses(pod):
        ended = (each.get("state") or {}).get("terminated") or {}
        if each["name"] == container and ended.get("reason") in _NEVER_STARTED:
            return in_short(str(ended.get("message") or ended["reason"]).strip())
    return None


def why_not(pod: Mapping[str, Any]) -> str:
    """Why a Pod's containers do not start, as the kubelet or the scheduler puts it, in parentheses; empty where nobody
    says."""
    for each in _statuses(pod):
        state = each.get("state") or {}
        ended = state.get("terminated") or {}
        if each["init"] and ended.get("exitCode"):
            return f" (init container {each['name']!r} ended with exit code {ended['exitCode']}: see -c {each['name']})"
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
    """When the container started, to sort by: what starts later comes later."""
    for each in _statuses(pod):
        state = each.get("state") or {}
        found = (state.get("running") or state.get("terminated") or {}).get("startedAt")
        if each["name"] == container and found:
            return str(found)
    return str(pod["metadata"].get("creationTimestamp") or "")


def _detail(said: Mapping[str, Any]) -> str:
    return f": {said['message']}" if said.get("message") else ""


def _statuses(pod: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The statuses of all containers, `init` telling of what kind it is; those that run first come first."""
    status = pod.get("status") or {}
    for field in ("initContainerStatuses", "containerStatuses"):
        for each in status.get(field) or ():
            yield {**each, "init": field == "initContainerStatuses"}
