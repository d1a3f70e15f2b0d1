"""The pace at which the status of unfinished runs is written.

A write of the status of a run with 1,000 tasks costs the API server 0.2 s of processor time (bench), most of it
validation; 100 small runs whose status is written once a second cost as much. The Pods have the results, so these
writes only decide how up to date the status is that users see."""

import asyncio
import contextlib

from tradewind.kube.clock import Clock

WRITE_EVERY = 1.0
"""Least seconds between two writes of one run's status."""
LONGEST_PAUSE = 60.0
"""Seconds that a status may be delayed by this, and somewhat more when thousands of runs change."""
LONGEST_WRITE = 0.5
"""The highest cost of a write, in seconds, however large the status is."""
FIRST_GUESS = 0.02
"""The cost of a run's first write, in seconds."""
PER_TASK = 0.0005
"""The most that each task in a status adds to the cost, in seconds; on an idle API server it is 0.0002 s of processor
time."""
SHARE = 0.1
"""The fraction of time that all these writes together may take."""
CLOSEST = 0.02
"""Seconds between two writes if so many runs change that some would wait longer than LONGEST_PAUSE. Thousands of writes
at once would delay everything else."""


def cost_of_write(took: float, tasks: int) -> float:
    """Return the cost of a write that took so long, in seconds. A write that takes longer than its number of tasks
    explains has waited for other work, which is not counted."""
    return min(took, FIRST_GUESS + tasks * PER_TASK, LONGEST_WRITE)


class StatusPace:
    """Spreads the writes of all runs over time. A run's final write does not wait."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._free_at = clock.monotonic()

    async def wait(self, at_least: float, cost: float, finished: asyncio.Event) -> None:
        """Wait while changes of a run are collected, until it is its turn or it is finished."""
        if not finished.is_set():
            seconds = max(at_least, self.pause(cost))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await finished.wait()

    def pause(self, cost: float) -> float:
        """Return the seconds until the next write of a run whose last write had this cost."""
        now = self._clock.monotonic()
        at = max(now, self._free_at)
        self._free_at = max(at + CLOSEST, min(at + cost / SHARE, now + LONGEST_PAUSE))
        return at - now
