"""Notifications about runs, for their Dags, their Backfills, tasks that wait for them, and metrics."""

from collections.abc import Mapping
from typing import Any, Protocol

from tradewind.cache.resources import DagRunObject
from tradewind.engine.run.state import RunState
from tradewind.engine.schedule.finished_run import FinishedRun


class RunEvents(Protocol):
    """Implemented by the leader. That a run finished is notified right after its final status is written, in its Dag's
    turn."""

    def run_loaded(self, run: RunState) -> None:
        """A run was loaded and is scheduled now."""
        ...

    def run_finished(self, run: RunState, version: int) -> None:
        """A run finished and its final status is written; `version` is the resourceVersion of that write."""
        ...

    def run_refused(self, run: FinishedRun) -> None:
        """A run was refused before it started, and that is written."""
        ...

    def run_reopened(self, run: DagRunObject) -> None:
        """A finished run is run again."""
        ...

    def run_marked(self, run: DagRunObject, status: Mapping[str, Any]) -> None:
        """A finished run was marked; `status` is its new status."""
        ...
