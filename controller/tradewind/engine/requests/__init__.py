"""What people ask of a run that exists: to run tasks again, to mark them, to stop. One file for each type.

Nothing here happens by halves: from a status and a request comes the status in which the request has been carried out
and is on record. Once that is written, it is done; before, nothing is.

select.py   the task instances that a request means
change.py   clears task instances, or sets their state
rerun.py    Rerun
mark.py     Mark
stop.py     Stop
latest.py   continues a run with the newest revision of its Dag
audit.py    status.requests: the record of requests
refusal.py  a request that cannot be carried out
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tradewind.api.resolve import ResolvedDag
from tradewind.api.run_request import RunRequest
from tradewind.api.validation import check_request
from tradewind.engine.requests import mark, rerun, select, stop
from tradewind.engine.requests.audit import is_known, with_record
from tradewind.engine.requests.change import TriesMade
from tradewind.engine.requests.latest import for_latest
from tradewind.engine.requests.refusal import Refused
from tradewind.engine.requests.select import Choice
from tradewind.engine.rules.run_end import run_end
from tradewind.engine.run.graph import Graph
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.run.slots import Slots
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import TryKey
from tradewind.engine.status.restore import load
from tradewind.engine.status.run_status import run_status
from tradewind.engine.status.size import is_smallest

__all__ = ["Change", "Decision", "Refused", "Version", "carry_out", "is_known", "refuse"]

MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Version:
    """A Dag as a run runs it. `info` goes with it: params have the defaults of that Dag."""

    info: RunInfo
    dag: ResolvedDag
    graph: Graph


@dataclass(frozen=True, slots=True)
class Change:
    """A task instance, or a task (`index` None), that a request changes; `state` and `number` (of its last try) are
    what they were before."""

    task: str
    index: int | None
    state: TaskState
    number: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a request. `status` is the new one of the DagRun, with the request on record; `version` the Dag
    that it goes by; `stops` are the tries that must end."""

    applied: bool
    message: str
    status: dict[str, Any]
    version: Version
    stops: tuple[TryKey, ...] = ()
    changes: list[Change] = field(default_factory=list)


def carry_out(
    request: RunRequest,
    status: Mapping[str, Any],
    current: Version,
    latest: Version | None = None,
    *,
    made: TriesMade | None = None,
    now: datetime,
) -> Decision:
    """The status after a request, or the same one with a refusal. `latest` is the Dag as it is now, where the request
    asks for that; `made` the highest tries that there are Pods of."""
    try:
        return _apply(request, status, current, latest or current, made or {}, now)
    except Refused as refused:
        return refuse(request, status, current, str(refused), now)


def refuse(request: RunRequest, status: Mapping[str, Any], version: Version, why: str, now: datetime) -> Decision:
    """The request is on record, and nothing else has changed."""
    record = with_record(status.get("requests", ()), request, applied=False, message=why, now=now)
    return Decision(False, why, {**status, "requests": record}, version)


def _apply(
    request: RunRequest, status: Mapping[str, Any], current: Version, version: Version, made: TriesMade, now: datetime
) -> Decision:
    problems = check_request(request, version.dag.spec)
    if problems:
        raise Refused("; ".join(problem.message for problem in problems))
    if is_smallest(status):
        raise Refused("the state of its tasks was too large to be kept: make another run instead")
    run = _load(current, status)
    newer = version.info.revision != current.info.revision
    if request.type == "Rerun":
        rerun.check(run, request)
        if newer:
            run = _load(version, for_latest(run, status, version.dag, now))
    by = f" by {request.requested_by}" if request.requested_by else ""
    because = f": {request.message}" if request.message else ""
    again: Choice = {}
    if request.type == "Rerun":
        choice = rerun.choose(run, request)
        anew = select.mapped_anew(run, choice, always=newer)
        changes = _changes(run, choice)
        message = f"to run again: {_names(run, choice)}" if choice else "to run: what is new in the Dag"
        stops = rerun.rerun(run, choice, anew, made, f"rerun asked for{by}{because}", now)
    elif request.type == "Stop":
        choice = stop.choose(run)
        changes = _changes(run, choice)
        message = f"stopped; skipped: {_names(run, choice)}" if choice else "stopped"
        stops = stop.stop(run, f"stopped{by}{because}", now)
    else:
        state, why = TaskState(request.state or ""), f"marked {request.state}{by}{because}"
        if mark.means_run(request):
            choice = mark.choose_in_run(run, state)
            changes, names = _changes(run, choice), ", ".join(filter(None, ["the run", _names(run, choice)]))
            stops = mark.mark_run(run, choice, state, made, why, now)
        else:
            choice = mark.choose(run, request)
            changes, names = _changes(run, choice), _names(run, choice)
            stops, again = mark.mark(run, choice, state, made, why, now)
            changes += _changes(run, again)
        message = f"marked {state}: {names}" + (f"; to run again: {_names(run, again)}" if again else "")
    run.requests = with_record(run.requests, request, applied=True, message=message, now=now)
    return Decision(True, message, _settled(run, version, now), version, tuple(stops), changes)


def _load(version: Version, status: Mapping[str, Any]) -> RunState:
    return load(version.info, version.dag, Slots(), status=status, graph=version.graph)


def _settled(run: RunState, version: Version, now: datetime) -> dict[str, Any]:
    """The status of a run whose tasks were changed behind its back: counted anew, and ended as they have."""
    settled = _load(version, run_status(run))
    if mark.decided_by_tasks(settled) and settled.unfinished == 0:
        end = run_end(settled, now)
        settled.phase, settled.reason, settled.message = end.phase, end.reason, end.message
    return run_status(settled)


def _names(run: RunState, choice: Choice) -> str:
    names = select.label(run, choice)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _changes(run: RunState, choice: Choice) -> list[Change]:
    return [
        Change(instance.task.name, instance.index, instance.state, instance.number)
        for instance in select.instances(run, choice)
    ]
