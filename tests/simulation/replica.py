"""One replica of the controller: the real one, without its process and its HTTP endpoints."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tests.simulation.loop import OWNER, Owner, VirtualLoop
from tests.simulation.network import Network, SimulatedClient
from tradewind.controller.process.controller import Controller
from tradewind.controller.process.settings import Settings

RESTART_AFTER = 2.0
PROBE_EVERY = 10.0
PROBES_FAILED = 3


class ReplicaClock:
    """The clock of a machine: its wall clock may be wrong, and may be set."""

    def __init__(self, loop: VirtualLoop, true_time: Callable[[], datetime]) -> None:
        self.skew = timedelta(0)
        self._loop, self._true_time = loop, true_time

    def monotonic(self) -> float:
        return self._loop.time()

    def now(self) -> datetime:
        return self._true_time() + self.skew

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Life(Owner):
    """One process of a replica, from its start to its exit. `seen` are the results of Pods that it has received."""

    def __init__(self, replica: Replica, number: int) -> None:
        super().__init__(f"{replica.name}-{number}")
        self.known: dict[str, None] = {}
        """UIDs of Pods that it has heard of."""
        self.seen: dict[str, None] = {}
        """UIDs of Pods whose end it has seen."""
        self.deleting: dict[str, float] = {}
        """UIDs of Dags of which it has heard that they are being deleted, and when."""
        self.client = SimulatedClient(replica.network, self.name, self._see)
        self.controller: Controller | None = None
        self.ended = False

    def _see(self, document: Any) -> None:
        self.known[document["metadata"].get("uid", "")] = None
        if "deletionTimestamp" in document["metadata"] and "tasks" in document.get("spec", ()):
            self.deleting.setdefault(document["metadata"]["uid"], self.client.network.loop_time())
        statuses = (document.get("status") or {}).get("containerStatuses") or ()
        if any(status.get("name") == "task" and "terminated" in (status.get("state") or {}) for status in statuses):
            self.seen[document["metadata"]["uid"]] = None


class Replica:
    """A Pod of the controller's Deployment: its process is started again when it ends."""

    def __init__(
        self,
        name: str,
        network: Network,
        loop: VirtualLoop,
        true_time: Callable[[], datetime],
        settings: dict[str, Any],
        log: Callable[[str], None],
    ) -> None:
        self.name, self.network = name, network
        self.clock = ReplicaClock(loop, true_time)
        self.part = Settings(**settings).part
        self.life: Life | None = None
        self.lives: list[Life] = []
        self.failures: list[str] = []
        """Why processes exited, or were unhealthy."""
        self._loop, self._settings, self._log = loop, settings, log
        self._probes_failed = 0

    @property
    def leads(self) -> bool:
        controller = self.life.controller if self.life is not None else None
        return controller is not None and controller.election.is_leader

    def start(self) -> None:
        """Start the process, unless it runs."""
        if self.life is not None:
            return
        life = self.life = Life(self, len(self.lives) + 1)
        self.lives.append(life)
        self._log(f"{life.name} starts")
        context = contextvars.Context()
        context.run(OWNER.set, life)
        task = self._loop.create_task(self._run(life), context=context)
        task.add_done_callback(lambda task: self._ended(life, task), context=contextvars.Context())
        self._probes_failed = 0
        self._probe_later(life)

    def kill(self, restart_after: float | None = RESTART_AFTER) -> None:
        """End the process at this very moment; it does nothing more, whatever it was about to."""
        life, self.life = self.life, None
        if life is None:
            return
        self._log(f"{life.name} is killed")
        life.ended = True
        life.client.kill()
        self._reap(life)
        if restart_after is not None:
            self._later(restart_after, self.start)

    def stop(self, restart_after: float | None = RESTART_AFTER) -> None:
        """Ask the process to end, as a rolling update does."""
        life = self.life
        if life is None or life.frozen or not life.tasks:
            return
        self._log(f"{life.name} gets SIGTERM")
        next(iter(life.tasks)).cancel()
        if restart_after is not None:
            self._later(restart_after + 20, self.start)

    def freeze(self, seconds: float) -> None:
        """Let the process not run for a while; it does not know."""
        life = self.life
        if life is None or life.frozen:
            return
        self._log(f"{life.name} is frozen for {seconds:.1f} s")
        life.frozen = True
        self._later(seconds, self._thaw, life)

    def _thaw(self, life: Life) -> None:
        if life.frozen:
            self._log(f"{life.name} resumes")
            self._loop.thaw(life)

    async def _run(self, life: Life) -> None:
        settings = Settings(identity=life.name, ended_identities=f"{self.name}-", **self._settings)
        controller = Controller(settings, life.client, clock=self.clock, boot_clock=self.clock)
        life.controller = controller
        await controller.run()

    def _ended(self, life: Life, task: asyncio.Task[None]) -> None:
        if self.life is not life:
            return
        self.life = None
        life.ended = True
        life.client.kill()
        error = None if task.cancelled() else task.exception()
        self._log(f"{life.name} exited: {error!r}")
        if error is not None:
            self.failures.append(f"{life.name}: {error!r}")
            self._reap(life)
            self._later(RESTART_AFTER, self.start)

    def _reap(self, life: Life) -> None:
        """Get rid of what is left of a dead process; its requests go nowhere."""
        self._thaw(life)
        for task in list(life.tasks):
            task.cancel()
        if life.tasks:
            self._later(1.0, self._reap, life)

    def _probe_later(self, life: Life) -> None:
        self._later(PROBE_EVERY, self._probe, life)

    def _probe(self, life: Life) -> None:
        """The kubelet's liveness probe."""
        if self.life is not life or life.controller is None:
            return
        trouble = "it is frozen" if life.frozen else life.controller.unhealthy()
        self._probes_failed = self._probes_failed + 1 if trouble else 0
        if self._probes_failed >= PROBES_FAILED:
            self.failures.append(f"{life.name}: unhealthy, {trouble}")
            self.kill()
        else:
            self._probe_later(life)

    def _later(self, seconds: float, act: Callable[..., None], *arguments: Any) -> None:
        self._loop.call_later(seconds, act, *arguments, context=contextvars.Context())
