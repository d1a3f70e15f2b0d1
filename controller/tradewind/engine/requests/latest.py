"""A run goes on with its Dag as it is now: what of its status still fits."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tradewind.api.resolve import ResolvedDag, ResolvedTask
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import StopReason
from tradewind.engine.status.node_status import entry
from tradewind.engine.status.run_status import message_limit

REMOVED = StopReason("Removed", "the task is no longer in the Dag")


def for_latest(before: RunState, status: Mapping[str, Any], dag: ResolvedDag, now: datetime) -> dict[str, Any]:
    """The status for a newer Dag. Tasks that it does not have are Removed, those that are mapped otherwise than before
    have not begun, and those that had been removed and are back neither."""
    tasks = {task.name: task for task in dag.tasks}
    entries: list[dict[str, Any]] = []
    for told in status.get("tasks", ()):
        name = told["name"]
        if name not in tasks:
            gone = told["state"] == TaskState.REMOVED.value
            entries.append(told if gone else _removed(before, name, len(dag.tasks), now))
        elif told["state"] == TaskState.REMOVED.value:
            if ("indexes" in told) == _is_mapped(tasks[name]):
                entries.append({**_without_end(told), "state": TaskState.NONE.value})
        elif name not in before.graph.position or _mapped_alike(before.node(name).task, tasks[name]):
            entries.append(told)
    return {**status, "tasks": entries}


def _removed(run: RunState, name: str, tasks: int, now: datetime) -> dict[str, Any]:
    node = run.node(name)
    if node.count:
        node.unexpand(REMOVED, now)
    node.whole.clear(REMOVED, now)
    told = entry(node, message_limit(tasks), None)
    return {**told, "state": TaskState.REMOVED.value, "reason": REMOVED.reason, "message": REMOVED.message}


def _without_end(told: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in told.items() if key not in ("reason", "message", "finishedAt")}


def _is_mapped(task: ResolvedTask) -> bool:
    return task.for_each is not None or task.mapped_group is not None


def _mapped_alike(task: ResolvedTask, other: ResolvedTask) -> bool:
    return (task.mapped_group, task.for_each is None) == (other.mapped_group, other.for_each is None)
