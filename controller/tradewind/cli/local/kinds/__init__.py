"""Executes tasks of each kind on this machine.

carrier.py   the interface
pod.py       command, script, sensor: processes
wait_for.py  waitFor: only times, which the engine handles
noop.py      noop: nothing
"""

from tradewind.cli.local.kinds.carrier import Host, LocalCarrier
from tradewind.cli.local.kinds.noop import Nothing
from tradewind.cli.local.kinds.pod import Processes
from tradewind.cli.local.kinds.wait_for import NotHere
from tradewind.engine.scheduler import Plan

CARRIERS: dict[str, type[LocalCarrier]] = {
    "Pod": Processes,
    "Sensor": Processes,
    "WaitFor": NotHere,
    "Noop": Nothing,
}
"""By the name of the kind in api/kinds."""


class Carriers:
    """The carriers of all kinds."""

    def __init__(self, host: Host) -> None:
        self._all = {each: each(host) for each in CARRIERS.values()}

    def execute(self, plan: Plan) -> None:
        """Execute a plan: stop, start and wait."""
        for stop in plan.stops:
            self._of(stop.task.kind.name).stop(stop)
        for start in plan.starts:
            self._of(start.task.kind.name).start(start)
        for wait in plan.waits:
            self._of(wait.task.kind.name).wait(wait)

    def collect(self) -> None:
        """Report changes since the last call."""
        for each in self._all.values():
            each.collect()

    def kill(self) -> None:
        """Kill all processes."""
        for each in self._all.values():
            each.kill()

    @property
    def busy(self) -> bool:
        """True if the run must wait for something before it exits."""
        return any(each.busy for each in self._all.values())

    @property
    def seconds_to_wait(self) -> float | None:
        """Time after which collect() must be called at the latest."""
        times = (each.seconds_to_wait for each in self._all.values())
        return min((seconds for seconds in times if seconds is not None), default=None)

    def _of(self, kind: str) -> LocalCarrier:
        return self._all[CARRIERS[kind]]


__all__ = ["CARRIERS", "Carriers", "Host", "LocalCarrier"]
