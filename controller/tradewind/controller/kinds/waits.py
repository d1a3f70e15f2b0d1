"""The base for kinds that wait without a Pod: who waits, of all runs.

The engine says who waits (run_info.Wait) and hears how far it is by reports on the try: Created with a message, Ended
once it has come, Refused when it never will. Nothing is polled, and nothing is kept: after a restart the engine asks
again.
"""

import asyncio
import logging
from abc import abstractmethod
from collections import deque
from collections.abc import Sequence

from tradewind.cache.resources import DagRunObject
from tradewind.controller.kinds.carrier import Carrier, Report
from tradewind.controller.kinds.waiter import Waiter
from tradewind.controller.pods.tries import Tries
from tradewind.controller.term import Term
from tradewind.engine.run.run_info import Wait
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import TryKey
from tradewind.kube.informer import Change, ChangeKind
from tradewind.kube.objects import Key

log = logging.getLogger(__name__)

AT_ONCE = 100
"""Waits that are begun, or looked at, in one go."""


class Waits(Carrier):
    """Keeps the waiters of a kind until they have come or are wanted no more."""

    def __init__(self, term: Term, report: Report, tries: Tries) -> None:
        super().__init__(term, report, tries)
        self._runs, self._spawn = term.scheduler.runs, term.spawn
        self._waiters: dict[str, dict[TryKey, Waiter]] = {}
        """Who waits, by UID of the run."""
        self._new: deque[Wait] = deque()
        """Those that have not begun yet: a mapped task has thousands."""
        self._moved: dict[str, None] = {}
        """Runs in which something has happened, by UID: some of their tasks may wait no more."""
        self._working: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return sum(map(len, self._waiters.values())) + len(self._new)

    @abstractmethod
    def begin(self, waiter: Waiter) -> None:
        """Find out how far what a task waits for is, and tell the waiter from then on."""

    def wait(self, wait: Wait) -> None:
        """A task has begun to wait, or goes on to after a restart."""
        self._new.append(wait)
        self._work_on()

    def _work_on(self) -> None:
        if self._working is None or self._working.done():
            self._working = self._spawn(self._work(), "waits", self._work_on)

    async def _work(self) -> None:
        """Begin and end waits, a few in one go."""
        while self._new or self._moved:
            for _ in range(min(AT_ONCE, len(self._new))):
                wait = self._new.popleft()
                try:
                    self._begin(wait)
                except Exception as error:
                    log.exception("%s of DagRun %s cannot wait", wait.key.instance, wait.run.name)
                    Waiter(self._runs[wait.run.uid], wait, self._report).never("InternalError", repr(error))
            await asyncio.sleep(0)
            if self._moved:
                await self._end_what_is_over()

    async def _end_what_is_over(self) -> None:
        uid = next(iter(self._moved))
        del self._moved[uid]
        for number, (key, waiter) in enumerate(list(self._waiters.get(uid, {}).items()), 1):
            run = self._runs.get(uid)
            still = self._waiters.get(uid, {}).get(key) is waiter
            if still and run is not None and not _waits(run, key):
                self._end(uid, key, waiter)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    def _begin(self, wait: Wait) -> None:
        run = self._runs.get(wait.run.uid)
        if run is None or not _waits(run, wait.key):
            return
        before = self._waiters.get(wait.run.uid, {}).get(wait.key)
        waiter = Waiter(run, wait, self._report)
        self._waiters.setdefault(wait.run.uid, {})[wait.key] = waiter
        self.begin(waiter)
        if before is not None:
            # Only now, lest a watch that both want ends in between.
            before.end()

    def runs_changed(self, changed: Sequence[RunState]) -> None:
        """These runs have changed: some of their tasks may wait no more."""
        for run in changed:
            if run.info.uid in self._waiters:
                self._moved[run.info.uid] = None
                self._work_on()

    def run_changed(self, key: Key, change: Change[DagRunObject]) -> None:
        """With a run that is deleted, its tasks wait no more."""
        if change.kind is ChangeKind.DELETED:
            uid = change.object.metadata.uid
            for waiting, waiter in list(self._waiters.get(uid, {}).items()):
                self._end(uid, waiting, waiter)

    def _end(self, run_uid: str, key: TryKey, waiter: Waiter) -> None:
        waiter.end()
        waiters = self._waiters[run_uid]
        del waiters[key]
        if not waiters:
            del self._waiters[run_uid]


def _waits(run: RunState, key: TryKey) -> bool:
    """Whether a task still waits in this try."""
    instance = run.instance(key.task, key.index)
    return instance is not None and instance.key == key and instance.state is TaskState.UP_FOR_RESCHEDULE
