"""`tradewind logs`: the logs of a run, or of a try of one task, from its Pods."""

import re
import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from tradewind.api.duration import parse_duration
from tradewind.api.names import LABEL_INDEX, LABEL_RUN, LABEL_TASK, LABEL_TRY, TASK_CONTAINER
from tradewind.cli.cluster import completions
from tradewind.cli.cluster.client import Cluster, cluster_options
from tradewind.cli.cluster.pod_logs import attempt, check_container, has_log, is_finished, start_error, waiting_reason
from tradewind.cli.cluster.run_logs import follow_all, print_all
from tradewind.cli.errors import CliError
from tradewind.engine.run.index_set import IndexSet

_POLL_SECONDS = 1.0
_INSTANCE = re.compile(r"(.+)\[(\d+)\]")


def _seconds(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    try:
        return max(1, int(parse_duration(value).total_seconds()))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.argument("run", shell_complete=completions.runs)
@click.argument("task", required=False, shell_complete=completions.tasks)
@click.option("--try", "number", type=click.IntRange(1), metavar="N", help="Number of the try. Default: the last.")
@click.option(
    "-c",
    "--container",
    metavar="NAME",
    default=TASK_CONTAINER,
    help="Name of a sidecar or init container. Default: the task's container.",
)
@click.option("-f", "--follow", is_flag=True, help="Wait until the task starts, and print its log until it finishes.")
@click.option("--since", metavar="DURATION", callback=_seconds, help="Only lines newer than this, e.g. 5m.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Only the last N lines of each log.")
@cluster_options
def logs(
    cluster: Cluster,
    run: str,
    task: str | None,
    number: int | None,
    container: str,
    follow: bool,
    since: int | None,
    tail: int | None,
) -> None:
    """Print the logs of a run, or of one task.

    TASK is the name of a task, or `task[3]` for one instance of a mapped task. Without TASK, print the logs of all
    tasks, each line with the name of its task: the last try of each or, with -f, all tries until the run finishes.
    """
    if task is None and follow:
        if number is not None:
            raise click.UsageError("-f without TASK follows all tries: omit --try, or give a TASK")
        follow_all(cluster, run, container, since=since, tail=tail)
    elif task is None:
        print_all(cluster, run, container, number=number, since=since, tail=tail)
    else:
        _print_one(cluster, run, task, number, container, follow, since, tail)


def _print_one(
    cluster: Cluster,
    run: str,
    task: str,
    number: int | None,
    container: str,
    follow: bool,
    since: int | None,
    tail: int | None,
) -> None:
    pod = _started_pod(cluster, run, task, number, container, wait=follow)
    for piece in cluster.log(pod["metadata"]["name"], container, follow=follow, since=since, tail=tail):
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    if text := start_error(pod, container):
        raise CliError(f"task {task!r} could not start: {text}")


def _started_pod(
    cluster: Cluster, run: str, task: str, number: int | None, container: str, *, wait: bool
) -> dict[str, Any]:
    """Return the Pod of a try when its container has a log.

    Raises CliError if it has no log; with `wait`, only if it never will.
    """
    shown = ""
    while True:
        pod = _find(cluster, run, task, number)
        if pod is None:
            _check(cluster, run, task, number, waiting=wait)
            why = f"task {task!r} of run {run!r} has no Pod{_of(number)} yet"
        else:
            check_container(pod, container)
            if has_log(pod, container):
                return pod
            finished, name = is_finished(pod), pod["metadata"]["name"]
            why = f"Pod {name} has not started{'' if finished else ' yet'}{waiting_reason(pod)}"
            if finished:
                raise CliError(why)
        if not wait:
            raise CliError(f"{why}; wait for it with -f")
        if why != shown:
            shown = why
            click.echo(f"waiting: {why}", err=True)
        time.sleep(_POLL_SECONDS)


def _find(cluster: Cluster, run: str, task: str, number: int | None) -> dict[str, Any] | None:
    """Return the Pod of the last try (and, for a sensor, of the last poke), or of try `number`.

    Raises CliError for a mapped task without an index, unless there is only one instance.
    """
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
            f"task {task!r} is mapped: choose an instance, as in {name}[{indexes.first}]; "
            f"there are Pods of {str(indexes).replace(',', ', ')}"
        )
    return max(pods, key=attempt, default=None)


