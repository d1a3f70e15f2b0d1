"""command, script and sensor: each try, or each poke, is a Pod (pods/tries.py)."""

from tradewind.controller.kinds.carrier import Carrier
from tradewind.engine.scheduler import Start


class Pods(Carrier):
    """Creates Pods."""

    def start(self, start: Start) -> None:
        """Create the Pod of a try."""
        run = self._term.scheduler.runs[start.run.uid]
        self._term.spawn(self._tries.start(run, start), f"start {start.run.name}/{start.key.instance}")
