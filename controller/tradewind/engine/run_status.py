"""DagRun.status as it is written: a run in JSON."""

from typing import TYPE_CHECKING, Any

from tradewind.api.duration import format_duration
from tradewind.engine.states import TaskState
from tradewind.engine.task_instance import format_time

if TYPE_CHECKING:
    from tradewind.engine.run import RunState

MESSAGE_BUDGET = 200_000
"""Bytes that the messages of all tasks of a run may have together in status, and those of their earlier tries."""
TRIES_BUDGET = 2500
"""Earlier tries that all tasks of a run may have together in status, of some 150 bytes each."""
OUTPUT_BUDGET = 256 * 1024
"""Bytes that the outputs of all tasks of a run may have together in status; etcd takes 1.5 MiB."""


def message_limit(tasks: int) -> int:
    """Bytes that the message of one task may have in the status of a run of so many."""
    return max(80, min(1024, MESSAGE_BUDGET // (2 * tasks)))


def run_status(run: "RunState") -> dict[str, Any]:
    """DagRun.status, JSON-ready."""
    total = len(run.dag.tasks)
    status: dict[str, Any] = {
        "phase": run.phase.value,
        "logicalDate": format_time(run.info.logical_date),
        "done": f"{total - run.unfinished}/{total}",
        "conditions": [_complete(run)],
    }
    if run.reason:
        status["reason"] = run.reason
    if run.message:
        status["message"] = run.message
    if run.info.revision:
        status["revision"] = run.info.revision
    if run.info.params:
        status["params"] = dict(run.info.params)
    if run.started_at:
        status["startedAt"] = format_time(run.started_at)
    if run.finished_at:
        status["finishedAt"] = format_time(run.finished_at)
        status["duration"] = format_duration(run.finished_at - (run.started_at or run.finished_at))
    limit = message_limit(total)
    status["tasks"] = [
        instance.entry(limit, run.waits_for(instance)) for instance in run if instance.state is not TaskState.NONE
    ]
    return status


def _complete(run: "RunState") -> dict[str, Any]:
    since = run.finished_at or run.started_at or run.info.interval_end
    return {
        "type": "Complete",
        "status": "True" if run.finished else "False",
        "reason": run.reason or run.phase.value,
        "message": run.message or f"the run is {run.phase.value}",
        "lastTransitionTime": format_time(since),
    }
