"""A cluster in which nothing runs: tries start at once and finish at the time in their script."""

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
"""Exit code of a container that was stopped by SIGTERM."""
RunTry = tuple[str, TryKey]
"""(uid of the run, try)"""


@dataclass(slots=True)
class VirtualCluster:
    """The active tries and their finish times."""

    outcomes: Outcomes
    _ends: list[tuple[datetime, int, RunTry]] = field(default_factory=list)
    _reports: dict[RunTry, tuple[int, TryReport]] = field(default_factory=dict)
    _count: int = 0

    @property
    def next_end(self) -> datetime | None:
        """When the next try finishes."""
        self._forget_outdated()
        return self._ends[0][0] if self._ends else None

    def start(self, start: Start, now: datetime) -> list[TryReport]:
        """Start a try. Return the reports about that."""
        self._script(start.run, start.key, now)
        return [_report(start.key, TryEvent.CREATED), _report(start.key, TryEvent.RUNNING, started_at=now)]

    def wait(self, wait: Wait, now: datetime) -> None:
        """Start a wait; its condition is met at the time in its script."""
        self._script(wait.run, wait.key, now)

    def _script(self, run: RunInfo, key: TryKey, now: datetime) -> None:
        script = self.outcomes.of(run.dag, key)
        finishes = now + script.duration
        report = _report(
            key,
            TryEvent.LOST if script.lost else TryEvent.ENDED,
            started_at=now,
            finished_at=finishes,
            exit_code=None if script.lost else script.exit_code,
            message="lost, as scripted" if script.lost else None,
            output=script.output,
        )
        self._finish_with((run.uid, key), report, finishes)

    def stop(self, stop: Stop, now: datetime) -> None:
        """Stop an active try now."""
        known = self._reports.get((stop.run.uid, stop.key))
        if known is not None:
            started = known[1].started_at
            report = _report(stop.key, TryEvent.ENDED, started_at=started, finished_at=now, exit_code=KILLED)
            self._finish_with((stop.run.uid, stop.key), report, now)

    def take_finished(self, now: datetime) -> Iterator[tuple[str, TryReport]]:
        """Remove and yield the tries that have finished by now, by finish time and then by start time."""
        while (moment := self.next_end) is not None and moment <= now:
            key = heapq.heappop(self._ends)[2]
            yield key[0], self._reports.pop(key)[1]

    def _finish_with(self, key: RunTry, report: TryReport, when: datetime) -> None:
        self._count += 1
        self._reports[key] = (self._count, report)
        heapq.heappush(self._ends, (when, self._count, key))

    def _forget_outdated(self) -> None:
        while self._ends and self._reports.get(self._ends[0][2], (0,))[0] != self._ends[0][1]:
            heapq.heappop(self._ends)


def _report(key: TryKey, event: TryEvent, **facts: Any) -> TryReport:
    return TryReport(key.task, key.number, event, index=key.index, poke=key.poke, **facts)
