"""Time as this package and the controller see it, so that tests can put their own in its place.

Nothing in `tradewind.kube` calls `time` or `asyncio.sleep` where a duration decides what happens next:
back-off, leases, rate limits and health all go through a `Clock`. Socket time-outs are the exception:
they are aiohttp's and follow the event loop. The controller reads the time here too; it waits by `asyncio.sleep`,
as `keep_trying` does for it.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The time of one process: a monotonic reading, the wall clock, and a way to wait."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary point; never goes back."""
        ...

    def now(self) -> datetime:
        """The wall clock, UTC: for schedules, and for what is written into objects. It may be set, also back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's clock. `clock_id` is one of `time.CLOCK_*`."""

    def __init__(self, clock_id: int = time.CLOCK_MONOTONIC) -> None:
        self._clock_id = clock_id

    def monotonic(self) -> float:
        return time.clock_gettime(self._clock_id)

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


SYSTEM_CLOCK: Clock = SystemClock()

# Linux stops CLOCK_MONOTONIC while a machine is suspended, and other machines do not wait for it:
# a lease has to be measured with the clock that goes on.
BOOT_CLOCK: Clock = SystemClock(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def whole_second(moment: datetime) -> datetime:
    """`moment` as Kubernetes tells times: in whole seconds, what is left cut off. Only so can two of them be compared
    that were told by different clocks, as those of a Pod and ours."""
    return moment.replace(microsecond=0)


def micro_time(moment: datetime) -> str:
    """`moment` as a Kubernetes MicroTime, for example `2026-01-31T06:00:00.000000Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
