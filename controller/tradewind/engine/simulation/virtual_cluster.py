"""A cluster in which nothing runs: tries start the moment they are asked for, and end when their script says."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from tradewind.engine.run_info import Stop
from tradewind.engine.scheduler import Start
from tradewind.engine.simulation.outcomes import Outcomes
from tradewind.engine.tries import TryEvent, TryReport

KILLED = 143
"""Exit code of a container that was told to stop."""
TryKey = tuple[str, str, int]
"""(uid of the run, task, number)"""


@dataclass(slots=True)
class VirtualCluster:
    """The tries under way, and when each ends."""

    outcomes: Outcomes
    _ends: list[tuple[datetime, int, TryKey]] = field(default_factory=list)
    _reports: dict[TryKey, tuple[int, TryReport]] = field(default_factory=dict)
    _count: int = 0

    @property
    def next_end(self) -> datetime | None:
        """When the next try ends."""
        self._forget_outdated()
        return self._ends[0][0] if self._ends else None

    def start(self, start: Start, now: datetime) -> list[TryReport]:
        """A try starts; what is to be reported of that."""
        run, task, number = start.run, start.task.name, start.number
        script = self.outcomes.of(run.dag, task, number)
        ends = now + script.duration
        self._end_with(
            (run.uid, task, number),
            TryReport(
                task,
                number,
                TryEvent.LOST if script.lost else TryEvent.ENDED,
                started_at=now,
                finished_at=ends,
                exit_code=None if script.lost else script.exit_code,
                message="lost, as the outcomes say" if script.lost else None,
                output=script.output,
            ),
            ends,
        )
        return [TryReport(task, number, TryEvent.CREATED), TryReport(task, number, TryEvent.RUNNING, started_at=now)]

    def stop(self, stop: Stop, now: datetime) -> None:
        """A try that is under way ends now."""
        key = (stop.run.uid, stop.task.name, stop.number)
        known = self._reports.get(key)
        if known is not None:
            started = known[1].started_at
            facts = TryReport(key[1], key[2], TryEvent.ENDED, started_at=started, finished_at=now, exit_code=KILLED)
            self._end_with(key, facts, now)

    def ended(self, now: datetime) -> Iterator[tuple[TryKey, TryReport]]:
        """The tries that have ended by now, in the order of their ends and then of their starts."""
        while (moment := self.next_end) is not None and moment <= now:
            key = heapq.heappop(self._ends)[2]
            yield key, self._reports.pop(key)[1]

    def _end_with(self, key: TryKey, report: TryReport, when: datetime) -> None:
        self._count += 1
        self._reports[key] = (self._count, report)
        heapq.heappush(self._ends, (when, self._count, key))

    def _forget_outdated(self) -> None:
        while self._ends and self._reports.get(self._ends[0][2], (0,))[0] != self._ends[0][1]:
            heapq.heappop(self._ends)
