"""waitFor: tasks that wait for a run of a Dag, or for a condition or field of a Kubernetes object.

dag_runs.py   runs of Dags, and their tasks
objects.py    conditions and fields of objects
api_kinds.py  the API resource of a kind
"""

from collections.abc import Sequence

from tradewind.cache.object_watches import ObjectWatches
from tradewind.cache.resources import DagRunObject
from tradewind.controller.kinds.carrier import Report
from tradewind.controller.kinds.wait_for.dag_runs import DagRunWaits
from tradewind.controller.kinds.wait_for.objects import ObjectWaits
from tradewind.controller.kinds.waiter import Waiter
from tradewind.controller.kinds.waits import Waits
from tradewind.controller.pods.tries import Tries
from tradewind.controller.term import Term
from tradewind.engine.run.state import RunState
from tradewind.kube.informer import Change
from tradewind.kube.objects import Key


class WaitForCarrier(Waits):
    """Follows what waitFor tasks wait for."""

    def __init__(self, term: Term, report: Report, tries: Tries) -> None:
        super().__init__(term, report, tries)
        self.objects = ObjectWatches(term.client, spawn=term.spawn, clock=term.clock)
        self._dag_runs = DagRunWaits(term)
        self._objects = ObjectWaits(term, self.objects)

    def begin(self, waiter: Waiter) -> None:
        """Follow the run or object that a task waits for."""
        wanted = waiter.wait.task.spec.wait_for
        if wanted is not None and wanted.dag_run is not None:
            self._dag_runs.begin(waiter, wanted.dag_run)
        elif wanted is not None and wanted.object is not None:
            self._objects.begin(waiter, wanted.object)

    def runs_changed(self, changed: Sequence[RunState]) -> None:
        """Handle runs that changed in a plan."""
        for run in changed:
            super().runs_changed([run])
            self._dag_runs.scheduled_run_changed(run)

    def run_loaded(self, run: RunState) -> None:
        """Handle a run that was loaded and is scheduled now."""
        self._dag_runs.scheduled_run_changed(run)

    def run_changed(self, key: Key, change: Change[DagRunObject]) -> None:
        """Handle a DagRun that was created, changed, finished or deleted."""
        self._dag_runs.run_changed(key, change)
        super().run_changed(key, change)

    def run_marked(self, run: DagRunObject) -> None:
        """Handle a finished run that was marked."""
        self._dag_runs.run_marked(run)

    def dag_changed(self, dag: Key) -> None:
        """Handle a Dag that was created or deleted."""
        self._dag_runs.dag_changed(dag)
