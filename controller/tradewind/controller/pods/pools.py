"""Pool.status: how many slots tasks hold and how many tasks wait for slots, for users.

Written at most every ten seconds, only if it changed, and with the lowest priority: no task depends on it.
"""

import asyncio
import logging
from collections import Counter

from tradewind.cache.resources import POOLS, PoolObject
from tradewind.controller.term import Term
from tradewind.kube.errors import ApiError, KubeError, SteppedDown
from tradewind.kube.objects import Key
from tradewind.kube.writer import Priority

log = logging.getLogger(__name__)

SETTLE = 1.0
"""Seconds for which changes are collected."""
WRITE_EVERY = 10.0
"""Seconds between two rounds of writes."""
PAUSE = 0.1
"""Seconds between two writes of a round, so that thousands of busy Pools are no burden."""
COUNTED_IN_A_ROW = 2000
"""Waiting tasks that are counted before the event loop gets a turn."""


class PoolStatuses:
    """Writes the status of each Pool from the scheduler's state."""

    def __init__(self, term: Term) -> None:
        self.news = asyncio.Event()
        """Set when a Pool, or its used slots, may have changed."""
        self._writer, self._pools, self._scheduler = term.writer, term.cluster.pools, term.scheduler
        self._failing = False
        """The last write failed, for example for lack of rights; that is logged once."""

    async def keep_written(self) -> None:
        """Write statuses until this replica is not the leader any more."""
        while True:
            await self.news.wait()
            await asyncio.sleep(SETTLE)
            self.news.clear()
            try:
                await self._write_changed()
            except SteppedDown:
                return
            await asyncio.sleep(WRITE_EVERY - SETTLE)

    async def _write_changed(self) -> None:
        waiting = await self._waiting() if self._pools else Counter()
        for key, pool in list(self._pools.items()):
            wanted = {
                "observedGeneration": pool.metadata.generation,
                "used": self._scheduler.slots.used.get(key, 0),
                "waiting": waiting[key],
            }
            if wanted != pool.status and not pool.metadata.deletion_timestamp:
                await self._write(key, pool, wanted)
                await asyncio.sleep(PAUSE)

    async def _waiting(self) -> Counter[Key]:
        """Count the task instances that wait for slots of each Pool."""
        counts: Counter[Key] = Counter()
        counted = 0
        for run in self._scheduler.runs_that_wait():
            for node in run.queue.waiting():
                counts[run.info.namespace, node.task.pool] += len(node.ready)
                counted += 1
            if counted >= COUNTED_IN_A_ROW:
                await asyncio.sleep(0)
                counted = 0
        return counts

    async def _write(self, key: Key, pool: PoolObject, status: dict[str, int]) -> None:
        body = {"metadata": {"uid": pool.metadata.uid}, "status": status}
        try:
            await self._writer.patch(POOLS, *key, body, subresource="status", priority=Priority.EVENT)
            self._failing = False
        except SteppedDown:
            raise
        except KubeError as error:  # no keep_trying: the desired status may change before the next round
            self.news.set()
            gone = isinstance(error, ApiError) and (error.is_not_found or error.is_conflict)
            if not gone and not self._failing:
                self._failing = True
                log.warning("cannot write the status of Pool %s/%s: %s; retrying", *key, error)
