"""One controller process: caches that are always warm and, while it is elected, a Leader."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from tradewind.api import names
from tradewind.cache.caches import Caches
from tradewind.cache.listeners import Listener
from tradewind.controller.leader import Leader
from tradewind.controller.metrics.collector import Mirror
from tradewind.controller.metrics.instrumentation import Metrics
from tradewind.controller.process.settings import Settings, default_identity, ended_identities
from tradewind.kube.client import KubeClient
from tradewind.kube.clock import BOOT_CLOCK, SYSTEM_CLOCK, Clock
from tradewind.kube.events import EventRecorder
from tradewind.kube.lease import LeaderElection, NotLeader
from tradewind.kube.objects import Key
from tradewind.kube.writer import Writer

log = logging.getLogger(__name__)

SILENT_WATCH = 240.0
"""Seconds without an event or a reconnection after which a watch counts as stuck. Bookmarks arrive about every minute,
and a stream that is silent for 90 s is reopened. While the API server is unreachable, reconnecting is retried: a
restart would not help."""
STUCK_LOOP = 60.0
"""Seconds without a step of the leader's loop while work is pending, or without a turn of the event loop. No accepted
object takes as long, and no standby waits as long for a Lease that is not renewed."""
FLUSH_WITHIN = 3.0
"""Seconds for writing statuses before the Lease is released, less than it is valid: the next leader finds out the rest
again."""
DRAIN_WITHIN = 1.0
"""Seconds after that for requests in flight, and for Events."""


class ElectionHost:
    """Runs the election on the controller's loop, as in the simulation and in tests."""

    def __init__(self, client: KubeClient) -> None:
        self.client = client

    def call_in_loop(self, act: Callable[[], None]) -> None:
        """Call a function on the controller's loop."""
        act()

    async def run(self, election: LeaderElection) -> None:
        """Take part in the election until cancelled."""
        await election.run()


