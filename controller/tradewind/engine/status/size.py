"""DagRun.status, made to fit into etcd: it takes 1.5 MiB of an object, of which params alone may be half.

What is left away is what nothing that is still to come in the run needs.
"""

from collections.abc import Mapping
from typing import Any

from tradewind.engine.run.graph import Graph
from tradewind.engine.run.json_size import shorten
from tradewind.engine.run.states import FINISHED_PHASES, FINISHED_STATES

TOO_LARGE = "StatusTooLarge"
"""Reason of a run that ended since its status does not fit, however short."""
DOES_NOT_FIT = "the state of its tasks does not fit into the DagRun: split its Dag, or write less output"
SHORT_MESSAGE = 80
"""Bytes of each message in a status that does not fit otherwise."""
_UNTOLD = "the state of its tasks is left out: the DagRun has no room for it"
_LEFT_AWAY = ("tries", "scheduledAt", "queuedAt")
"""What is not needed of a task that has finished."""


def shorter(status: Mapping[str, Any], graph: Graph) -> dict[str, Any]:
    """A status with all that the run needs to go on and no more: no params (its spec and its Dag have them), no earlier
    tries, short messages, and no output of a task after which nothing is still to come."""
    entries = {entry["name"]: entry for entry in status.get("tasks", ())}
    unfinished = sum(
        1 << position
        for position, name in enumerate(graph.names)
        if name not in entries or entries[name]["state"] not in FINISHED_STATES
    )
    deciders = {position for before in graph.deciders for position in before}

    def is_read(name: str) -> bool:
        """Whether a task to come may ask for the output; a decision holds for those that are run again, too."""
        position = graph.position.get(name)
        return position is not None and (position in deciders or bool(graph.descendants[position] & unfinished))

    tasks = [_shorter(entry, with_output=is_read(name)) for name, entry in entries.items()]
    return _short_message({**{name: value for name, value in status.items() if name != "params"}, "tasks": tasks})


def smallest(status: Mapping[str, Any]) -> dict[str, Any]:
    """The status of a run that has ended, without its tasks."""
    found = {name: value for name, value in status.items() if name not in ("params", "tasks", "requests")}
    # What was asked last may not be known to have been carried out yet.
    requests = {"requests": status["requests"][-1:]} if status.get("requests") else {}
    told = [part for part in (status.get("message"), _UNTOLD) if part]
    message = {} if status.get("reason") == TOO_LARGE else {"message": "; ".join(told)}
    return _short_message({**found, **message, **requests, "tasks": []}, 1024)


def is_smallest(status: Mapping[str, Any]) -> bool:
    """Whether a status is one that tells nothing of the tasks of a run that has ended: not even which tries there were,
    so that none of them can be made again."""
    return status.get("phase") in FINISHED_PHASES and bool(status.get("startedAt")) and not status.get("tasks")


def _shorter(entry: Mapping[str, Any], *, with_output: bool) -> dict[str, Any]:
    finished = entry["state"] in FINISHED_STATES
    away = {*(_LEFT_AWAY if finished else _LEFT_AWAY[:1]), *(() if with_output else ("output", "outputs"))}
    found = _short_message({field: value for field, value in entry.items() if field not in away})
    if "instances" in found:
        found["instances"] = [_shorter(each, with_output=False) for each in found["instances"]]
    return found


def _short_message(found: dict[str, Any], limit: int = SHORT_MESSAGE) -> dict[str, Any]:
    return {**found, "message": shorten(found["message"], limit)} if "message" in found else found
