"""Shortening of DagRun.status to fit into etcd: an object may have 1.5 MiB, and params alone may be half of it.

A shortened status omits only facts that the rest of the run does not need.
"""

from collections.abc import Mapping
from typing import Any

from tradewind.engine.run.graph import Graph
from tradewind.engine.run.json_size import shorten
from tradewind.engine.run.states import FINISHED_PHASES, FINISHED_STATES

TOO_LARGE = "StatusTooLarge"
"""Reason of a run that failed because even its shortest status does not fit."""
DOES_NOT_FIT = "the state of the tasks does not fit into the DagRun: split the Dag, or write less output"
SHORT_MESSAGE = 80
"""Bytes of each message in a shortened status."""
_TASKS_OMITTED = "the state of the tasks is omitted: the DagRun has no room for it"
_OMITTED = ("tries", "scheduledAt", "queuedAt")
"""Fields that a finished task does not need; an unfinished one does not need the first."""


def shorter(status: Mapping[str, Any], graph: Graph) -> dict[str, Any]:
    """A status with only the facts that the run needs to continue: no params (its spec and its Dag have them), no
    earlier tries, short messages, and no outputs that no unfinished task can read."""
    entries = {entry["name"]: entry for entry in status.get("tasks", ())}
    unfinished = sum(
        1 << position
        for position, name in enumerate(graph.names)
        if name not in entries or entries[name]["state"] not in FINISHED_STATES
    )
    deciders = {position for before in graph.deciders for position in before}

    def is_read(name: str) -> bool:
        """True if an unfinished task may read the output. The output of a branch or short circuit also decides about
        tasks that run again."""
        position = graph.position.get(name)
        return position is not None and (position in deciders or bool(graph.descendants[position] & unfinished))

    tasks = [_shorter(entry, with_output=is_read(name)) for name, entry in entries.items()]
    return _short_message({**{name: value for name, value in status.items() if name != "params"}, "tasks": tasks})


def smallest(status: Mapping[str, Any]) -> dict[str, Any]:
    """The status of a finished run without its tasks."""
    found = {name: value for name, value in status.items() if name not in ("params", "tasks", "requests")}
    # Keep the last request: whether it was applied may not be known elsewhere yet.
    requests = {"requests": status["requests"][-1:]} if status.get("requests") else {}
    parts = [part for part in (status.get("message"), _TASKS_OMITTED) if part]
    message = {} if status.get("reason") == TOO_LARGE else {"message": "; ".join(parts)}
    return _short_message({**found, **message, **requests, "tasks": []}, 1024)


def is_smallest(status: Mapping[str, Any]) -> bool:
    """True if a status is one of smallest(): it does not even have try numbers, so no task can run again."""
    return status.get("phase") in FINISHED_PHASES and bool(status.get("startedAt")) and not status.get("tasks")


def _shorter(entry: Mapping[str, Any], *, with_output: bool) -> dict[str, Any]:
    finished = entry["state"] in FINISHED_STATES
    omitted = {*(_OMITTED if finished else _OMITTED[:1]), *(() if with_output else ("output", "outputs"))}
    found = _short_message({field: value for field, value in entry.items() if field not in omitted})
    if "instances" in found:
        found["instances"] = [_shorter(each, with_output=False) for each in found["instances"]]
    return found


def _short_message(found: dict[str, Any], limit: int = SHORT_MESSAGE) -> dict[str, Any]:
    return {**found, "message": shorten(found["message"], limit)} if "message" in found else found
