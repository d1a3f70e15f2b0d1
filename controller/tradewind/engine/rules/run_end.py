"""The result of a run in which every task has finished: its leaf tasks decide."""

from dataclasses import dataclass
from datetime import datetime

from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase, TaskState
from tradewind.engine.run.task_node import TaskNode

ENDING_REASONS = frozenset({"FailFast", "Marked", "Stopped"})
"""Reasons of a run that has failed already and only runs its teardowns."""
MOST_NAMED = 5
"""Maximum tasks that the message of a run names."""


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The final phase of a run."""

    phase: RunPhase
    reason: str
    message: str | None
    when: datetime


def run_end(run: RunState, now: datetime) -> RunEnd:
    """Failed if an instance of a leaf task is Failed or UpstreamFailed, else Succeeded; at the finish time of the last
    task."""
    finished = max((node.finished_at or node.whole.finished_at or now for node in run.nodes), default=now)
    when = max(finished, run.started_at or finished)
    if run.reason in ENDING_REASONS:
        return RunEnd(RunPhase.FAILED, run.reason or "", run.message, when)
    leaves = {state for position in run.graph.leaves for state in run.nodes[position].tally()}
    if not leaves & {TaskState.FAILED, TaskState.UPSTREAM_FAILED}:
        failed = _named(run, TaskState.FAILED)
        return RunEnd(
            RunPhase.SUCCEEDED,
            "Succeeded",
            f"failed without failing the run: {failed}" if failed else None,
            when,
        )
    named, state = "failed", TaskState.FAILED
    if not any(state in node.tally() for node in run.nodes):
        # The failed tasks ran again since, without their downstream tasks.
        named, state = "upstream failed", TaskState.UPSTREAM_FAILED
    return RunEnd(RunPhase.FAILED, "TaskFailed", f"{named}: {_named(run, state)}", when)


def _named(run: RunState, state: TaskState) -> str:
    """The tasks with instances in a state, by name."""
    found = [_label(node, state) for node in run.nodes if state in node.tally()]
    return ", ".join(found[:MOST_NAMED]) + (f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else "")


def _label(node: TaskNode, state: TaskState) -> str:
    if not node.count:
        return node.task.name
    return f"{node.task.name} ({node.tally()[state]} of {node.count})"
