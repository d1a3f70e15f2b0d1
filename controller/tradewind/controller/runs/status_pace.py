"""How often status is written while runs go on.

A write of the status of a run with 1,000 tasks costs the API server 0.2 s of processor time (bench), most of it
validation; 100 small runs that are written once a second each cost as much. Pods have it all meanwhile, so nothing
depends on these writes but how fresh is what people see.
"""

import asyncio
import contextlib

from tradewind.kube.clock import Clock

WRITE_EVERY = 1.0
"""Seconds between two writes of the status of one run, at least."""
LONGEST_PAUSE = 60.0
"""Seconds that what people see may be behind on account of this, and somewhat more where thousands have news."""
LONGEST_WRITE = 0.5
"""Seconds of a write that count, however large the status is."""
FIRST_GUESS = 0.02
"""Seconds that a write takes of which nothing is known yet."""
PER_TASK = 0.0005
"""Seconds that each task in a status adds to that, at most; 0.0002 of the processor time of a quiet API server."""
SHARE = 0.1
"""Of the time: so much may all these writes together take, one after the other."""
CLOSEST = 0.02
"""Seconds between two writes where so many runs have news that some would wait for longer than LONGEST_PAUSE. At the
same moment thousands would hold up everything else."""


def cost_of_write(took: float, tasks: int) -> float:
    """Seconds for which a write of the status of so many tasks counts, if it took so long. One that takes longer than
    that has waited for other work, which what people see is not to wait for too."""
    return min(took, FIRST_GUESS + tasks * PER_TASK, LONGEST_WRITE)


class StatusPace:
    """Hands out times for writes to all runs together. The last write of a run does not wait for its time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._free_at = clock.monotonic()

    async def wait(self, at_least: float, cost: float, ended: asyncio.Event) -> None:
        """Gather changes of a run for some seconds; its end does not wait."""
        if not ended.is_set():
            seconds = max(at_least, self.pause(cost))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await ended.wait()

    def pause(self, cost: float) -> float:
        """Seconds until the next write of a run of which the last write counts so many."""
        now = self._clock.monotonic()
        at = max(now, self._free_at)
        self._free_at = max(at + CLOSEST, min(at + cost / SHARE, now + LONGEST_PAUSE))
        return at - now
