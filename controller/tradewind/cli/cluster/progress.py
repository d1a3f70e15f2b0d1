"""The progress of a run on the cluster: rows of tasks, and a line for each change."""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from tradewind.api.duration import format_duration
from tradewind.cli.cluster.client import Cluster
from tradewind.cli.colours import PHASES, paint
from tradewind.cli.errors import EXIT_FAILED
from tradewind.cli.output import printable
from tradewind.engine.run.index_set import IndexSet
from tradewind.engine.run.tries import instance_name

_POLL_SECONDS = 0.5
_NOTICE_SECONDS = 5.0
_QUIET = ("None", "Scheduled", "Queued")
_WORTH_A_ROW = ("Failed", "UpForRetry")
_MOST_INSTANCES = 10
_STATE_NAMES = {"None": "not started"}


def task_rows(task: Mapping[str, Any]) -> list[list[str]]:
    """Return the rows of an entry of DagRun.status.tasks.

    A mapped task has one row for all instances, and one for each of some that failed or wait for a retry.
    """
    listed = [each for each in task.get("instances") or () if each["state"] in _WORTH_A_ROW][:_MOST_INSTANCES]
    rows = [task_row({**each, "name": f"  {instance_name(task['name'], each['index'])}"}) for each in listed]
    more = sum(number for state, number in tally(task).items() if state in _WORTH_A_ROW) - len(listed)
    return [task_row(task), *rows, *([[f"  and {more} more", "", "", "", ""]] if more > 0 else [])]


def tally(task: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of instances of a mapped task in each state."""
    found = {state: len(IndexSet.parse(ranges)) for state, ranges in (task.get("indexes") or {}).items()}
    waiting = int(task.get("count") or 0) - sum(found.values())
    return {**found, **({"None": waiting} if waiting else {})}


def task_row(task: Mapping[str, Any]) -> list[str]:
    """Return `[name, state, try, duration, message]` of an entry of DagRun.status.tasks, or of an instance in it."""
    end = moment(task.get("finishedAt")) or (datetime.now(UTC) if task["state"] == "Running" else None)
    start = moment(task.get("startedAt"))
    duration = format_duration(end - start) if start and end else ""
    message = str(task.get("message") or "").strip().rsplit("\n", 1)[-1]
    if task.get("count"):
        counted = _counted(task)
        # The message of a failed mapped task only repeats how many instances failed.
        message = f"{counted}; {message}" if message and task["state"] != "Failed" else counted
    return [task["name"], task["state"], str(task.get("try", "")), duration, message]


def _counted(task: Mapping[str, Any]) -> str:
    """`20 instances: 17 Succeeded, 2 Running, 1 not started`."""
    states = ", ".join(f"{number} {_STATE_NAMES.get(state, state)}" for state, number in tally(task).items())
    return f"{task['count']} instances: {states}"


def moment(text: str | None) -> datetime | None:
    """Parse a time of Kubernetes."""
    return datetime.fromisoformat(text) if text else None


def age(item: Mapping[str, Any]) -> str:
    """Return the time since an object was created."""
    created = moment(item["metadata"].get("creationTimestamp"))
    return format_duration(datetime.now(UTC) - created) if created else ""


def follow(
    cluster: Cluster, name: str, *, quiet: bool = False, since: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Wait until a run finishes, print its changes, and return the finished DagRun.

    `since` is an earlier version of the run: its states are not printed again.
    """
    seen = {name: (each["state"], each.get("try", 0)) for name, each in _noteworthy((since or {}).get("status") or {})}
    shown, began, noticed = "", time.monotonic(), False
    try:
        while True:
            run = cluster.get("DagRun", name)
            status = run.get("status") or {}
            if not quiet:
                shown = _print_phase(status, shown)
                _print_changes(status, seen)
            if status.get("phase") in ("Succeeded", "Failed"):
                return run
            if not status.get("phase") and not noticed and time.monotonic() - began > _NOTICE_SECONDS:
                noticed = True
                click.echo("waiting: the run has no status yet; is the controller running?", err=True)
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        click.echo(f"\nthe run continues; see `tradewind status {name} -n {cluster.namespace}`", err=True)
        raise click.exceptions.Exit(EXIT_FAILED) from None


def summary(run: Mapping[str, Any]) -> str:
    """Return the result of a run, in one line."""
    status = run.get("status") or {}
    phase = str(status.get("phase") or "Pending")
    message = f": {printable(status['message'])}" if status.get("message") else ""
    took = f" in {status['duration']}" if status.get("duration") else ""
    done = f", {status['done']} tasks finished" if status.get("done") else ""
    return f"{paint(phase, PHASES.get(phase))}{took}{done}{message}"


def _print_phase(status: Mapping[str, Any], shown: str) -> str:
    phase, message = status.get("phase") or "Pending", status.get("message")
    text = f"{phase}: {printable(message)}" if message else str(phase)
    if text != shown and phase not in ("Succeeded", "Failed"):
        click.echo(f"{datetime.now():%H:%M:%S}  {text}", err=True)
    return text


def _print_changes(status: Mapping[str, Any], seen: dict[str, tuple[str, int]]) -> None:
    tasks = status.get("tasks") or []
    width = max((len(task["name"]) for task in tasks), default=0)
    for name, each in _noteworthy(status):
        _print_change(each, name, seen, width)


def _noteworthy(status: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each task, and each instance that failed or waits for a retry, with its name."""
    for task in status.get("tasks") or ():
        yield task["name"], task
        for each in task.get("instances") or ():
            if each["state"] in _WORTH_A_ROW:
                yield instance_name(task["name"], each["index"]), each


def _print_change(task: Mapping[str, Any], name: str, seen: dict[str, tuple[str, int]], width: int) -> None:
    now = (task["state"], task.get("try", 0))
    if seen.get(name) == now or task["state"] in _QUIET:
        return
    seen[name] = now
    _, state, number, duration, message = task_row({**task, "name": name})
    painted = paint(f"{state:14}", PHASES.get(state), err=True)
    tries = f"try {number}" if number else ""
    line = f"{datetime.now():%H:%M:%S}  {name:{width}}  {painted}  {tries:5}  {duration:6}  {printable(message)}"
    click.echo(line.rstrip(), err=True)
