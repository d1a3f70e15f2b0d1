"""Requests of users about an existing run: Rerun, Mark and Stop, one file for each type.

A request is atomic: a status and a request give the status in which the request is applied and recorded. Writing that
status applies the request; before the write nothing has changed.

select.py   the task instances that a request selects
change.py   clears task instances, or sets their state
rerun.py    Rerun
mark.py     Mark
stop.py     Stop
latest.py   continues a run with the newest revision of its Dag
audit.py    status.requests: the record of requests
refusal.py  a request that cannot be applied
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
from tradewind.engine.status.run_status import failed_before_start, run_status
from tradewind.engine.status.size import is_smallest
from tradewind.engine.transitions.endings import end_run

__all__ = ["Change", "Decision", "Refused", "Version", "apply_request", "is_known", "refuse", "stop_before_start"]

MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Version:
    """A revision of a Dag for a run. `info` belongs to it: params have the defaults of that revision."""

    info: RunInfo
    dag: ResolvedDag
    graph: Graph


@dataclass(frozen=True, slots=True)
class Change:
    """A task instance, or a task (`index` None), that a request changes; `state` and `number` (of its last try) are the
    values before the request."""

    task: str
    index: int | None
    state: TaskState
    number: int


@dataclass(frozen=True, slots=True)
class Decision:
    """The result of a request. `status` is the new status of the DagRun, with the request recorded; `version` is the
    Dag that the run uses from now on; `stops` are the tries to stop."""

    applied: bool
    message: str
    status: dict[str, Any]
    version: Version
    stops: tuple[TryKey, ...] = ()
    changes: list[Change] = field(default_factory=list)


def apply_request(
    request: RunRequest,
    status: Mapping[str, Any],
    current: Version,
    latest: Version | None = None,
    *,
    made: TriesMade | None = None,
    now: datetime,
) -> Decision:
    """The status after a request, or the same status with a recorded refusal. `latest` is the current Dag, if the
    request asks for it; `made` are the highest tries that have Pods."""
    try:
        return _apply(request, status, current, latest or current, made or {}, now)
    except Refused as refused:
        return refuse(request, status, current, str(refused), now)


def refuse(request: RunRequest, status: Mapping[str, Any], version: Version, why: str, now: datetime) -> Decision:
    """The decision that records the request as rejected and changes nothing else."""
    record = with_record(status.get("requests", ()), request, applied=False, message=why, now=now)
    return Decision(False, why, {**status, "requests": record}, version)


def stop_before_start(request: RunRequest, status: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The status after a Stop of a run that waits for its Dag: it has not started, and its tasks are not known."""
    message = f"stopped{_by(request)}"
    record = with_record(status.get("requests", ()), request, applied=True, message="stopped", now=now)
    kept = {name: value for name, value in status.items() if name != "done"}
    return {**kept, **failed_before_start(stop.STOPPED, message, now), "requests": record}


def _apply(
    request: RunRequest, status: Mapping[str, Any], current: Version, version: Version, made: TriesMade, now: datetime
) -> Decision:
    problems = check_request(request, version.dag.spec)
    if problems:
        raise Refused("; ".join(problem.message for problem in problems))
    if is_smallest(status):
        raise Refused("the state of its tasks was too large to store: create another run instead")
    run = _load(current, status)
    newer = version.info.revision != current.info.revision
    if request.type == "Rerun":
        rerun.check(run, request)
        if newer:
            run = _load(version, for_latest(run, status, version.dag, now))
    by = _by(request)
    again: Choice = {}
    if request.type == "Rerun":
        choice = rerun.choose(run, request)
        reexpanded = select.reexpanded(run, choice, always=newer)
        changes = _changes(run, choice)
        message = f"tasks to rerun: {_names(run, choice)}" if choice else "tasks to run: those new in the Dag"
        stops = rerun.rerun(run, choice, reexpanded, made, f"rerun requested{by}", now)
    elif request.type == "Stop":
        choice = stop.choose(run)
        changes = _changes(run, choice)
        message = f"stopped; skipped: {_names(run, choice)}" if choice else "stopped"
        stops = stop.stop(run, f"stopped{by}", now)
    else:
        state, why = TaskState(request.state or ""), f"marked {request.state}{by}"
        if mark.targets_run(request):
            choice = mark.choose_in_run(run, state)
            changes, names = _changes(run, choice), ", ".join(filter(None, ["the run", _names(run, choice)]))
            stops = mark.mark_run(run, choice, state, made, why, now)
        else:
            choice = mark.choose(run, request)
            changes, names = _changes(run, choice), _names(run, choice)
            stops, again = mark.mark(run, choice, state, made, why, now)
            changes += _changes(run, again)
        message = f"marked {state}: {names}" + (f"; tasks to rerun: {_names(run, again)}" if again else "")
    run.requests = with_record(run.requests, request, applied=True, message=message, now=now)
    return Decision(True, message, _settled(run, version, now), version, tuple(stops), changes)


def _by(request: RunRequest) -> str:
    by = f" by {request.requested_by}" if request.requested_by else ""
    return by + (f": {request.message}" if request.message else "")


def _load(version: Version, status: Mapping[str, Any]) -> RunState:
    return load(version.info, version.dag, Slots(), status=status, graph=version.graph)


def _settled(run: RunState, version: Version, now: datetime) -> dict[str, Any]:
    """The status of a run after its tasks were changed directly: counts and the result of the run are recomputed."""
    settled = _load(version, run_status(run))
    if mark.decided_by_tasks(settled) and settled.unfinished == 0:
        end = run_end(settled, now)
        end_run(settled, end.phase, end.reason, end.message, settled.finished_at or end.when)
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
