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
    version: int = 0
    """The resourceVersion with which its end was written, or what was asked of it since: of two runs the one with the
    lower was over first."""
    backfill: str = ""
    """The Backfill whose runs are counted apart with it; empty for the Dag's own."""


def surplus_runs(spec: DagSpec, finished: Iterable[FinishedRun]) -> list[str]:
    """Names of the runs to delete, oldest first: succeeded and failed ones have a limit each, those of each Backfill
    are counted apart."""
    groups: dict[tuple[str, bool], list[str]] = {}
    for run in sorted(finished, key=lambda run: (run.version, run.finished_at, run.name)):
        groups.setdefault((run.backfill, not run.succeeded), []).append(run.name)
    surplus: list[str] = []
    for (_, failed), same in sorted(groups.items()):
        limit = spec.failed_runs_history_limit if failed else spec.successful_runs_history_limit
        keep = DEFAULT_HISTORY_LIMIT if limit is None else limit
        surplus += same[: max(0, len(same) - keep)]
    return surplus
