"""Executes what the engine plans for tasks, by the kind of task.

carrier.py  the interface
waits.py    the base of kinds that wait without a Pod
waiter.py   one task instance that waits
pod.py      command, script, sensor: Pods
wait_for/   waitFor: runs of Dags, and objects
noop.py     noop: nothing
"""

from collections.abc import Iterable

from tradewind.cache.resources import DagRunObject
from tradewind.controller.kinds.carrier import Carrier, Report
from tradewind.controller.kinds.noop import Nothing
from tradewind.controller.kinds.pod import Pods
from tradewind.controller.kinds.wait_for import WaitForCarrier
from tradewind.controller.pods.tries import Tries
from tradewind.controller.term import Term
from tradewind.engine.run.run_info import Stop, Wait
from tradewind.engine.run.state import RunState
from tradewind.engine.scheduler import Start
from tradewind.kube.informer import Change
from tradewind.kube.objects import Key

CARRIERS: dict[str, type[Carrier]] = {
    "Pod": Pods,
    "Sensor": Pods,
    "WaitFor": WaitForCarrier,
    "Noop": Nothing,
}
"""By the name in api/kinds."""


class Carriers:
    """One carrier of each type: plans go to the carrier of the task's kind, changes in the cluster to all."""

    def __init__(self, term: Term, report: Report, tries: Tries) -> None:
        self._all = {each: each(term, report, tries) for each in CARRIERS.values()}

    def __getitem__(self, kind: str) -> Carrier:
        return self._all[CARRIERS[kind]]

    def start(self, start: Start) -> None:
        """Start a try, which has its slots."""
        self[start.task.kind.name].start(start)

    def stop(self, stop: Stop) -> None:
        """Stop a running try."""
        self[stop.task.kind.name].stop(stop)

    def wait(self, wait: Wait) -> None:
        """Report to a waiting try."""
        self[wait.task.kind.name].wait(wait)

    def runs_changed(self, changed: Iterable[RunState]) -> None:
        """Handle runs that changed in a plan."""
        runs = list(changed)
        for each in self._all.values():
            each.runs_changed(runs)

    def run_loaded(self, run: RunState) -> None:
        """Handle a run that was loaded and is scheduled now."""
        for each in self._all.values():
            each.run_loaded(run)

    def run_changed(self, key: Key, change: Change[DagRunObject]) -> None:
        """Handle a DagRun that was created, changed, finished or deleted."""
        for each in self._all.values():
            each.run_changed(key, change)

    def run_marked(self, run: DagRunObject) -> None:
        """Handle a finished run that was marked."""
        for each in self._all.values():
            each.run_marked(run)

    def dag_changed(self, dag: Key) -> None:
        """Handle a Dag that was created, changed or deleted."""
        for each in self._all.values():
            each.dag_changed(dag)


__all__ = ["CARRIERS", "Carrier", "Carriers"]
