"""command, script and sensor: each try, or each poke, is a Pod (pods/tries.py)."""

from tradewind.controller.kinds.carrier import Carrier
from tradewind.engine.run.run_info import Stop
from tradewind.engine.scheduler import Start


class Pods(Carrier):
    """Creates and stops Pods."""

    def start(self, start: Start) -> None:
        """Create the Pod of a try."""
        run = self._term.scheduler.runs[start.run.uid]
        self._term.spawn(self._tries.start(run, start), f"start {start.run.name}/{start.key.instance}")

    def stop(self, stop: Stop) -> None:
        """Stop the Pod of a try."""
        self._term.spawn(self._tries.stop(stop), f"stop {stop.run.name}/{stop.key.instance}")
