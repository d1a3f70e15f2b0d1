"""Reports what happens to an object as events.k8s.io/v1 Events (`kubectl describe`, `kubectl events`).

Events are best effort: recording never blocks, never fails and never floods. A repeated Event increases the count of
the first one; each object has a rate limit, and Normal Events of all objects have one together (status has all of it);
an Event that cannot be written is dropped and counted.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from tradewind.kube import writes
from tradewind.kube.clock import SYSTEM_CLOCK, Clock, micro_time
from tradewind.kube.errors import ApiError
from tradewind.kube.resources import EVENTS
from tradewind.kube.writer import Priority, Writer

log = logging.getLogger(__name__)

NOTE_LIMIT = 1024
REASON_LIMIT = 128
NAME_LIMIT = 253


class Regarding(NamedTuple):
    """The object that an Event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Regarding:
        """Create the reference from an object as a dict."""
        metadata = document["metadata"]
        return cls(
            document["apiVersion"],
            document["kind"],
            metadata.get("namespace") or "",
            metadata["name"],
            metadata.get("uid") or "",
        )


class EventRecorder:
    """Records Events through a Writer, at its lowest priority.

    `component` and `instance` identify the reporter: the controller's name and this replica's.
    """

    def __init__(
        self,
        writer: Writer,
        component: str,
        instance: str,
        *,
        burst: int = 25,
        refill_seconds: float = 60.0,
        normal_burst: int = 100,
        normal_refill_seconds: float = 0.2,
        series_window: float = 600.0,
        max_pending: int = 256,
        memory: int = 4096,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Each object may have `burst` Events at once and one more every `refill_seconds`; `normal_…` limits Events of
        type Normal of all objects together. Repeats within `series_window` seconds of each other are counted on one
        Event. At most `max_pending` Events are in flight, and at most `memory` objects and series are remembered."""
        self.recorded = 0
        """Number of Events passed to the writer, including repeats."""
        self.dropped = 0
        """Number of Events that were not written: over a limit, or rejected."""
        self._writer = writer
        self._component = component[:REASON_LIMIT]
        self._instance = instance[:REASON_LIMIT]
        self._burst = burst
        self._refill_seconds = refill_seconds
        self._series_window = series_window
        self._max_pending = max_pending
        self._memory = memory
        self._clock = clock
        self._pending = 0
        self._buckets: OrderedDict[Regarding, _Bucket] = OrderedDict()
        self._normal_burst = normal_burst
        self._normal_refill_seconds = normal_refill_seconds
        self._normal = _Bucket(float(normal_burst), clock.monotonic())
        self._series: OrderedDict[tuple[Regarding, str, str, str], _Series] = OrderedDict()
        self._sequence = 0

    def record(
        self,
        regarding: Regarding,
        type: Literal["Normal", "Warning"],
        reason: str,
        note: str,
        *,
        action: str = "",
        related: Regarding | None = None,
    ) -> None:
        """Record an Event: `reason` in CamelCase for machines, `note` for people, `action` (default: the reason) for
        what was done. A long note is cut to 1024 bytes."""
        try:
            self._record(regarding, type, reason, note, action or reason, related)
        except Exception:
            self.dropped += 1
            log.exception("cannot record an Event about %s %s", regarding.kind, regarding.name)

    def _record(
        self,
        regarding: Regarding,
        type: str,
        reason: str,
        note: str,
        action: str,
        related: Regarding | None,
    ) -> None:
        reason = _camel_case(reason)
        note = _shortened(note)
        now = self._clock.monotonic()
        key = (regarding, type, reason, note)
        series = self._series.get(key)
        if series is not None and now - series.last <= self._series_window:
            series.count += 1
            series.last = now
            self._series.move_to_end(key)
            if series.writing:
                return  # the next repeat sends the count
            if self._admit(regarding, type, now):
                self._send(key, series, self._repeat(regarding, series))
            return
        if not self._admit(regarding, type, now):
            return
        series = _Series(self._event_name(regarding), now)
        self._series[key] = series
        self._trim(self._series)
        body = self._body(regarding, type, reason, note, _camel_case(action), related, series.name)
        self._send(
            key,
            series,
            writes.create(EVENTS, _home(regarding), body, priority=Priority.EVENT, retry_for=10.0),
        )

    def _repeat(self, regarding: Regarding, series: _Series) -> writes.Write:
        observed = micro_time(self._clock.now())
        return writes.patch(
            EVENTS,
            _home(regarding),
            series.name,
            {"series": {"count": series.count, "lastObservedTime": observed}},
            priority=Priority.EVENT,
            retry_for=10.0,
        )

    def _body(
        self,
        regarding: Regarding,
        type: str,
        reason: str,
        note: str,
        action: str,
        related: Regarding | None,
        name: str,
    ) -> dict[str, Any]:
        body = {
            "apiVersion": EVENTS.api_version,
            "kind": "Event",
            "metadata": {"name": name, "namespace": _home(regarding)},
            "eventTime": micro_time(self._clock.now()),
            "type": type,
            "reason": reason,
            "action": action,
            "note": note,
            "regarding": _reference(regarding),
            "reportingController": self._component,
            "reportingInstance": self._instance,
        }
        if related is not None:
            body["related"] = _reference(related)
        return body

    def _admit(self, regarding: Regarding, type: str, now: float) -> bool:
        """Take a token of each bucket; False if one is empty or too many Events are in flight."""
        bucket = self._buckets.setdefault(regarding, _Bucket(float(self._burst), now))
        self._buckets.move_to_end(regarding)
        self._trim(self._buckets)
        bucket.fill(self._burst, self._refill_seconds, now)
        buckets = [bucket]
        if type == "Normal":
            self._normal.fill(self._normal_burst, self._normal_refill_seconds, now)
            buckets.append(self._normal)
        if any(each.tokens < 1 for each in buckets) or self._pending >= self._max_pending:
            self.dropped += 1
            return False
        for each in buckets:
            each.tokens -= 1
        return True

    def _send(self, key: tuple[Regarding, str, str, str], series: _Series, write: writes.Write) -> None:
        def done(future: asyncio.Future[dict[str, Any]]) -> None:
            self._pending -= 1
            series.writing = False
            error = None if future.cancelled() else future.exception()
            if error is None:
                return
            self.dropped += 1
            log.debug("Event %s not written: %s", series.name, error)
            if not (isinstance(error, ApiError) and error.is_already_exists) and (self._series.get(key) is series):
                # It may have expired (after an hour by default) or not exist: the next repeat creates a new Event.
                del self._series[key]

        self._pending += 1
        self.recorded += 1
        series.writing = True
        self._writer.submit(write).add_done_callback(done)

    def _event_name(self, regarding: Regarding) -> str:
        self._sequence += 1
        moment = int(self._clock.now().timestamp() * 1_000_000)
        suffix = f".{moment:x}{self._sequence % 0x1000:03x}"
        return regarding.name[: NAME_LIMIT - len(suffix)].rstrip("-.") + suffix

    def _trim(self, memory: OrderedDict[Any, Any]) -> None:
        while len(memory) > self._memory:
            memory.popitem(last=False)


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled: float

    def fill(self, burst: int, refill_seconds: float, now: float) -> None:
        """Add the tokens since the last call."""
        self.tokens = min(burst, self.tokens + (now - self.filled) / refill_seconds)
        self.filled = now


@dataclass(slots=True)
class _Series:
    name: str
    last: float
    count: int = 1
    writing: bool = False


def _home(regarding: Regarding) -> str:
    # Events about cluster-scoped objects are in `default`, as kubectl expects.
    return regarding.namespace or "default"


def _reference(regarding: Regarding) -> dict[str, str]:
    reference = {
        "apiVersion": regarding.api_version,
        "kind": regarding.kind,
        "namespace": regarding.namespace,
        "name": regarding.name,
        "uid": regarding.uid,
    }
    return {field: value for field, value in reference.items() if value}


def _shortened(note: str) -> str:
    """Shorten `note` to the limit, which the API server counts in bytes."""
    encoded = note.encode()
    if len(encoded) <= NOTE_LIMIT:
        return note
    return encoded[: NOTE_LIMIT - len("…".encode())].decode(errors="ignore") + "…"


def _camel_case(reason: str) -> str:
    """Return `reason` in the form that the API requires: words joined without spaces, not empty, not too long."""
    words = re.findall(r"[A-Za-z0-9]+", reason)
    return "".join(word[0].upper() + word[1:] for word in words)[:REASON_LIMIT] or "Unknown"
