"""A rerun with the latest revision of the Dag: the part of the run's status that still fits."""

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
    """The status for a newer Dag. Tasks that it does not have become Removed. Tasks whose mapping differs, and removed
    tasks that exist again, start from scratch."""
    tasks = {task.name: task for task in dag.tasks}
    entries: list[dict[str, Any]] = []
    for known in status.get("tasks", ()):
        name, was_removed = known["name"], known["state"] == TaskState.REMOVED.value
        if name not in tasks:
            entries.append(known if was_removed else _removed(before, name, len(dag.tasks), now))
        elif was_removed:
            if ("indexes" in known) == _is_mapped(tasks[name]):
                entries.append({**_without_result(known), "state": TaskState.NONE.value})
        elif name not in before.graph.position or _mapped_alike(before.node(name).task, tasks[name]):
            entries.append(known)
    return {**status, "tasks": entries}


def _removed(run: RunState, name: str, tasks: int, now: datetime) -> dict[str, Any]:
    node = run.node(name)
    if node.count:
        node.unexpand(REMOVED, now)
    node.whole.clear(REMOVED, now)
    last = entry(node, message_limit(tasks), None)
    return {**last, "state": TaskState.REMOVED.value, "reason": REMOVED.reason, "message": REMOVED.message}


def _without_result(known: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in known.items() if key not in ("reason", "message", "finishedAt")}


def _is_mapped(task: ResolvedTask) -> bool:
    return task.for_each is not None or task.mapped_group is not None


def _mapped_alike(task: ResolvedTask, other: ResolvedTask) -> bool:
    return (task.mapped_group, task.for_each is None) == (other.mapped_group, other.for_each is None)
