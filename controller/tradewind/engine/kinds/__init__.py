"""The decisions of each kind of task: how a try starts, what the end of its Pod means, what it waits for.

A kind reads a run and returns a value, which transitions/ apply.

kind.py      the interface and its answers
waiting.py   the base of kinds that wait without a Pod
pod.py       command, script: each try is one Pod
sensor.py    sensor: a Pod for each poke
wait_for.py  waitFor: a time, a run or an object in the cluster
noop.py      noop: succeeds immediately
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
    """The kind of a task."""
    return KINDS[task.kind.name]


__all__ = ["KINDS", "Kind", "kind_of"]
