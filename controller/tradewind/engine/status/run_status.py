"""DagRun.status: a run as JSON."""

from datetime import datetime
from typing import Any

from tradewind.api.duration import format_duration
from tradewind.api.times import format_time
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import FINISHED_STATES, RunPhase, TaskState
from tradewind.engine.run.task_node import TaskNode
from tradewind.engine.status.node_status import entry

MESSAGE_BUDGET = 200_000
"""Bytes of the messages of all tasks of a run in status; the same again for those of earlier tries."""
INTERNAL_ERROR = "InternalError"
"""Reason of a run that could not be loaded because of a bug in the controller."""
SUSPENDED = "suspended: no new tasks start; running tasks continue"
"""Message of a suspended run, unless it has another."""


def end_conditions(phase: str, reason: str, message: str) -> list[dict[str, Any]]:
    """The conditions Complete and Failed, as in a Job, without times; neither is True before the run finishes."""
    facts = {"reason": reason, "message": message}
    return [
        {"type": "Complete", "status": "True" if phase == RunPhase.SUCCEEDED else "False", **facts},
        {"type": "Failed", "status": "True" if phase == RunPhase.FAILED else "False", **facts},
    ]


def failed_before_start(reason: str, message: str, now: datetime) -> dict[str, Any]:
    """The fields of the status of a run that finishes as Failed though it never started."""
    moment = format_time(now)
    conditions = [{**each, "lastTransitionTime": moment} for each in end_conditions(RunPhase.FAILED, reason, message)]
    ended = {"phase": RunPhase.FAILED.value, "reason": reason, "message": message, "finishedAt": moment}
    return {**ended, "conditions": conditions}


def message_limit(tasks: int) -> int:
    """The maximum bytes of one task's message in the status of a run with this number of tasks."""
    return max(80, min(1024, MESSAGE_BUDGET // (2 * tasks)))


def run_status(run: RunState) -> dict[str, Any]:
    """DagRun.status, JSON-ready."""
    status: dict[str, Any] = {
        "phase": run.phase.value,
        "logicalDate": format_time(run.info.logical_date),
        "dataInterval": {"start": format_time(run.info.interval_start), "end": format_time(run.info.interval_end)},
        "done": _done(run),
        "conditions": _conditions(run),
    }
    if run.reason:
        status["reason"] = run.reason
    message = _message(run)
    if message:
        status["message"] = message
    if run.info.revision:
        status["revision"] = run.info.revision
    if run.info.params:
        status["params"] = dict(run.info.params)
    if run.started_at:
        status["startedAt"] = format_time(run.started_at)
    if run.finished_at:
        status["finishedAt"] = format_time(run.finished_at)
        status["duration"] = format_duration(run.finished_at - (run.started_at or run.finished_at))
    status["tasks"] = list(run.kept) if run.folded else _tasks(run)
    if run.requests:
        status["requests"] = run.requests
    return status


def _done(run: RunState) -> str:
    finished = run.total - run.unfinished
    if run.folded:
        finished = sum(entry["state"] in FINISHED_STATES for entry in run.kept)
    return f"{finished}/{run.total}"


def _tasks(run: RunState) -> list[dict[str, Any]]:
    limit = message_limit(len(run.nodes))
    begun = [entry(node, limit, run.queue.waits_for(node)) for node in run.nodes if _has_begun(node)]
    return begun + run.removed


def _has_begun(node: TaskNode) -> bool:
    begun = node.count or node.whole.number or node.removed or node.past is not None
    return bool(begun) or node.whole.state is not TaskState.NONE


def _message(run: RunState) -> str | None:
    if run.message or run.finished:
        return run.message
    return SUSPENDED if run.suspended else run.stuck.message


def _is_suspended(run: RunState) -> bool:
    return run.suspended and not run.finished


def _conditions(run: RunState) -> list[dict[str, Any]]:
    since = run.finished_at or run.started_at
    moment = format_time(since) if since else _last_request(run) or format_time(run.info.logical_date)
    reason = run.reason or ("Suspended" if _is_suspended(run) else run.phase.value)
    message = _message(run) or f"the run is {run.phase.value}"
    return [{**each, "lastTransitionTime": moment} for each in end_conditions(run.phase.value, reason, message)]


def _last_request(run: RunState) -> str | None:
    """The time of the last request to a run, such as the rerun that queued it again."""
    return run.requests[-1].get("time") if run.requests else None
