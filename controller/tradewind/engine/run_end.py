"""How a run in which every task has ended has ended itself: decided over its leaf tasks."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tradewind.engine.states import RunPhase, TaskState

if TYPE_CHECKING:
    from tradewind.engine.run import RunState


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The last phase of a run."""

    phase: RunPhase
    reason: str
    message: str | None
    when: datetime


def run_end(run: "RunState", now: datetime) -> RunEnd:
    """Failed if a leaf is Failed or UpstreamFailed, else Succeeded; at the time the last task ended."""
    instances = list(run)
    ended = max((instance.finished_at for instance in instances if instance.finished_at), default=now)
    when = max(ended, run.started_at or ended)
    leaves = [instances[position].state for position in run.graph.leaves]
    if TaskState.FAILED not in leaves and TaskState.UPSTREAM_FAILED not in leaves:
        return RunEnd(RunPhase.SUCCEEDED, "Succeeded", None, when)
    failed = [instance.task.name for instance in instances if instance.state is TaskState.FAILED]
    more = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
    return RunEnd(RunPhase.FAILED, "TaskFailed", f"failed: {', '.join(failed[:5])}{more}", when)
