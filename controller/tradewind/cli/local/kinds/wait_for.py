"""waitFor: no more than times can be waited for on this machine, and those are the engine's business."""

from tradewind.cli.local.kinds.carrier import LocalCarrier
from tradewind.engine.run.run_info import Wait
from tradewind.engine.run.tries import TryEvent


class NotHere(LocalCarrier):
    """Refuses to wait for runs of other Dags and for Kubernetes objects."""

    def wait(self, wait: Wait) -> None:
        """There is nothing to wait for."""
        message = "waitFor: there are no runs of other Dags and no Kubernetes objects here: this needs a cluster"
        self._host.report(wait.key, TryEvent.REFUSED, reason="NotOnThisMachine", message=message, retry=False)
