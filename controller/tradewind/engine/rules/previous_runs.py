"""dependsOnPast and waitForDownstream: the states of tasks in the previous run.

The previous run is the run of the same Dag with the latest earlier logical date, of any type; of several runs with that
date it is the one created last. Runs that were rejected, and so never started, do not count.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tradewind.api.resolve import ResolvedTask
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase, TaskState

RunPlace = tuple[datetime, datetime, str]
"""(logical date, creation time, name): the order of the runs of a Dag."""

PASSES = frozenset({TaskState.SUCCEEDED, TaskState.SKIPPED, TaskState.REMOVED})
"""States of a task in which the same task of the next run may start."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """The facts about a finished run that later runs need. `states` has one state for all instances of each task."""

    uid: str
    place: RunPlace
    phase: RunPhase
    interval_start: datetime
    interval_end: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    states: Mapping[str, TaskState] = field(default_factory=dict)

    @classmethod
    def of(cls, run: RunState) -> "PastRun":
        """The facts about a finished run in memory."""
        return cls(
            uid=run.info.uid,
            place=place_of(run.info),
            phase=run.phase,
            interval_start=run.info.interval_start,
            interval_end=run.info.interval_end,
            started_at=run.started_at,
            finished_at=run.finished_at,
            states={node.task.name: node.state for node in run.nodes},
        )

    @property
    def name(self) -> str:
        return self.place[2]

    @property
    def succeeded(self) -> bool:
        return self.phase is RunPhase.SUCCEEDED


def place_of(info: RunInfo) -> RunPlace:
    """The place of a run among the runs of its Dag."""
    return info.logical_date, info.created_at or info.logical_date, info.name


def tasks_before(task: ResolvedTask, direct_downstream: Mapping[str, list[str]]) -> list[str]:
    """The tasks of the previous run that a task with dependsOnPast depends on."""
    return [task.name, *(direct_downstream.get(task.name, ()) if task.wait_for_downstream else ())]


def state_in(before: RunState | PastRun, task: str) -> TaskState | None:
    """The state of all instances of a task in an earlier run; None if that run does not have the task."""
    if isinstance(before, PastRun):
        return before.states.get(task)
    position = before.graph.position.get(task)
    return None if position is None else before.nodes[position].state


def waits_message(task: str, run: str, state: TaskState | None) -> str:
    """The message of a task that waits for a task of the previous run."""
    how_far = "not started" if state in (None, TaskState.NONE) else str(state)
    return f"waiting for task {task!r} of the previous run {run!r} ({how_far})"
