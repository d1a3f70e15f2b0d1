"""Which finished runs of a Dag are more than its history limits keep."""

from bisect import bisect_left, insort
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from tradewind.api.dag import DagSpec
from tradewind.api.resolve import DEFAULT_HISTORY_LIMIT


class FinishedRun(NamedTuple):
    """What history needs to know of a run. Of two runs the lesser one finished first."""

    finished_at: datetime
    version: int
    """Its resourceVersion, which decides between runs that finished at the same moment. It says no more than that:
    whoever labels an old run gives it a new one."""
    name: str
    succeeded: bool
    backfill: str = ""
    """The Backfill whose runs are counted apart with it; empty for the Dag's own."""
    type: str = "Manual"
    """What made it: Manual, Scheduled or Backfill."""


class FinishedRuns:
    """The finished runs of one Dag.

    Succeeded and failed ones have a limit each, and those of each Backfill are counted apart. Failed runs of a Backfill
    have none: they are what one looks at, and runs again, once it has finished.
    """

    def __init__(self, runs: Iterable[FinishedRun] = ()) -> None:
        self._runs: dict[str, FinishedRun] = {}
        self._groups: dict[tuple[str, bool], list[FinishedRun]] = {}
        """By Backfill (or "") and whether they succeeded, the oldest first."""
        for run in runs:
            self.add(run)

    def __bool__(self) -> bool:
        return bool(self._runs)

    def names(self) -> list[str]:
        """The names of all."""
        return list(self._runs)

    def get(self, name: str) -> FinishedRun | None:
        """What is known of a run."""
        return self._runs.get(name)

    def add(self, run: FinishedRun) -> None:
        """A run has finished, or more is known of one that had."""
        self.remove(run.name)
        self._runs[run.name] = run
        insort(self._groups.setdefault((run.backfill, run.succeeded), []), run)

    def remove(self, name: str) -> None:
        """A run is gone, or goes on."""
        run = self._runs.pop(name, None)
        if run is not None:
            group = self._groups[run.backfill, run.succeeded]
            del group[bisect_left(group, run)]
            if not group:
                del self._groups[run.backfill, run.succeeded]

    def dissolve(self, backfill: str) -> None:
        """A Backfill is gone: its runs count with the Dag's own."""
        for succeeded in (True, False):
            for run in list(self._groups.get((backfill, succeeded), ())):
                self.add(run._replace(backfill=""))

    def count(self, *, succeeded: bool) -> int:
        """How many there are, those of Backfills among them."""
        return sum(len(group) for (_, how), group in self._groups.items() if how is succeeded)

    def surplus(self, spec: DagSpec) -> list[FinishedRun]:
        """Those that are more than the limits keep, in the order in which they finished."""
        surplus: list[FinishedRun] = []
        for (backfill, succeeded), group in self._groups.items():
            over = len(group) - _limit(spec, succeeded=succeeded)
            if over > 0 and (succeeded or not backfill):
                surplus += group[:over]
        return sorted(surplus)


def _limit(spec: DagSpec, *, succeeded: bool) -> int:
    limit = spec.successful_runs_history_limit if succeeded else spec.failed_runs_history_limit
    return DEFAULT_HISTORY_LIMIT if limit is None else limit
