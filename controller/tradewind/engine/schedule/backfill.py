"""Which runs a Backfill makes, what it leaves alone, and how far it is.

Its ticks are those of the Dag's schedule in its span, whatever startDate, endDate, catchup and suspend of the Dag say.
They are dealt with one after the other, so that a single date, the last tick dealt with, tells what is left to do:
status holds that date, the runs that have not ended, and counts.
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
"""Ticks that are looked at in one go, where nothing has to be done for them."""
_JUST_BEFORE = timedelta(microseconds=1)


class Action(StrEnum):
    """What becomes of a tick."""

    CREATE = "Create"
    RERUN = "Rerun"
    SKIP = "Skip"
    ADOPT = "Adopt"
    """Its run was made by this very backfill, and the controller died before it wrote that down."""


@dataclass(frozen=True, slots=True)
class ExistingRun:
    """A run that has the name of a tick's run. `phase` is that of the run, Queued before it has any."""

    phase: str
    ours: bool = False
    """Whether this very backfill made it, or asked for it to be run again."""
    dag: str | None = None
    """The Dag that it is a run of, where that is another one."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to do about one tick; `reason` says why its run is left alone or run again."""

    tick: Tick
    run: str
    action: Action
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As in status.ticks of a dry run."""
        entry = {"logicalDate": format_time(self.tick.logical_date), "run": self.run, "action": self.action.value}
        return {**entry, "reason": self.reason} if self.reason else entry


Existing = Callable[[str], ExistingRun | None]
"""Tells of the run of a name."""


# Ticks ------------------------------------------------------------------------------------------------------------


def pinned(spec: DagSpec, created_at: datetime) -> BackfillTimetable:
    """The schedule of a Dag that was made at `created_at`, to be kept in status."""
    schedules = list(spec.all_schedules)
    start = spec.start_date or created_at
    return BackfillTimetable.model_validate({"schedules": schedules, "timeZone": spec.time_zone, "start": start})


def unpinned(kept: BackfillTimetable) -> Timetable:
    """The timetable of a schedule that was kept. Raises ValueError where there is none."""
    timetable = joined_timetable(kept.schedules, kept.time_zone, kept.start, kept.start)
    if timetable is None:
        raise ValueError("there is no schedule")
    return timetable


def ticks_in(timetable: Timetable, spec: BackfillSpec) -> Iterator[Tick]:
    """The ticks of the span, oldest first; no more than tell that there are too many."""
    try:
        for number, tick in enumerate(timetable.ticks(spec.from_ - _JUST_BEFORE)):
            if tick.logical_date > spec.to or number > MAX_TICKS:
                return
            yield tick
    except (OverflowError, CroniterError):
        # The calendar ends, on one side or the other.
        return


def check_ticks(ticks: Sequence[Tick], spec: BackfillSpec, kept: BackfillTimetable) -> list[Problem]:
    """What is wrong with the ticks of the span: there are none, or too many."""
    schedule = f"{schedule_text(kept.schedules)} ({kept.time_zone or 'UTC'})"
    if not ticks:
        message = f"the schedule {schedule} has no tick from {format_time(spec.from_)} to {format_time(spec.to)}"
        return [Problem("NoTicks", "spec", message)]
    if len(ticks) > MAX_TICKS:
        message = f"the schedule {schedule} has more than {MAX_TICKS} ticks in the span; make several Backfills"
        return [Problem("TooManyTicks", "spec", message)]
    return []


def decide(dag: str, tick: Tick, reprocess: str, existing: Existing) -> Step:
    """What becomes of a tick, given the run that it may have."""
    name = names.run_name(dag, tick.logical_date)
    run = existing(name)
    if run is None:
        return Step(tick, name, Action.CREATE)
    if run.ours:
        return Step(tick, name, Action.ADOPT)
    if run.dag is not None:
        return Step(tick, name, Action.SKIP, f"a run of the Dag {run.dag} has its name")
    if run.phase not in (RunPhase.SUCCEEDED, RunPhase.FAILED):
        return Step(tick, name, Action.SKIP, f"its run has not ended: it is {run.phase}")
    if reprocess == "Completed" or (reprocess == "Failed" and run.phase == RunPhase.FAILED):
        return Step(tick, name, Action.RERUN, f"its run {run.phase.lower()}, and reprocess is {reprocess}")
    return Step(tick, name, Action.SKIP, f"its run {run.phase.lower()}, and reprocess is {reprocess}")


def outline(dag: str, spec: BackfillSpec, ticks: Iterable[Tick], existing: Existing) -> list[Step]:
    """What would become of every tick, in the order in which they would be dealt with."""
    steps = [decide(dag, tick, spec.reprocess, existing) for tick in ticks]
    return steps[::-1] if spec.reverse else steps


def outlook(steps: Sequence[Step]) -> str:
    """What they come to, in a line."""
    actions = [step.action for step in steps]
    made, again, alone = (actions.count(action) for action in (Action.CREATE, Action.RERUN, Action.SKIP))
    return f"would make {_runs(made)}, run {again} again and leave {alone} alone"


def dry_run_status(steps: Sequence[Step]) -> dict[str, Any]:
    """What the status of a dry run says of them."""
    more = f"; the first {MAX_TICKS_SHOWN} ticks are listed" if len(steps) > MAX_TICKS_SHOWN else ""
    return {
        "phase": "Succeeded",
        "reason": "DryRun",
        "total": len(steps),
        "skipped": sum(step.action is Action.SKIP for step in steps),
        "message": f"dry run: {outlook(steps)}{more}",
        "ticks": [step.to_dict() for step in steps[:MAX_TICKS_SHOWN]],
    }


# One backfill that goes on ----------------------------------------------------------------------------------------


class BackfillState:
    """How far a backfill is. Rebuilt from its status and its ticks at any time."""

    def __init__(self, spec: BackfillSpec, ticks: Sequence[Tick], *, status: Mapping[str, Any] | None = None) -> None:
        """`ticks` are those of the span, oldest first, the same each time."""
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
        """Names of the runs that were made or asked to run again, and that nobody has seen end."""
        self._position = parse_time(status.get("position"))
        self._next = self._after(self._position) if self._position else 0

    @property
    def exhausted(self) -> bool:
        """Whether every tick has been dealt with."""
        return self._next >= len(self.ticks)

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do or to wait for."""
        return self.exhausted and not self.active

    @property
    def phase(self) -> str:
        """As in status, of a backfill that has started."""
        if self.finished:
            return "Failed" if self.failed else "Succeeded"
        return "Paused" if self.spec.suspend and not self.exhausted else "Running"

    def steps(self, existing: Existing) -> list[Step]:
        """What to do next, in order: as many runs as maxActiveRuns leaves room for, and the ticks that take none.

        While it is suspended, only what was done already and not written down.
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

    def dealt_with(self, step: Step) -> None:
        """The next of steps() was done."""
        if step.action is Action.SKIP:
            self.skipped += 1
        else:
            self.created += 1
            self.active[step.run] = None
        self._position = step.tick.logical_date
        self._next += 1

    def ended(self, run: str, phase: str | None) -> None:
        """An active run has ended; None: it was deleted before it had."""
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
        """The part of status that tells how far it is, JSON-ready."""
        total, dealt = len(self.ticks), self.skipped + self.succeeded + self.failed
        status: dict[str, Any] = {
            "phase": self.phase,
            "reason": self.phase,
            "message": self._message(),
            "done": f"{dealt}/{total}",
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
            # `every` takes over microseconds from startDate.
            status["position"] = format_exactly(self._position)
        return status

    def _message(self) -> str:
        left = len(self.ticks) - self._next
        if self.phase == "Paused":
            return f"paused: {left} of {len(self.ticks)} ticks are left; set spec.suspend to false to go on"
        if not self.finished:
            return f"{_runs(len(self.active))} going on, {left} of {len(self.ticks)} ticks left"
        alone = f", {self.skipped} left alone" if self.skipped else ""
        if not self.failed:
            return f"{_runs(self.succeeded)} succeeded{alone}"
        named = ", ".join(self.failed_runs[:5])
        more = f" and {self.failed - 5} more" if self.failed > 5 else ""
        return f"{self.failed} of {_runs(self.created)} failed{alone}: {named}{more}"

    def _after(self, position: datetime) -> int:
        """The first tick after `position`, in the order of this backfill."""
        dates = [tick.logical_date for tick in self.ticks]
        if not self.spec.reverse:
            return bisect_right(dates, position)
        return len(dates) - bisect_left(dates[::-1], position)


def is_recorded(spec: Mapping[str, Any], status: Mapping[str, Any], run: str) -> bool:
    """Whether the status of a backfill has the end of one of its runs, so that it can do without the DagRun."""
    position = parse_time(status.get("position"))
    if position is None or run in (status.get("activeRuns") or ()):
        return False
    last = names.run_name(str(spec.get("dag")), position)
    return run >= last if spec.get("reverse") else run <= last


def _runs(number: int) -> str:
    return f"{number} run{'' if number == 1 else 's'}"
