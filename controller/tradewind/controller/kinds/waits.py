"""The base of kinds that wait without a Pod: the waiting task instances of all runs.

The engine plans waits (run_info.Wait) and receives reports on the try: Created with a message while it waits, Ended on
success, Refused if it cannot succeed. Nothing is polled, and no state is kept: after a restart the engine plans again.
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
"""Waits that are started, or checked, in one turn of the event loop."""


class Waits(Carrier):
    """Keeps the waiters of a kind until they succeed, fail or are not needed any more."""

    def __init__(self, term: Term, report: Report, tries: Tries) -> None:
        super().__init__(term, report, tries)
        self._runs, self._spawn = term.scheduler.runs, term.spawn
        self._waiters: dict[str, dict[TryKey, Waiter]] = {}
        """The waiters by UID of the run."""
        self._new: deque[Wait] = deque()
        """Waits that have not started yet: a mapped task may have thousands."""
        self._changed_runs: dict[str, None] = {}
        """UIDs of runs that changed: some of their tasks may not wait any more."""
        self._working: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return sum(map(len, self._waiters.values())) + len(self._new)

    @abstractmethod
    def begin(self, waiter: Waiter) -> None:
        """Find out how far the wait is, and report each change to the waiter."""

    def wait(self, wait: Wait) -> None:
        """Start the wait of a task, or continue it after a restart."""
        self._new.append(wait)
        self._work_on()

    def _work_on(self) -> None:
        if self._working is None or self._working.done():
            self._working = self._spawn(self._work(), "waits", self._work_on)

    async def _work(self) -> None:
        """Start and end waits, AT_ONCE of them in one turn of the event loop."""
        while self._new or self._changed_runs:
            for _ in range(min(AT_ONCE, len(self._new))):
                wait = self._new.popleft()
                try:
                    self._begin(wait)
                except Exception as error:
                    place = wait.key.instance, wait.run.namespace, wait.run.name
                    log.exception("cannot start the wait of task %s of DagRun %s/%s: the task fails", *place)
                    Waiter(self._runs[wait.run.uid], wait, self._report).fail("InternalError", repr(error))
            await asyncio.sleep(0)
            if self._changed_runs:
                await self._end_finished_waits()

    async def _end_finished_waits(self) -> None:
        uid = next(iter(self._changed_runs))
        del self._changed_runs[uid]
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
            # Only now, so that a watch that both use continues.
            before.end()

    def runs_changed(self, changed: Sequence[RunState]) -> None:
        """Handle runs that changed: some of their tasks may not wait any more."""
        for run in changed:
            if run.info.uid in self._waiters:
                self._changed_runs[run.info.uid] = None
                self._work_on()

    def run_changed(self, key: Key, change: Change[DagRunObject]) -> None:
        """End the waits of a deleted run."""
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
    """True if a task still waits in this try."""
    instance = run.instance(key.task, key.index)
    return instance is not None and instance.key == key and instance.state is TaskState.UP_FOR_RESCHEDULE
