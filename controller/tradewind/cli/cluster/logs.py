"""`tradewind logs`: what a try of a task printed, from its Pod."""

import re
import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from tradewind.api.names import LABEL_INDEX, LABEL_POKE, LABEL_RUN, LABEL_TASK, LABEL_TRY, TASK_CONTAINER
from tradewind.cli.cluster import completions
from tradewind.cli.cluster.client import Cluster, cluster_options
from tradewind.cli.errors import CliError
from tradewind.engine.index_set import IndexSet

_POLL_SECONDS = 1.0
_INSTANCE = re.compile(r"(.+)\[(\d+)\]")


@click.command()
@click.argument("run", shell_complete=completions.runs)
@click.argument("task", shell_complete=completions.tasks)
@click.option("--try", "number", type=click.IntRange(1), metavar="N", help="Which try. Default: the last.")
@click.option("-f", "--follow", is_flag=True, help="Wait for the task to start, and go on until it ends.")
@cluster_options
def logs(cluster: Cluster, run: str, task: str, number: int | None, follow: bool) -> None:
    """Print the log of a task of a run.

    TASK is the name of a task, or `task[3]` for one instance of a mapped one.
    """
    pod = _find(cluster, run, task, number)
    while follow and (pod is None or not _has_started(pod)):
        if pod is None:
            _check(cluster, run, task, number, waiting=True)
        time.sleep(_POLL_SECONDS)
        pod = _find(cluster, run, task, number)
    if pod is None:
        _check(cluster, run, task, number, waiting=False)
        raise CliError(f"the task {task!r} of the run {run!r} has no Pod{_of(number)} yet: wait for it with -f")
    if not _has_started(pod):
        raise CliError(f"the Pod {pod['metadata']['name']} has not started yet{_why(pod)}: wait for it with -f")
    for piece in cluster.log(pod["metadata"]["name"], TASK_CONTAINER, follow=follow):
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def _find(cluster: Cluster, run: str, task: str, number: int | None) -> dict[str, Any] | None:
    """The Pod of the last try (and the last look, of a sensor), or of try `number`. Raises CliError for a mapped task
    without an index, where there is not just one."""
    name, index = _instance(task)
    selector = f"{LABEL_RUN}={run},{LABEL_TASK}={name}"
    if index is not None:
        selector += f",{LABEL_INDEX}={index}"
    if number is not None:
        selector += f",{LABEL_TRY}={number}"
    pods = cluster.pods(selector)
    indexes = IndexSet(int(found) for pod in pods if (found := pod["metadata"]["labels"].get(LABEL_INDEX)) is not None)
    if index is None and len(indexes) > 1:
        raise CliError(
            f"{task!r} is mapped: name one of its instances, as in {name}[{indexes.first}]; "
            f"there are Pods of {str(indexes).replace(',', ', ')}"
        )
    return max(pods, key=_attempt, default=None)


def _instance(task: str) -> tuple[str, int | None]:
    """`("load", 3)` of `load[3]`."""
    match = _INSTANCE.fullmatch(task)
    return (match[1], int(match[2])) if match else (task, None)


def _attempt(pod: Mapping[str, Any]) -> tuple[int, int]:
    labels = pod["metadata"]["labels"]
    return int(labels.get(LABEL_TRY, 0)), int(labels.get(LABEL_POKE, 0))


def _check(cluster: Cluster, run: str, task: str, number: int | None, *, waiting: bool) -> None:
    """There is no Pod: raise CliError unless one may still come."""
    name, index = _instance(task)
    found = cluster.get("DagRun", run)
    status = found.get("status") or {}
    entries = {entry["name"]: entry for entry in status.get("tasks") or ()}
    entry = entries.get(name)
    over = status.get("phase") in ("Succeeded", "Failed")
    if entry is None and over:
        raise CliError(f"the run {run!r} has no task {name!r}; it has {', '.join(entries)}")
    if entry is None and not waiting:
        raise CliError(f"the run {run!r} has not come to a task {name!r} yet; so far it has {', '.join(entries)}")
    if entry is None:
        return
    if index is not None:
        entry = _entry_of(entry, index, run)
    if entry.get("count"):
        return
    ended = over or entry["state"] in ("Succeeded", "Failed", "Skipped", "UpstreamFailed", "Removed")
    if ended and not entry.get("try"):
        raise CliError(
            f"the task {task!r} did not run: {entry['state']}, {entry.get('message', 'for no known reason')}"
        )
    if ended or (number is not None and number < entry.get("try", 0)):
        message = f"; the last it said was:\n{entry['message']}" if entry.get("message") else ""
        raise CliError(f"the Pod of {task!r}{_of(number)} is gone, and its log with it{message}")


def _entry_of(entry: Mapping[str, Any], index: int, run: str) -> dict[str, Any]:
    """What status says of one instance of a mapped task."""
    name, count = entry["name"], entry.get("count")
    if not count and not entry.get("try") and entry["state"] in ("Skipped", "UpstreamFailed", "Failed"):
        return dict(entry)
    if not count:
        raise CliError(f"the task {name!r} of the run {run!r} is not mapped, so it has no index")
    if index >= count:
        raise CliError(f"the task {name!r} of the run {run!r} has {count} instances: 0 to {count - 1}")
    told = next((each for each in entry.get("instances") or () if each["index"] == index), None)
    if told is not None:
        return dict(told)
    ranges = entry.get("indexes") or {}
    state = next((state for state, indexes in ranges.items() if index in IndexSet.parse(indexes)), "None")
    skipped = {"message": entry["message"]} if entry.get("reason") and entry.get("message") else {}
    return {"state": state, **({"try": 1} if state in ("Succeeded", "Failed", "Running") else skipped)}


def _has_started(pod: Mapping[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") not in (None, "Pending")


def _why(pod: Mapping[str, Any]) -> str:
    """Why a Pod waits, as the kubelet or the scheduler puts it."""
    status = pod.get("status") or {}
    for container in status.get("containerStatuses") or ():
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason"):
            detail = f": {waiting['message']}" if waiting.get("message") else ""
            return f" ({waiting['reason']}{detail})"
    for condition in status.get("conditions") or ():
        if condition.get("status") == "False" and condition.get("message"):
            return f" ({condition['message']})"
    return ""


def _of(number: int | None) -> str:
    return f" of try {number}" if number is not None else ""
