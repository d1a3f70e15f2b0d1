"""The runs that a Backfill creates, the ticks that it skips, and its progress.

Its ticks are those of the Dag's schedule in its span; startDate, endDate, catchup and suspend of the Dag do not matter.
Ticks are processed in order, so one date, the last processed tick, says which ticks are left: status holds that date,
the runs that have not finished, and counts.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from croniter import CroniterError

from tradewind.api import names
from tradewind.api.backfill import MAX_FAILED_SHOWN, MAX_TICKS, MAX_TICKS_SHOWN, BackfillSpec, BackfillTimetable
from tradewind.api.dag import DagSpec
from tradewind.api.schedule import schedule_text
from tradewind.api.times import format_exactly, format_time, parse_time
from tradewind.api.validation.problem import Problem
from tradewind.engine.run.states import RunPhase
from tradewind.engine.timetables import Tick, Timetable, joined_timetable

STEPS_AT_ONCE = 500
"""Ticks processed in one step, if most of them need no action."""
_JUST_BEFORE = timedelta(microseconds=1)


class Action(StrEnum):
    """The action for a tick."""

    CREATE = "Create"
    RERUN = "Rerun"
    SKIP = "Skip"
    ADOPT = "Adopt"
    """This Backfill created its run, and the controller stopped before it wrote the Backfill's status."""


@dataclass(frozen=True, slots=True)
class ExistingRun:
    """A DagRun with the name of a tick's run. `phase` is its phase, Queued if it has no status yet."""

    phase: str
    ours: bool = False
    """True if this Backfill created it or requested its rerun."""
    dag: str | None = None
    """Its Dag, if that is another one."""


@dataclass(frozen=True, slots=True)
class Step:
    """The action for one tick; `reason` says why its run is skipped or run again."""

    tick: Tick
    run: str
    action: Action
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The entry in status.ticks of a dry run."""
        entry = {"logicalDate": format_time(self.tick.logical_date), "run": self.run, "action": self.action.value}
        return {**entry, "reason": self.reason} if self.reason else entry


Existing = Callable[[str], ExistingRun | None]
"""Finds the DagRun of a name."""


# Ticks ------------------------------------------------------------------------------------------------------------


def pinned(spec: DagSpec, created_at: datetime) -> BackfillTimetable:
    """The schedule of a Dag that was created at `created_at`, for the Backfill's status."""
    schedules = list(spec.all_schedules)
    start = spec.start_date or created_at
    return BackfillTimetable.model_validate({"schedules": schedules, "timeZone": spec.time_zone, "start": start})


def unpinned(kept: BackfillTimetable) -> Timetable:
    """The timetable of a schedule in a Backfill's status. Raises ValueError if it is empty."""
    timetable = joined_timetable(kept.schedules, kept.time_zone, kept.start, kept.start)
    if timetable is None:
        raise ValueError("no schedule")
    return timetable


def ticks_in(timetable: Timetable, spec: BackfillSpec) -> Iterator[Tick]:
    """The ticks of the span, oldest first, up to one more than MAX_TICKS."""
    try:
        for number, tick in enumerate(timetable.ticks(spec.from_ - _JUST_BEFORE)):
            if tick.logical_date > spec.to or number > MAX_TICKS:
                return
            yield tick
    except (OverflowError, CroniterError):
        # Before the first or after the last moment of datetime.
        return


def check_ticks(ticks: Sequence[Tick], spec: BackfillSpec, kept: BackfillTimetable) -> list[Problem]:
    """The problem with the ticks of the span, if there are none or too many."""
    schedule = f"{schedule_text(kept.schedules)} ({kept.time_zone or 'UTC'})"
    if not ticks:
        message = f"the schedule {schedule} has no tick from {format_time(spec.from_)} to {format_time(spec.to)}"
        return [Problem("NoTicks", "spec", message)]
    if len(ticks) > MAX_TICKS:
        message = f"the schedule {schedule} has more than {MAX_TICKS} ticks in the span; create several Backfills"
        return [Problem("TooManyTicks", "spec", message)]
    return []


def decide(dag: str, tick: Tick, reprocess: str, existing: Existing) -> Step:
    """The action for a tick, given the run that may exist for it."""
    name = names.run_name(dag, tick.logical_date)
    run = existing(name)
    if run is None:
        return Step(tick, name, Action.CREATE)
    if run.ours:
        return Step(tick, name, Action.ADOPT)
    if run.dag is not None:
        return Step(tick, name, Action.SKIP, f"a run of Dag {run.dag} has this name")
    if run.phase not in (RunPhase.SUCCEEDED, RunPhase.FAILED):
        return Step(tick, name, Action.SKIP, f"its run has not finished: it is {run.phase}")
    if reprocess == "Completed" or (reprocess == "Failed" and run.phase == RunPhase.FAILED):
        return Step(tick, name, Action.RERUN, f"its run {run.phase.lower()}, and reprocess is {reprocess}")
    return Step(tick, name, Action.SKIP, f"its run {run.phase.lower()}, and reprocess is {reprocess}")


def outline(dag: str, spec: BackfillSpec, ticks: Iterable[Tick], existing: Existing) -> list[Step]:
    """The actions for all ticks, in the order in which they would be processed."""
    steps = [decide(dag, tick, spec.reprocess, existing) for tick in ticks]
    return steps[::-1] if spec.reverse else steps


def outlook(steps: Sequence[Step]) -> str:
    """The summary of the steps, in one line."""
    actions = [step.action for step in steps]
    made, again, alone = (actions.count(action) for action in (Action.CREATE, Action.RERUN, Action.SKIP))
    return f"would create {_runs(made)}, rerun {again} and skip {alone}"


