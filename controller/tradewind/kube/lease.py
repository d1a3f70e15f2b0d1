"""Leader election among replicas by a coordination.k8s.io/v1 Lease.

The rules are client-go's: whoever holds the lease renews it under an optimistic lock; the others take it when
they have seen no change of it for its whole duration BY THEIR OWN CLOCK (the times written in it may come
from a clock that is wrong). A leader stops leading `renew_deadline` after its last successful renewal, which
is before anyone else may start, and `is_leader` knows so even if this process was frozen in between.

Several Leases may exclude each other, as those of a whole and of its parts do (`excludes`). A candidate then looks at
all of them before it writes itself into its own, and again before it leads; if another is held it gives its own back.
Of two that come at once both write and then both look, so at least one sees the other. Whoever leads need not look: who
comes later does.
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
    """This replica does not lead, or not any more."""


class LeaderElection:
    """One candidate. `run()` it as a task; cancel the task to step down gracefully. `is_leader` and `ensure_leader` may
    be asked from any thread, whatever the loop that this runs on is doing.

    `identity` must be unique to this process (a Pod's name is not: a restarted container has the same). Identities that
    begin with `ended` (if it is not empty) are of processes that are known to have ended: their Lease is taken at once.
    Durations are in seconds. `on_started` and `on_stopped` are called in turn, synchronously, and must not
    block; finish or cancel the writes that need leadership in `on_stopped`.
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
        """`unfit` says why this process could not do what a leader has to, if so; then the lease is left to others.
        `excludes` says of the name of a Lease in this namespace whether its holder and ours must not lead both; that
        must be mutual. It takes the right to list Leases there. The Lease is given the `labels`."""
        if not 0 < retry_period < renew_deadline < lease_duration:
            raise ValueError("retry_period < renew_deadline < lease_duration is what makes it safe")
        self.identity = identity
        self.holder = ""
        """Who held the lease when it was last seen."""
        self.transitions = 0
        """How often the lease changed hands, ours included; grows with every new leader."""
        self.term = 0
        """How often this candidate has begun to lead. Who began something in one term must not go on in the next."""
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
        self._lease: dict[str, Any] = {}  # as last seen, empty if there is none
        self._seen_since = float("-inf")  # since when it has looked like that, by our clock
        # The renewTimes that we sent: what tells a lease of ours, written by a request that nobody answered,
        # from that of another process with the same identity.
        self._own_renewals: deque[str] = deque(maxlen=16)
        self._excludes, self._labels = excludes, dict(labels or {})
        self._others: dict[str, tuple[dict[str, Any], float]] = {}
        """Leases that exclude ours: what they say, and since when they have, by our clock."""
        self._waits_for: tuple[str, str] | None = None
        self._claimed = False  # a lease of ours may be out there, whether we lead or not
        self._rest = 0.0

    @property
    def is_leader(self) -> bool:
        """Whether this replica leads at this very moment. Reads the clock: ask before each action."""
        return self._leading and self._clock.monotonic() < self._held_until

    def ensure_leader(self) -> None:
        """Raise NotLeader unless `is_leader`; fit for a Writer's `before_send`."""
        if not self.is_leader:
            raise NotLeader(f"{self.identity} does not hold the lease {self._namespace}/{self._name}")

    async def run(self) -> None:
        """Take part until cancelled; then step down and release the lease, so that a standby need not wait."""
        try:
            while True:
                await self._cycle()
                await self._clock.sleep(self._retry_period * (0.8 + 0.2 * self._rng.random()) + self._rest)
                self._rest = 0.0
        finally:
            if self._leading:
                self._stop_leading("this process stops")
                await self._release()
            elif self._claimed:
                await self._give_back()

    async def _cycle(self) -> None:
        """One attempt to acquire or to renew."""
        self._check_deadline()
        if (why := self._unfit()) is not None:
            await self._stand_back(why)
            return
        try:
            held = await self._acquire_or_renew()
        except KubeError as error:
            # Not answered is not lost: the deadline decides.
            level = logging.INFO if error.is_transient else logging.WARNING
            log.log(level, "lease %s/%s: %s", self._namespace, self._name, error)
            held = self._leading
        self._check_deadline()
        if self._leading and not held:
            self._stop_leading(f"{self.holder or 'nobody'} holds the lease")

    async def _stand_back(self, why: str) -> None:
        if self._leading:
            self._stop_leading(why)
            await self._release()
        elif self._claimed:
            await self._give_back()

    def _check_deadline(self) -> None:
        if self._leading and not self.is_leader:
            self._stop_leading("the lease was not renewed in time")

    async def _acquire_or_renew(self) -> bool:
        """Whether the lease is ours now. KubeError if that could not be found out."""
        if self._leading:
            try:
                return await self._write(self._lease)
            except ApiError as error:
                if not (error.is_conflict or error.is_not_found):
                    raise
                # Somebody else wrote it: another candidate, a person, or an unanswered request of ours.
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
        """Write ourselves into the lease, which must still be as it was read. False if it came too late."""
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
        # The others count from when they see the write, which is not before it is sent: so do we.
        sent = self._clock.monotonic()
        self._note(await self._put(lease, renewed))
        if not is_renewal and await self._is_excluded():
            self._rest = self._retry_period * 2 * self._rng.random()
            return False
        if self._leading and not self.is_leader:
            return False
        self._held_until = sent + self._renew_deadline
        if not self._leading and self._clock.monotonic() < self._held_until:
            self._start_leading()
        return self._leading

    async def _is_excluded(self) -> bool:
        """Whether somebody else leads who must have stopped before we may; then a lease that we hold is given back.
        KubeError if that could not be found out."""
        found = await self._find_excluding()
        if found is not None and found != self._waits_for:
            log.info("%s waits: the lease %s/%s is held, by %s", self.identity, self._namespace, *found)
        self._waits_for = found
        if found is not None and self._leading:
            self._stop_leading(f"the lease {found[0]} is held, by {found[1]}")
        if found is not None and self._claimed:
            await self._give_back()
        return found is not None

    async def _find_excluding(self) -> tuple[str, str] | None:
        """A held Lease that excludes ours, as its name and its holder."""
        if self._excludes is None:
            return None
        # What is listed was so at some moment after this: a lease is over only if its time had passed by then.
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

    async def _give_back(self) -> None:
        """Release a lease that we hold, or may hold, without leading."""
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
                # No holder: the field may be absent, but not empty.
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
            # The renewal that the stop interrupted did take effect, or somebody else holds it by now.
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
            # A request that hangs must not keep us from noticing the deadline.
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
        log.info("%s leads: lease %s/%s", self.identity, self._namespace, self._name)
        self._on_started()

    def _stop_leading(self, reason: str) -> None:
        self._leading = False
        self._held_until = float("-inf")
        log.warning("%s leads no more: %s", self.identity, reason)
        self._on_stopped()


def _spec(lease: dict[str, Any]) -> dict[str, Any]:
    return lease.get("spec") or {}


def _document(metadata: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": metadata, "spec": spec}
