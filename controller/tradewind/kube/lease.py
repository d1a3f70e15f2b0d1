"""Leader election among replicas with a coordination.k8s.io/v1 Lease.

The rules are client-go's. The holder renews the lease under an optimistic lock. The others take it if they have
observed no change of it for its whole duration BY THEIR OWN CLOCK (the times in it may come from a wrong clock). A
leader stops leading `renew_deadline` after its last successful renewal, which is before any other replica may start,
and `is_leader` is correct even if this process was frozen in between.

Several Leases may exclude each other, such as those of a whole and of its shards (`excludes`). A candidate then checks
all of them before it acquires its own, and again before it leads; if another is held, it releases its own. Two
concurrent candidates both write and then both check, so at least one sees the other. The leader itself need not check,
because a later candidate does.
"""

from __future__ import annotations

import logging
import math
import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from tradewind.kube.client import ApiClient
from tradewind.kube.clock import BOOT_CLOCK, Clock, micro_time
from tradewind.kube.errors import ApiError, KubeError, SteppedDown
from tradewind.kube.resources import LEASES

log = logging.getLogger(__name__)


class NotLeader(SteppedDown):
    """This replica is not, or no longer, the leader."""


class LeaderElection:
    """One candidate. Run `run()` as a task, and cancel the task to step down gracefully. `is_leader` and
    `ensure_leader` may be called from any thread, whatever the event loop is doing.

    `identity` must be unique to this process (a Pod's name is not: a restarted container has the same). Identities with
    the prefix `ended` (if it is not empty) belong to processes that are known to have exited: their Lease is taken at
    once. Durations are in seconds. `on_started` and `on_stopped` are called alternately and synchronously, and must not
    block; finish or cancel writes that need leadership in `on_stopped`.
    """

    def __init__(
        self,
        client: ApiClient,
        *,
        namespace: str,
        name: str,
        identity: str,
        ended: str = "",
        on_started: Callable[[], None],
        on_stopped: Callable[[], None],
        lease_duration: float = 15.0,
        renew_deadline: float = 10.0,
        retry_period: float = 2.0,
        clock: Clock = BOOT_CLOCK,
        rng: random.Random | None = None,
        excludes: Callable[[str], bool] | None = None,
        labels: Mapping[str, str] | None = None,
        unfit: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`unfit` returns why this process cannot act as leader, or None if it can; if it cannot, it leaves the lease
        to others. `excludes` returns whether the holder of the Lease with the given name (in this namespace) and the
        holder of ours must not lead at the same time; it must be symmetric, and needs permission to list Leases.
        `labels` are set on the Lease."""
        if not 0 < retry_period < renew_deadline < lease_duration:
            raise ValueError("the lease needs retry_period < renew_deadline < lease_duration")
        self.identity = identity
        self.holder = ""
        """The holder of the lease when it was last read."""
        self.transitions = 0
        """The number of changes of the holder, including to this one; it increases with every new leader."""
        self.term = 0
        """The number of times this candidate became leader. Work that started in one term must not continue in the
        next."""
        self._client, self._unfit = client, unfit
        self._ended = ended
        self._namespace = namespace
        self._name = name
        self._path = LEASES.path(namespace, name)
        self._on_started = on_started
        self._on_stopped = on_stopped
        self._lease_duration = lease_duration
        self._renew_deadline = renew_deadline
        self._retry_period = retry_period
        self._clock = clock
        self._rng = rng or random.Random()
        self._leading = False  # between on_started and on_stopped
        self._held_until = float("-inf")
        self._lease: dict[str, Any] = {}  # as last read; empty if there is none
        self._seen_since = float("-inf")  # when its last change was observed, by our clock
        # The renewTimes that we sent. They distinguish our own lease, written by a request without a response, from one
        # of another process with the same identity.
        self._own_renewals: deque[str] = deque(maxlen=16)
        self._excludes, self._labels = excludes, dict(labels or {})
        self._others: dict[str, tuple[dict[str, Any], float]] = {}
        """Leases that exclude ours: their spec, and when its last change was observed, by our clock."""
        self._excluded_by: tuple[str, str] | None = None
        self._claimed = False  # we may hold the lease, whether we lead or not
        self._extra_pause = 0.0

    @property
    def is_leader(self) -> bool:
        """True if this replica is the leader at this moment. It reads the clock: check it before each action."""
        return self._leading and self._clock.monotonic() < self._held_until

    def ensure_leader(self) -> None:
        """Raise NotLeader unless `is_leader`; for a Writer's `before_send`."""
        if not self.is_leader:
            raise NotLeader(f"{self.identity} does not hold the lease {self._namespace}/{self._name}")

    async def run(self) -> None:
        """Participate until cancelled; then step down and release the lease, so that a standby need not wait."""
        try:
            while True:
                await self._cycle()
                await self._clock.sleep(self._retry_period * (0.8 + 0.2 * self._rng.random()) + self._extra_pause)
                self._extra_pause = 0.0
        finally:
            if self._leading:
                self._stop_leading("this process is stopping")
                await self._release()
            elif self._claimed:
                await self._release_claim()

    async def _cycle(self) -> None:
        """Try once to acquire or renew the lease."""
        self._check_deadline()
        if (why := self._unfit()) is not None:
            await self._step_aside(why)
            return
        try:
            held = await self._acquire_or_renew()
        except KubeError as error:
            # A failed request does not lose the lease: the deadline decides.
            level = logging.INFO if error.is_transient else logging.WARNING
            log.log(level, "lease %s/%s: %s", self._namespace, self._name, error)
            held = self._leading
        self._check_deadline()
        if self._leading and not held:
            self._stop_leading(f"the lease is held by {self.holder}" if self.holder else "the lease was released")

    async def _step_aside(self, why: str) -> None:
        if self._leading:
            self._stop_leading(why)
            await self._release()
        elif self._claimed:
            await self._release_claim()

    def _check_deadline(self) -> None:
        if self._leading and not self.is_leader:
            self._stop_leading("the lease was not renewed in time")

    async def _acquire_or_renew(self) -> bool:
        """Return whether we hold the lease now. Raises KubeError if that is unknown."""
        if self._leading:
            try:
                return await self._write(self._lease)
            except ApiError as error:
                if not (error.is_conflict or error.is_not_found):
                    raise
                # The lease has changed: by another candidate, a person, or a request of ours without a response.
        await self._read()
        if not self._may_take() or await self._is_excluded():
            return False
        try:
            return await self._write(self._lease)
        except ApiError as error:
            if error.is_conflict or error.is_already_exists:
                return False  # another candidate was faster
            raise

    async def _read(self) -> None:
        try:
            lease = await self._request("GET", self._path)
        except ApiError as error:
            if not error.is_not_found:
                raise
            lease = {}
        if _spec(lease) != _spec(self._lease) or self._seen_since == float("-inf"):
            self._seen_since = self._clock.monotonic()
        self._note(lease)

    def _may_take(self) -> bool:
        spec = _spec(self._lease)
        holder = spec.get("holderIdentity") or ""
        if not holder or self._is_own(spec) or (self._ended and holder.startswith(self._ended)):
            return True
        duration = spec.get("leaseDurationSeconds") or self._lease_duration
        return self._clock.monotonic() >= self._seen_since + duration

    async def _write(self, lease: dict[str, Any]) -> bool:
        """Write ourselves into the lease, which must be unchanged since it was read. Return False if it is too late."""
        spec = _spec(lease)
        now = micro_time(self._clock.now())
        renewed = {
            **spec,
            "holderIdentity": self.identity,
            "leaseDurationSeconds": math.ceil(self._lease_duration),
            "renewTime": now,
        }
        if not self._is_own(spec):
            renewed["acquireTime"] = now
            renewed["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (1 if lease else 0)
        is_renewal = self._leading and self._is_own(spec)
        self._own_renewals.append(now)
        self._claimed = True
        # The others count from when they observe the write, which is after it was sent: count from there.
        sent = self._clock.monotonic()
        self._note(await self._put(lease, renewed))
        if not is_renewal and await self._is_excluded():
            self._extra_pause = self._retry_period * 2 * self._rng.random()
            return False
        if self._leading and not self.is_leader:
            return False
        self._held_until = sent + self._renew_deadline
        if not self._leading and self._clock.monotonic() < self._held_until:
            self._start_leading()
        return self._leading

    async def _is_excluded(self) -> bool:
        """Return whether another leader must stop before we may lead; if so, a lease that we hold is released. Raises
        KubeError if that is unknown."""
        found = await self._find_excluding()
        if found is not None and found != self._excluded_by:
            log.info("%s is waiting: the lease %s/%s is held by %s", self.identity, self._namespace, *found)
        self._excluded_by = found
        if found is not None and self._leading:
            self._stop_leading(f"the lease {found[0]} is held by {found[1]}")
        if found is not None and self._claimed:
            await self._release_claim()
        return found is not None

    async def _find_excluding(self) -> tuple[str, str] | None:
        """Return the name and holder of a held Lease that excludes ours, if any."""
        if self._excludes is None:
            return None
        # The list reflects a moment after this one: a lease has expired only if its duration had passed by then.
        asked = self._clock.monotonic()
        listed = await self._request("GET", LEASES.path(self._namespace))
        now = self._clock.monotonic()
        before, self._others = self._others, {}
        for lease in listed.get("items") or ():
            name, spec = lease["metadata"]["name"], _spec(lease)
            if name != self._name and self._excludes(name):
                known = before.get(name)
                self._others[name] = spec, known[1] if known is not None and known[0] == spec else now
        for name, (spec, since) in sorted(self._others.items()):
            duration = spec.get("leaseDurationSeconds") or self._lease_duration
            if (holder := spec.get("holderIdentity")) and asked < since + duration:
                return name, holder
        return None

    async def _release_claim(self) -> None:
        """Release a lease that we hold, or may hold, without being the leader."""
        try:
            await self._read()
        except KubeError as error:
            log.info("lease %s/%s: %s", self._namespace, self._name, error)
            return
        if self._is_own(_spec(self._lease)):
            await self._release()
        self._claimed = False

    async def _release(self) -> None:
        for _ in range(2):
            spec = {
                # No holder: the field may be absent, but must not be empty.
                "leaseDurationSeconds": 1,
                "renewTime": micro_time(self._clock.now()),
                "leaseTransitions": _spec(self._lease).get("leaseTransitions") or 0,
            }
            try:
                await self._put(self._lease, spec)
                return
            except KubeError as error:
                if not (isinstance(error, ApiError) and error.is_conflict):
                    log.info("lease %s/%s not released: %s", self._namespace, self._name, error)
                    return
            # The interrupted renewal did take effect, or another process holds the lease by now.
            try:
                await self._read()
            except KubeError:
                return
            if not self._is_own(_spec(self._lease)):
                return

    async def _put(self, lease: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
        if not lease:
            metadata = {"name": self._name, "namespace": self._namespace, "labels": self._labels}
            return await self._request("POST", LEASES.path(self._namespace), _document(metadata, spec))
        metadata = {**lease["metadata"], "labels": {**(lease["metadata"].get("labels") or {}), **self._labels}}
        return await self._request("PUT", self._path, _document(metadata, spec))

    async def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        timeout = self._renew_deadline / 2
        if self._leading:
            # A hanging request must not delay the check of the deadline.
            timeout = max(0.001, min(timeout, self._held_until - self._clock.monotonic()))
        return await self._client.request(method, path, body=body, timeout=timeout)

    def _is_own(self, spec: dict[str, Any]) -> bool:
        return spec.get("holderIdentity") == self.identity and spec.get("renewTime") in self._own_renewals

    def _note(self, lease: dict[str, Any]) -> None:
        self._lease = lease
        self.holder = _spec(lease).get("holderIdentity") or ""
        self.transitions = int(_spec(lease).get("leaseTransitions") or 0)

    def _start_leading(self) -> None:
        self.term += 1
        self._leading = True
        log.info("%s is the leader: it holds the lease %s/%s", self.identity, self._namespace, self._name)
        self._on_started()

    def _stop_leading(self, reason: str) -> None:
        self._leading = False
        self._held_until = float("-inf")
        log.warning("%s is no longer the leader: %s", self.identity, reason)
        self._on_stopped()


def _spec(lease: dict[str, Any]) -> dict[str, Any]:
    return lease.get("spec") or {}


def _document(metadata: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": metadata, "spec": spec}
