"""Which finished runs of a Dag are more than its history limits keep."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tradewind.api.dag import DagSpec
from tradewind.api.resolve import DEFAULT_HISTORY_LIMIT


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """What history needs to know of a run."""

    name: str
    succeeded: bool
    finished_at: datetime


def surplus_runs(spec: DagSpec, finished: Iterable[FinishedRun]) -> list[str]:
    """Names of the runs to delete, oldest first: succeeded and failed ones have a limit each."""
    runs = sorted(finished, key=lambda run: (run.finished_at, run.name))
    surplus: list[str] = []
    for succeeded, limit in (
        (True, spec.successful_runs_history_limit),
        (False, spec.failed_runs_history_limit),
    ):
        same = [run.name for run in runs if run.succeeded is succeeded]
        keep = DEFAULT_HISTORY_LIMIT if limit is None else limit
        surplus += same[: max(0, len(same) - keep)]
    return surplus