def dry_run_status(steps: Sequence[Step]) -> dict[str, Any]:
    """The status of a dry run with these steps."""
    more = f"; the first {MAX_TICKS_SHOWN} ticks are listed" if len(steps) > MAX_TICKS_SHOWN else ""
    return {
        "phase": "Succeeded",
        "reason": "DryRun",
        "total": len(steps),
        "skipped": sum(step.action is Action.SKIP for step in steps),
        "message": f"dry run: {outlook(steps)}{more}",
        "ticks": [step.to_dict() for step in steps[:MAX_TICKS_SHOWN]],
    }


# A backfill in progress -------------------------------------------------------------------------------------------


class BackfillState:
    """The progress of a Backfill. It can be rebuilt from status and ticks at any time."""

    def __init__(self, spec: BackfillSpec, ticks: Sequence[Tick], *, status: Mapping[str, Any] | None = None) -> None:
        """`ticks` are the ticks of the span, oldest first; they must be the same each time."""
        status = status or {}
        self.spec = spec
        self.ticks = tuple(reversed(ticks)) if spec.reverse else tuple(ticks)
        self.created = int(status.get("created") or 0)
        self.succeeded = int(status.get("succeeded") or 0)
        self.failed = int(status.get("failed") or 0)
        self.skipped = int(status.get("skipped") or 0)
        self.failed_runs: list[str] = sorted(status.get("failedRuns") or ())
        """In the order of their ticks."""
        self.active: dict[str, None] = dict.fromkeys(status.get("activeRuns") or ())
        """Names of the runs that were created or rerun and have not finished."""
        self._position = parse_time(status.get("position"))
        self._next = self._after(self._position) if self._position else 0

    @property
    def exhausted(self) -> bool:
        """True if every tick has been processed."""
        return self._next >= len(self.ticks)

    @property
    def finished(self) -> bool:
        """True if every tick has been processed and every run has finished."""
        return self.exhausted and not self.active

    @property
    def phase(self) -> str:
        """The phase in status of a Backfill that has started."""
        if self.finished:
            return "Failed" if self.failed else "Succeeded"
        return "Paused" if self.spec.suspend and not self.exhausted else "Running"

    def steps(self, existing: Existing) -> list[Step]:
        """The next steps, in order: as many runs as maxActiveRuns allows, and the ticks that need no run.

        While suspended, only adopts runs that were created and are not in status yet.
        """
        room = self.spec.max_active_runs - len(self.active)
        steps: list[Step] = []
        for tick in self.ticks[self._next : self._next + STEPS_AT_ONCE]:
            step = decide(self.spec.dag, tick, self.spec.reprocess, existing)
            if self.spec.suspend and step.action is not Action.ADOPT:
                break
            if step.action in (Action.CREATE, Action.RERUN) and room < 1:
                break
            if step.action is not Action.SKIP:
                room -= 1
            steps.append(step)
        return steps

    def complete(self, step: Step) -> None:
        """Record that the next of steps() was applied."""
        if step.action is Action.SKIP:
            self.skipped += 1
        else:
            self.created += 1
            self.active[step.run] = None
        self._position = step.tick.logical_date
        self._next += 1

    def run_finished(self, run: str, phase: str | None) -> None:
        """Record that an active run has finished, or was deleted before it finished (`phase` None)."""
        if run not in self.active:
            return
        del self.active[run]
        if phase == RunPhase.SUCCEEDED:
            self.succeeded += 1
            return
        self.failed += 1
        insort(self.failed_runs, run)
        del self.failed_runs[MAX_FAILED_SHOWN:]

    def status(self) -> dict[str, Any]:
        """The part of status about progress, JSON-ready."""
        total, done = len(self.ticks), self.skipped + self.succeeded + self.failed
        status: dict[str, Any] = {
            "phase": self.phase,
            "reason": self.phase,
            "message": self._message(),
            "done": f"{done}/{total}",
            "total": total,
            "created": self.created,
            "active": len(self.active),
            "succeeded": self.succeeded,
            "failed": self.failed,
            "skipped": self.skipped,
        }
        if self.failed_runs:
            status["failedRuns"] = list(self.failed_runs)
        if self.active:
            status["activeRuns"] = list(self.active)
        if self._position:
            # Ticks of `every` have the microseconds of startDate.
            status["position"] = format_exactly(self._position)
        return status

    def _message(self) -> str:
        left = len(self.ticks) - self._next
        if self.phase == "Paused":
            return f"paused: {left} of {len(self.ticks)} ticks are left; set spec.suspend to false to resume"
        if not self.finished:
            return f"{_runs(len(self.active))} active, {left} of {len(self.ticks)} ticks left"
        alone = f", {self.skipped} skipped" if self.skipped else ""
        if not self.failed:
            return f"{_runs(self.succeeded)} succeeded{alone}"
        named = ", ".join(self.failed_runs[:5])
        more = f" and {self.failed - 5} more" if self.failed > 5 else ""
        return f"{self.failed} of {_runs(self.created)} failed{alone}: {named}{more}"

    def _after(self, position: datetime) -> int:
        """The index of the first tick after `position`, in the order of this Backfill."""
        dates = [tick.logical_date for tick in self.ticks]
        if not self.spec.reverse:
            return bisect_right(dates, position)
        return len(dates) - bisect_left(dates[::-1], position)


def is_recorded(spec: Mapping[str, Any], status: Mapping[str, Any], run: str) -> bool:
    """True if the status of a Backfill has the result of one of its runs, so that the DagRun may be deleted."""
    position = parse_time(status.get("position"))
    if position is None or run in (status.get("activeRuns") or ()):
        return False
    last = names.run_name(str(spec.get("dag")), position)
    return run >= last if spec.get("reverse") else run <= last


def _runs(number: int) -> str:
    return f"{number} run{'' if number == 1 else 's'}"
