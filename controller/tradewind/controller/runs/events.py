"""What becomes of runs, told to whoever goes by it: their Dags, their Backfills, tasks that wait for them, metrics."""

from collections.abc import Mapping
from typing import Any, Protocol

from tradewind.cache.resources import DagRunObject
from tradewind.engine.run.state import RunState
from tradewind.engine.schedule.ended_run import EndedRun


class RunEvents(Protocol):
    """Implemented by the leader. It is told that a run has finished right after that was written, in its Dag's turn."""

    def run_loaded(self, run: RunState) -> None:
        """A run is scheduled from now on."""
        ...

    def run_finished(self, run: RunState, version: int) -> None:
        """A run has finished, and that is written; `version` is its resourceVersion then."""
        ...

    def run_refused(self, run: EndedRun) -> None:
        """A run has finished that could never start, and that is written."""
        ...

    def run_reopened(self, run: DagRunObject) -> None:
        """A run that had finished is to run again."""
        ...

    def run_marked(self, run: DagRunObject, status: Mapping[str, Any]) -> None:
        """A run that had finished has another end: `status` is what was written of it."""
        ...
