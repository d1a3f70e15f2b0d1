"""A cluster in which nothing runs: tries start the moment they are asked for, and end when their script says."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tradewind.engine.run.run_info import RunInfo, Stop, Wait
from tradewind.engine.run.tries import TryEvent, TryKey, TryReport
from tradewind.engine.scheduler import Start
from tradewind.engine.simulation.outcomes import Outcomes

KILLED = 143
"""Exit code of a container that was told to stop."""
RunTry = tuple[str, TryKey]
"""(uid of the run, try)"""


@dataclass(slots=True)
class VirtualCluster:
    """The tries under way, and when each ends."""

    outcomes: Outcomes
    _ends: list[tuple[datetime, int, RunTry]] = field(default_factory=list)
    _reports: dict[RunTry, tuple[int, TryReport]] = field(default_factory=dict)
    _count: int = 0

    @property
    def next_end(self) -> datetime | None:
        """When the next try ends."""
        self._forget_outdated()
        return self._ends[0][0] if self._ends else None

    def start(self, start: Start, now: datetime) -> list[TryReport]:
        """A try starts; what is to be reported of that."""
        self._script(start.run, start.key, now)
        return [_report(start.key, TryEvent.CREATED), _report(start.key, TryEvent.RUNNING, started_at=now)]

    def wait(self, wait: Wait, now: datetime) -> None:
        """A waitFor task begins to wait; what it waits for comes when its script says."""
        self._script(wait.run, wait.key, now)

    def _script(self, run: RunInfo, key: TryKey, now: datetime) -> None:
        script = self.outcomes.of(run.dag, key)
        ends = now + script.duration
        report = _report(
            key,
            TryEvent.LOST if script.lost else TryEvent.ENDED,
            started_at=now,
            finished_at=ends,
            exit_code=None if script.lost else script.exit_code,
            message="lost, as the outcomes say" if script.lost else None,
            output=script.output,
        )
        self._end_with((run.uid, key), report, ends)

    def stop(self, stop: Stop, now: datetime) -> None:
        """A try that is under way ends now."""
        known = self._reports.get((stop.run.uid, stop.key))
        if known is not None:
            started = known[1].started_at
            report = _report(stop.key, TryEvent.ENDED, started_at=started, finished_at=now, exit_code=KILLED)
            self._end_with((stop.run.uid, stop.key), report, now)

    def ended(self, now: datetime) -> Iterator[tuple[str, TryReport]]:
        """The tries that have ended by now, in the order of their ends and then of their starts."""
        while (moment := self.next_end) is not None and moment <= now:
            key = heapq.heappop(self._ends)[2]
            yield key[0], self._reports.pop(key)[1]

    def _end_with(self, key: RunTry, report: TryReport, when: datetime) -> None:
        self._count += 1
        self._reports[key] = (self._count, report)
        heapq.heappush(self._ends, (when, self._count, key))

    def _forget_outdated(self) -> None:
        while self._ends and self._reports.get(self._ends[0][2], (0,))[0] != self._ends[0][1]:
            heapq.heappop(self._ends)


def _report(key: TryKey, event: TryEvent, **facts: Any) -> TryReport:
    return TryReport(key.task, key.number, event, index=key.index, poke=key.poke, **facts)
