"""The interface that executes what the engine plans for tasks of a kind, and reports the results."""

from collections.abc import Callable, Sequence

from tradewind.cache.resources import DagRunObject
from tradewind.controller.pods.tries import Tries
from tradewind.controller.term import Term
from tradewind.engine.run.run_info import Stop, Wait
from tradewind.engine.run.state import RunState
from tradewind.engine.run.tries import TryReport
from tradewind.engine.scheduler import Start
from tradewind.kube.informer import Change
from tradewind.kube.objects import Key

Report = Callable[[str, TryReport], None]
"""report(run_uid, report): reports the state of a try."""


class Carrier:
    """Does nothing by default; kinds override what they need.

    It may keep no state that a restart needs: after a restart the engine plans again.
    """

    def __init__(self, term: Term, report: Report, tries: Tries) -> None:
        self._term, self._report, self._tries = term, report, tries

    def start(self, start: Start) -> None:
        """Start a try, which has its slots. Does nothing if it is being started already."""

    def stop(self, stop: Stop) -> None:
        """Stop a running try; its result is then reported. It may have a Pod whatever the kind of its task is now."""
        self._term.spawn(self._tries.stop(stop), f"stop {stop.run.name}/{stop.key.instance}")

    def wait(self, wait: Wait) -> None:
        """Report to a waiting try."""

    def runs_changed(self, changed: Sequence[RunState]) -> None:
        """Handle runs that changed in a plan."""

    def run_loaded(self, run: RunState) -> None:
        """Handle a run that was loaded and is scheduled now."""

    def run_changed(self, key: Key, change: Change[DagRunObject]) -> None:
        """Handle a DagRun that was created, changed, finished or deleted."""

    def run_marked(self, run: DagRunObject) -> None:
        """Handle a finished run that was marked."""

    def dag_changed(self, dag: Key) -> None:
        """Handle a Dag that was created, changed or deleted."""
