"""What each kind of task decides: what starts a try, what its end means, what it waits for.

A kind reads a run and answers with a value, which transitions/ carry out.

kind.py      the interface and its answers
waiting.py   the base of kinds that wait without a Pod
pod.py       command, script: each try is one Pod
sensor.py    sensor: a Pod again and again
wait_for.py  waitFor: a time or something in the cluster
noop.py      noop: nothing
"""

from tradewind.api.resolve import ResolvedTask
from tradewind.engine.kinds.kind import Kind
from tradewind.engine.kinds.noop import Noop
from tradewind.engine.kinds.pod import Pod
from tradewind.engine.kinds.sensor import Sensor
from tradewind.engine.kinds.wait_for import WaitFor

KINDS: dict[str, Kind] = {
    "Pod": Pod(),
    "Sensor": Sensor(),
    "WaitFor": WaitFor(),
    "Noop": Noop(),
}
"""By the name in api/kinds."""


def kind_of(task: ResolvedTask) -> Kind:
    """What decides for a task."""
    return KINDS[task.kind.name]


__all__ = ["KINDS", "Kind", "kind_of"]
