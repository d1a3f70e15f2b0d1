"""Two replicas of the controller for one namespace, and the leader by the Lease."""

import threading
import time
from typing import Any

import kubernetes
import urllib3

from tests.e2e.controller_process import LEASE_SECONDS, ControllerProcess, Controllers
from tests.e2e.spaces import Space
from tests.faults.sizes import size

LEASE = "tradewind-controller"
SECONDS = size("LEASE_SECONDS", LEASE_SECONDS)


class LeaseWatch(threading.Thread):
    """When the Lease changed hands, by a watch of the official client's."""

    def __init__(self, space: Space) -> None:
        super().__init__(daemon=True)
        self.changes: list[tuple[float, str]] = []
        """(time.monotonic(), the holder from then on; empty for none)"""
        self._space = space
        self._ended = False
        self.start()

    def run(self) -> None:
        leases = self._space.witness.leases.list_namespaced_lease
        while not self._ended:
            watch: Any = kubernetes.watch.Watch()  # type: ignore[no-untyped-call]
            try:
                for event in watch.stream(leases, self._space.name, timeout_seconds=300):
                    if event["object"].metadata.name == LEASE:
                        self._note(event["object"].spec.holder_identity or "")
            except (urllib3.exceptions.HTTPError, kubernetes.client.ApiException):
                time.sleep(0.2)

    def taken_over(self, process: ControllerProcess) -> float | None:
        """When the replica last became the holder."""
        marks = [at for at, holder in list(self.changes) if f"_{process.process.pid}_" in holder]
        return marks[-1] if marks else None

    def end(self) -> None:
        """Watch no more."""
        self._ended = True

    def _note(self, holder: str) -> None:
        if not self.changes or self.changes[-1][1] != holder:
            self.changes.append((time.monotonic(), holder))


class Replicas:
    """A leader and a standby."""

    def __init__(self, space: Space, controllers: Controllers, *options: str) -> None:
        self._space, self._controllers = space, controllers
        self._options = (f"--lease-duration={SECONDS}", *options)
        self.leases = LeaseWatch(space)
        self.leader = self._launch().wait_leading()
        self.standby = self._launch().wait_ready()

    def kill_leader(self) -> float:
        """SIGKILL; the seconds until the Lease names the standby, which leads then. Another one is its standby."""
        killed_at = time.monotonic()
        self.leader.kill()
        self.leader, dead = self.standby, self.leader
        taken = self._space.eventually(lambda: self.leases.taken_over(self.leader), f"{dead.process.pid} is replaced")
        # Not before: what starts takes processor time from who is to take over.
        self.standby = self._launch()
        self.leader.wait_leading()
        self.standby.wait_ready()
        return float(taken - killed_at)

    def end(self) -> None:
        """Watch the Lease no more."""
        self.leases.end()

    def _launch(self) -> ControllerProcess:
        return self._controllers.launch_for(self._space.name, *self._options)
