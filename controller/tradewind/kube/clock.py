"""Time for this package and the controller, so that tests can replace it.

Nothing in `tradewind.kube` calls `time` or `asyncio.sleep` for a duration that affects behavior: backoff, leases, rate
limits and health all use a `Clock`. Socket timeouts are the exception: they are aiohttp's and follow the event loop.
The controller reads the time here too; it waits with `asyncio.sleep`, as `keep_trying` does.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The time of a process: a monotonic clock, the wall clock, and a way to wait."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary point; never decreases."""
        ...

    def now(self) -> datetime:
        """Return the wall clock time in UTC, for schedules and for times in objects. It may be adjusted, also
        backwards."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The system clock. `clock_id` is one of `time.CLOCK_*`."""

    def __init__(self, clock_id: int = time.CLOCK_MONOTONIC) -> None:
        self._clock_id = clock_id

    def monotonic(self) -> float:
        return time.clock_gettime(self._clock_id)

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


SYSTEM_CLOCK: Clock = SystemClock()

# Linux stops CLOCK_MONOTONIC while a machine is suspended, and other machines do not wait for it: a lease needs the
# clock that keeps running.
BOOT_CLOCK: Clock = SystemClock(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def whole_second(moment: datetime) -> datetime:
    """Truncate `moment` to whole seconds, as Kubernetes does. This makes times of different clocks comparable, such as
    those of a Pod and ours."""
    return moment.replace(microsecond=0)


def micro_time(moment: datetime) -> str:
    """Return `moment` as a Kubernetes MicroTime, for example `2026-01-31T06:00:00.000000Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
