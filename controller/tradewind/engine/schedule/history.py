"""The finished runs of a Dag that exceed its history limits."""

from bisect import bisect_left, insort
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from tradewind.api.dag import DagSpec
from tradewind.api.resolve import DEFAULT_HISTORY_LIMIT


class HistoryEntry(NamedTuple):
    """The facts about a finished run that history needs. Runs sort by the order in which they finished."""

    finished_at: datetime
    version: int
    """Its resourceVersion, which only decides between runs that finished at the same moment: labelling an old run gives
    it a new one."""
    name: str
    succeeded: bool
    backfill: str = ""
    """The Backfill that it belongs to, whose runs count separately; empty for the Dag's own runs."""
    type: str = "Manual"
    """Manual, Scheduled or Backfill."""


class FinishedRuns:
    """The finished runs of one Dag.

    Succeeded and failed runs have a limit each, and the runs of each Backfill count separately. Failed runs of a
    Backfill have no limit: users inspect and rerun them after the Backfill has finished.
    """

    def __init__(self, runs: Iterable[HistoryEntry] = ()) -> None:
        self._runs: dict[str, HistoryEntry] = {}
        self._groups: dict[tuple[str, bool], list[HistoryEntry]] = {}
        """By (Backfill or "", succeeded), the oldest first."""
        for run in runs:
            self.add(run)

    def __bool__(self) -> bool:
        return bool(self._runs)

    def names(self) -> list[str]:
        """The names of all."""
        return list(self._runs)

    def get(self, name: str) -> HistoryEntry | None:
        """The finished run named `name`, or None."""
        return self._runs.get(name)

    def add(self, run: HistoryEntry) -> None:
        """Add a run, or replace the known facts about it."""
        self.remove(run.name)
        self._runs[run.name] = run
        insort(self._groups.setdefault((run.backfill, run.succeeded), []), run)

    def remove(self, name: str) -> None:
        """Remove a run that was deleted or runs again."""
        run = self._runs.pop(name, None)
        if run is not None:
            group = self._groups[run.backfill, run.succeeded]
            del group[bisect_left(group, run)]
            if not group:
                del self._groups[run.backfill, run.succeeded]

    def dissolve(self, backfill: str) -> None:
        """Count the runs of a deleted Backfill with the Dag's own."""
        for succeeded in (True, False):
            for run in list(self._groups.get((backfill, succeeded), ())):
                self.add(run._replace(backfill=""))

    def count(self, *, succeeded: bool) -> int:
        """The number of runs, those of Backfills included."""
        return sum(len(group) for (_, how), group in self._groups.items() if how is succeeded)

    def surplus(self, spec: DagSpec) -> list[HistoryEntry]:
        """The runs that exceed the limits, in the order in which they finished."""
        surplus: list[HistoryEntry] = []
        for (backfill, succeeded), group in self._groups.items():
            over = len(group) - _limit(spec, succeeded=succeeded)
            if over > 0 and (succeeded or not backfill):
                surplus += group[:over]
        return sorted(surplus)


def _limit(spec: DagSpec, *, succeeded: bool) -> int:
    limit = spec.successful_runs_history_limit if succeeded else spec.failed_runs_history_limit
    return DEFAULT_HISTORY_LIMIT if limit is None else limit
