"""waitFor: a local run supports only times, which the engine handles."""

from tradewind.cli.local.kinds.carrier import LocalCarrier
from tradewind.engine.run.run_info import Wait
from tradewind.engine.run.tries import TryEvent


class NotHere(LocalCarrier):
    """Rejects waits for runs of other Dags and for Kubernetes objects."""

    def wait(self, wait: Wait) -> None:
        """Reject the try."""
        message = "waitFor: runs of other Dags and Kubernetes objects need a cluster"
        self._host.report(wait.key, TryEvent.REFUSED, reason="NotOnThisMachine", message=message, retry=False)
