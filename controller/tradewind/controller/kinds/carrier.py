"""Who carries out what the engine plans for tasks of a kind. What comes of it is reported."""

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
"""report(run_uid, report): what has become of a try."""


class Carrier:
    """Nothing is to be done, and no news matter: a kind overrides what is otherwise.

    Nothing may be kept that a restart needs: then the engine asks again.
    """

    def __init__(self, term: Term, report: Report, tries: Tries) -> None:
        self._term, self._report, self._tries = term, report, tries

    def start(self, start: Start) -> None:
        """A try has got its slots. To start what is being started does nothing."""

    def stop(self, stop: Stop) -> None:
        """A try that is under way is to end; its end is then reported."""

    def wait(self, wait: Wait) -> None:
        """A try waits for a report."""

    def runs_changed(self, changed: Sequence[RunState]) -> None:
        """These runs have changed, after a plan."""

    def run_loaded(self, run: RunState) -> None:
        """A run is scheduled from now on."""

    def run_changed(self, key: Key, change: Change[DagRunObject]) -> None:
        """A DagRun was created, changed, finished or was deleted."""

    def run_marked(self, run: DagRunObject) -> None:
        """A finished run has another result."""

    def dag_changed(self, dag: Key) -> None:
        """A Dag was created, changed or deleted."""