def _instance(task: str) -> tuple[str, int | None]:
    """Return `("load", 3)` for `load[3]`."""
    match = _INSTANCE.fullmatch(task)
    return (match[1], int(match[2])) if match else (task, None)


def _check(cluster: Cluster, run: str, task: str, number: int | None, *, waiting: bool) -> None:
    """Raise CliError if a task without a Pod will not get one."""
    name, index = _instance(task)
    found = cluster.get("DagRun", run)
    status = found.get("status") or {}
    entries = {entry["name"]: entry for entry in status.get("tasks") or ()}
    entry = entries.get(name)
    run_finished = status.get("phase") in ("Succeeded", "Failed")
    if entry is None and run_finished:
        raise CliError(f"run {run!r} has no task {name!r}; its tasks are {', '.join(entries)}")
    if entry is None and not waiting:
        raise CliError(f"run {run!r} has no task {name!r} yet; its tasks so far are {', '.join(entries)}")
    if entry is None:
        return
    if index is not None:
        entry = _entry_of(entry, index, run)
    if entry.get("count"):
        return
    finished = run_finished or entry["state"] in ("Succeeded", "Failed", "Skipped", "UpstreamFailed", "Removed")
    if finished and not entry.get("try"):
        raise CliError(f"task {task!r} did not run: {entry['state']}: {entry.get('message', 'no reason is recorded')}")
    if finished or (number is not None and number < entry.get("try", 0)):
        raise CliError(_no_log(task, number, _try_of(entry, number)))


def _try_of(entry: Mapping[str, Any], number: int | None) -> Mapping[str, Any]:
    """Return the status of a try; empty if status does not list it."""
    if number is None or number == entry.get("try"):
        return entry
    return next((each for each in entry.get("tries") or () if each["number"] == number), {})


def _no_log(task: str, number: int | None, entry: Mapping[str, Any]) -> str:
    """Return why a finished try has no Pod: it was deleted, or never created."""
    words = [entry[field] for field in ("state", "reason", "message") if entry.get(field)]
    why = ": ".join(dict.fromkeys(words))
    if entry and not entry.get("startedAt") and entry.get("state") != "Succeeded":
        return f"task {task!r} has no log{_of(number)}, since it never started: {why}"
    status = f"; status: {why}" if why else ""
    return f"the Pod of task {task!r}{_of(number)} was deleted, and its log with it{status}"


def _entry_of(entry: Mapping[str, Any], index: int, run: str) -> dict[str, Any]:
    """Return the status of one instance of a mapped task."""
    name, count = entry["name"], entry.get("count")
    if not count and not entry.get("try") and entry["state"] in ("Skipped", "UpstreamFailed", "Failed"):
        return dict(entry)
    if not count:
        raise CliError(f"task {name!r} of run {run!r} is not mapped: omit the index")
    if index >= count:
        raise CliError(f"task {name!r} of run {run!r} has {count} instances: 0 to {count - 1}")
    instance = next((each for each in entry.get("instances") or () if each["index"] == index), None)
    if instance is not None:
        return dict(instance)
    ranges = entry.get("indexes") or {}
    state = next((state for state, indexes in ranges.items() if index in IndexSet.parse(indexes)), "None")
    skipped = {"message": entry["message"]} if entry.get("reason") and entry.get("message") else {}
    return {"state": state, **({"try": 1} if state in ("Succeeded", "Failed", "Running") else skipped)}


def _of(number: int | None) -> str:
    return f" of try {number}" if number is not None else ""