class Controller(Listener):
    """Informers, election and, while elected, a Leader."""

    def __init__(
        self,
        settings: Settings,
        client: KubeClient,
        *,
        host: ElectionHost | None = None,
        clock: Clock = SYSTEM_CLOCK,
        boot_clock: Clock = BOOT_CLOCK,
    ) -> None:
        """`host` runs the election; by default on this loop."""
        self.host = host or ElectionHost(client)
        self.busy_with: Callable[[], str] = lambda: ""
        """Describes what the event loop is working on, if a watchdog is set."""
        self.metrics = Metrics()
        self.metrics.shard.labels(settings.shard, settings.shards).set(1)
        self.leader: Leader | None = None
        self._settings, self._client, self._clock = settings, client, clock
        self._term: asyncio.Task[None] | None = None
        self._term_number = 0
        """The election's term that started on this loop and has not ended on it; 0 for none."""
        self._beat = self._idle_at = clock.monotonic()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        identity, ended = settings.identity, settings.ended_identities
        if not identity:
            identity, ended = default_identity(), ended_identities()
        self.election = LeaderElection(
            self.host.client,
            namespace=settings.pod_namespace,
            name=settings.part.lease_name(settings.lease_name),
            identity=identity,
            ended=ended,
            lease_duration=settings.lease_duration,
            renew_deadline=settings.lease_duration * 2 / 3,
            retry_period=settings.lease_duration * 2 / 15,
            on_started=lambda: self.host.call_in_loop(self._started_leading),
            on_stopped=lambda: self.host.call_in_loop(self._stopped_leading),
            unfit=self._stuck,
            clock=boot_clock,
            excludes=settings.excludes,
            labels={names.LABEL_LEASE_OF: settings.lease_name, names.LABEL_SHARDS: str(settings.shards)},
        )
        self.metrics.leader.set_function(lambda: float(self.election.is_leader))
        self.writer = Writer(client, before_send=self._ensure_leader, field_manager="tradewind", clock=clock)
        self.recorder = EventRecorder(self.writer, "tradewind", self.election.identity, clock=clock)
        self.cluster = Caches(
            client,
            settings.scopes,
            part=settings.part,
            clock=clock,
        )
        self.cluster.subscribe(self)
        self.metrics.is_dag = self.cluster.dags.__contains__
        self.mirror = Mirror(
            self.cluster, lambda: self.leader.counted() if self.leader is not None else None, self.writer
        )
        self.metrics.registry.register(self.mirror)

    async def run(self) -> None:
        """Run until cancelled, or until an error that needs a restart of the process."""
        election: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as group:
            informers = group.create_task(self.cluster.run())
            beat = group.create_task(self._keep_beat())
            try:
                await self.cluster.wait_synced()
                election = group.create_task(self.host.run(self.election))
                await self.failed
            finally:
                # Stop acting first and release the Lease last, so that the next leader finds everything written.
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(FLUSH_WITHIN):
                        await self._end_term()
                with contextlib.suppress(Exception):
                    await self.writer.drain(DRAIN_WITHIN)
                await self.writer.stop()
                if election is not None:
                    election.cancel()
                informers.cancel()
                beat.cancel()

    def unhealthy(self) -> str | None:
        """Return why this process should be restarted, or None. Callable from any thread."""
        now = self._clock.monotonic()
        if (stuck := self._stuck()) is not None:
            return stuck
        if (leader := self.leader) is not None:
            pending = now - max(self._idle_at, leader.last_step)
            if pending > STUCK_LOOP:
                return f"the leader's loop has not run for {pending:.0f} s although work is pending"
        for informer in self.cluster.informers:
            silent = now - informer.last_activity
            if silent > SILENT_WATCH:
                where = f" in {informer.namespace}" if informer.namespace else ""
                return f"the watch of {informer.resource.plural}{where} has been stuck for {silent:.0f} s"
        return None

    def unready(self) -> str | None:
        """Return why this replica could not become leader now, or None."""
        if not self.cluster.synced:
            return f"waiting for {'; '.join(self.cluster.unlisted())}"
        return self.unhealthy()

    def left_out(self) -> str | None:
        """Return the namespaces that are not scheduled, with the resources that may not be listed there; None for
        none."""
        refused = self.cluster.refused()
        return f"not scheduled: {'; '.join(refused)}" if refused else None

    def _stuck(self) -> str | None:
        blocked = self._clock.monotonic() - self._beat
        if blocked <= STUCK_LOOP:
            return None
        busy_with = self.busy_with()
        return f"the event loop has been blocked for {blocked:.0f} s" + (f" by {busy_with}" if busy_with else "")

    async def _keep_beat(self) -> None:
        while True:
            self._beat = self._clock.monotonic()
            if self.leader is None or not self.leader.has_news:
                self._idle_at = self._beat
            await asyncio.sleep(1)

    # Leadership ---------------------------------------------------------------------------------------------------

    def dag_changed(self, key: Key) -> None:
        """Metrics of a Dag that is deleted are not kept."""
        if key not in self.cluster.dags:
            self.metrics.forget(key)

    def scope_opens(self) -> None:
        """Restart a leader's term when more namespaces become visible: it waits until their caches are synced."""
        if self._term_number:
            log.info("restarting as leader: more namespaces can be listed now")
            self._stopped_leading()
            self._started_leading()

    def _ensure_leader(self) -> None:
        """Raise NotLeader unless this loop may act. Work that it started in an earlier term, whose end has not reached
        this loop yet, must not continue in the next term."""
        self.election.ensure_leader()
        if self._term_number != self.election.term:
            raise NotLeader(f"{self.election.identity} was the leader of an earlier term")

    def _started_leading(self) -> None:
        self._term_number = self.election.term
        self.leader = Leader(
            self._client,
            self.writer,
            self.cluster,
            self.recorder,
            self.metrics,
            self._clock,
            parallelism=self._settings.parallelism,
        )
        self._term = asyncio.get_running_loop().create_task(self.leader.lead(), name="lead")
        self._term.add_done_callback(self._term_ended)

    def _stopped_leading(self) -> None:
        self._term_number = 0
        if self.leader is not None:
            self.leader.stop_listening()
            self.leader = None
        if self._term is not None:
            self._term.cancel()
            self._term = None

    def _term_ended(self, term: asyncio.Task[None]) -> None:
        if not term.cancelled() and (error := term.exception()) is not None and not self.failed.done():
            self.failed.set_exception(error)

    async def _end_term(self) -> None:
        leader, self.leader = self.leader, None
        if leader is not None:
            leader.stop_listening()
        term, self._term = self._term, None
        if term is not None:
            term.cancel()
            await asyncio.gather(term, return_exceptions=True)
        if leader is not None:
            await leader.runs.flush()
