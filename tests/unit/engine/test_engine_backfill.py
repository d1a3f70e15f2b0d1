"""Runs that a Backfill creates or leaves alone, each created once whenever its controller dies."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.unit.engine import brute_force_timetable as brute_force
from tradewind.api.backfill import MAX_TICKS, BackfillSpec, BackfillTimetable
from tradewind.api.dag import DagSpec
from tradewind.api.names import run_name
from tradewind.engine.schedule.backfill import (
    Action,
    BackfillState,
    ExistingRun,
    Step,
    check_ticks,
    decide,
    dry_run_status,
    is_recorded,
    outline,
    pinned,
    ticks_in,
    unpinned,
)
from tradewind.engine.timetables import Tick

pytestmark = pytest.mark.unit

BERLIN = ZoneInfo("Europe/Berlin")
MADE = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


def spec(start: Any = START, end: Any = START + 5 * HOUR, **fields: Any) -> BackfillSpec:
    return BackfillSpec.model_validate({"dag": "sales", "from": start, "to": end, **fields})


def dag(schedule: Any = "0 * * * *", **fields: Any) -> DagSpec:
    return DagSpec.model_validate({"schedule": schedule, "tasks": [{"name": "a", "noop": True}], **fields})


def ticks(of: BackfillSpec, **fields: Any) -> list[Tick]:
    return list(ticks_in(unpinned(pinned(dag(**fields), MADE)), of))


def dates(found: list[Tick]) -> list[datetime]:
    return [tick.logical_date for tick in found]


def at(hour: int) -> str:
    return run_name("sales", START + hour * HOUR)


# Ticks ------------------------------------------------------------------------------------------------------------


def test_ticks_at_both_ends_count() -> None:
    found = ticks(spec())
    assert dates(found) == [START + hour * HOUR for hour in range(6)]
    assert found[0].interval_start == START - HOUR
    assert dates(ticks(spec(START + timedelta(seconds=1), START + 2 * HOUR - timedelta(seconds=1)))) == [START + HOUR]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-27T00:00:00+01:00", "2026-03-31T00:00:00+02:00"),
        ("2026-10-23T00:00:00+02:00", "2026-10-27T00:00:00+01:00"),
        # Both in one span.
        ("2026-03-20T00:00:00+01:00", "2026-11-02T00:00:00+01:00"),
    ],
    ids=["spring", "autumn", "both"],
)
@pytest.mark.parametrize("schedule", ["30 2 * * *", "10 2-4 * * *", "20 * * * *", "0 */6 * * *", "15 1,2,3 * * 0"])
def test_ticks_over_changes_of_clocks(schedule: str, start: str, end: str) -> None:
    before, after = datetime.fromisoformat(start), datetime.fromisoformat(end)
    # Those of the brute force lie strictly between its ends.
    second = timedelta(seconds=1)
    expected = brute_force.ticks(schedule, BERLIN, before - second, after + second)
    assert dates(ticks(spec(start, end), schedule=schedule, timeZone="Europe/Berlin")) == expected
    assert len(expected) >= 2


def test_the_hour_that_comes_twice() -> None:
    found = ticks(
        spec("2026-10-25T02:00:00+02:00", "2026-10-25T03:00:00+01:00"),
        schedule="*/30 * * * *",
        timeZone="Europe/Berlin",
    )
    hours = ["02:00+02:00", "02:30+02:00", "02:00+01:00", "02:30+01:00", "03:00+01:00"]
    assert dates(found) == [datetime.fromisoformat(f"2026-10-25T{hour}") for hour in hours]


def test_the_dags_own_dates_do_not_matter() -> None:
    fields = {"startDate": "2026-05-01T00:00:00Z", "endDate": "2026-05-02T00:00:00Z", "startingDeadline": "1h"}
    assert len(ticks(spec(), **fields)) == 6


def test_every_counts_from_the_start_date_and_back() -> None:
    found = ticks(spec(), schedule={"every": "2h"}, startDate="2026-05-01T01:00:00.000250Z")
    assert dates(found) == [START + (hour * HOUR) + timedelta(microseconds=250) for hour in (1, 3)]


def test_several_schedules() -> None:
    found = ticks(spec(), schedule=None, schedules=["0 1,2 * * *", "0 2,3 * * *", "@once"])
    assert dates(found) == [START + hour * HOUR for hour in (1, 2, 3)]


def test_the_schedule_is_kept_as_it_was() -> None:
    for fields in (
        {"schedule": "30 2 * * *", "timeZone": "Europe/Berlin"},
        {"schedule": {"every": "90m"}, "startDate": "2026-05-01T01:00:00.000250Z"},
        {"schedule": None, "schedules": ["@daily", {"every": "7h"}]},
    ):
        kept = pinned(dag(**fields), MADE)
        written = kept.model_dump(mode="json", by_alias=True, exclude_none=True)
        assert BackfillTimetable.model_validate(written) == kept
        whole = spec(START, START + timedelta(days=5))
        assert list(ticks_in(unpinned(BackfillTimetable.model_validate(written)), whole)) == ticks(whole, **fields)


def test_no_ticks_and_too_many() -> None:
    kept = pinned(dag("0 6 * * *", timeZone="Europe/Berlin"), MADE)
    [problem] = check_ticks([], spec(), kept)
    assert problem.reason == "NoTicks"
    assert "the schedule 0 6 * * * (Europe/Berlin) has no tick from 2026-01-01T00:00:00Z to" in problem.message
    many = spec(START, START + timedelta(days=3))
    found = ticks(many, schedule={"every": "1s"})
    assert len(found) == MAX_TICKS + 1
    assert check_ticks(found, many, kept)[0].reason == "TooManyTicks"
    assert check_ticks(found[:-1], many, kept) == []


def test_a_span_at_the_end_of_the_calendar_has_no_ticks() -> None:
    assert ticks(spec("0001-01-01T00:00:00Z", "0001-01-02T00:00:00Z"), schedule="@yearly") == []


# Actions for a tick ---------------------------------------------------------------------------------------------

TICK = Tick(START, START - HOUR)


@pytest.mark.parametrize(
    ("run", "none", "failed", "completed"),
    [
        (None, Action.CREATE, Action.CREATE, Action.CREATE),
        (ExistingRun("Succeeded"), Action.SKIP, Action.SKIP, Action.RERUN),
        (ExistingRun("Failed"), Action.SKIP, Action.RERUN, Action.RERUN),
        (ExistingRun("Running"), Action.SKIP, Action.SKIP, Action.SKIP),
        (ExistingRun("Queued"), Action.SKIP, Action.SKIP, Action.SKIP),
        (ExistingRun("Failed", ours=True), Action.ADOPT, Action.ADOPT, Action.ADOPT),
        (ExistingRun("Running", ours=True), Action.ADOPT, Action.ADOPT, Action.ADOPT),
        (ExistingRun("Failed", dag="other"), Action.SKIP, Action.SKIP, Action.SKIP),
    ],
)
def test_what_becomes_of_a_tick(run: ExistingRun | None, none: Action, failed: Action, completed: Action) -> None:
    for reprocess, expected in (("None", none), ("Failed", failed), ("Completed", completed)):
        step = decide("sales", TICK, reprocess, lambda _: run)
        assert (step.action, step.run) == (expected, "sales-20260101t000000")
        assert bool(step.reason) == (expected in (Action.SKIP, Action.RERUN))


def test_a_dry_run() -> None:
    existing = {at(1): ExistingRun("Succeeded"), at(2): ExistingRun("Failed"), at(3): ExistingRun("Running")}
    steps = outline("sales", spec(reprocess="Failed", reverse=True), ticks(spec()), existing.get)
    status = dry_run_status(steps)
    assert [(tick["run"], tick["action"]) for tick in status["ticks"]] == [
        (at(5), "Create"),
        (at(4), "Create"),
        (at(3), "Skip"),
        (at(2), "Rerun"),
        (at(1), "Skip"),
        (at(0), "Create"),
    ]
    assert status["ticks"][2]["reason"] == "its run has not finished: it is Running"
    assert status["ticks"][3]["reason"] == "its run failed, and reprocess is Failed"
    assert status["message"] == "dry run: would create 3 runs, rerun 1 and skip 2"
    assert (status["total"], status["skipped"]) == (6, 2)


def test_a_long_dry_run_lists_the_first_ticks() -> None:
    found = ticks(spec(START, START + 1500 * HOUR))
    status = dry_run_status(outline("sales", spec(), found, lambda _: None))
    assert (status["total"], len(status["ticks"])) == (1501, 1000)
    assert status["message"].endswith("the first 1000 ticks are listed")


# A Backfill that continues --------------------------------------------------------------------------------------


def nothing(_: str) -> None:
    return None


def done(state: BackfillState, existing: Any = nothing) -> list[Step]:
    """Do all that is to be done next."""
    steps = state.steps(existing)
    for step in steps:
        state.complete(step)
    return steps


def runs_of(steps: list[Step]) -> list[str]:
    return [step.run for step in steps]


def test_as_many_runs_as_there_is_room_for() -> None:
    state = BackfillState(spec(maxActiveRuns=2), ticks(spec()))
    assert runs_of(done(state)) == [at(0), at(1)]
    assert done(state) == []
    state.run_finished(at(1), "Succeeded")
    assert runs_of(done(state)) == [at(2)]
    state.spec = spec(maxActiveRuns=4)
    assert runs_of(done(state)) == [at(3), at(4)]
    assert state.status()["message"] == "4 runs active, 1 of 6 ticks left"
    assert state.status()["done"] == "1/6"


def test_ticks_that_are_left_alone_take_no_room() -> None:
    existing = {at(hour): ExistingRun("Succeeded") for hour in (0, 2, 3, 5)}
    state = BackfillState(spec(maxActiveRuns=1), ticks(spec()))
    assert [step.action for step in done(state, existing.get)] == [
        Action.SKIP,
        Action.CREATE,
        Action.SKIP,
        Action.SKIP,
    ]
    state.run_finished(at(1), "Succeeded")
    done(state, existing.get)
    state.run_finished(at(4), "Succeeded")
    assert state.finished
    status = state.status()
    assert (status["phase"], status["message"]) == ("Succeeded", "2 runs succeeded, 4 skipped")
    assert {name: status[name] for name in ("total", "created", "skipped", "active")} == {
        "total": 6,
        "created": 2,
        "skipped": 4,
        "active": 0,
    }


def test_nothing_to_do_at_all() -> None:
    state = BackfillState(spec(), ticks(spec()))
    done(state, lambda _: ExistingRun("Succeeded"))
    assert (state.phase, state.status()["message"]) == ("Succeeded", "0 runs succeeded, 6 skipped")


def test_reverse() -> None:
    state = BackfillState(spec(maxActiveRuns=2, reverse=True), ticks(spec()))
    assert runs_of(done(state)) == [at(5), at(4)]


def test_suspended() -> None:
    state = BackfillState(spec(maxActiveRuns=2), ticks(spec()))
    done(state)
    state.spec = spec(maxActiveRuns=2, suspend=True)
    state.run_finished(at(0), "Succeeded")
    assert done(state) == []
    assert state.phase == "Paused"
    assert state.status()["message"] == "paused: 4 of 6 ticks are left; set spec.suspend to false to resume"


def test_suspended_when_nothing_is_left_to_make() -> None:
    state = BackfillState(spec(), ticks(spec()))
    done(state)
    state.spec = spec(suspend=True)
    assert state.phase == "Running"
    for run in list(state.active):
        state.run_finished(run, "Succeeded")
    assert state.phase == "Succeeded"


def test_failures() -> None:
    state = BackfillState(spec(maxActiveRuns=100), ticks(spec()))
    done(state)
    state.run_finished(at(0), "Succeeded")
    state.run_finished(at(1), "Failed")
    state.run_finished(at(1), "Succeeded")  # said twice, counted once
    state.run_finished("sales-other", "Failed")  # none of ours
    assert not state.finished
    state.run_finished(at(2), None)
    for hour in (3, 4, 5):
        state.run_finished(at(hour), "Succeeded")
    status = state.status()
    assert (status["phase"], status["succeeded"], status["failed"]) == ("Failed", 4, 2)
    assert status["failedRuns"] == [at(1), at(2)]
    assert status["message"] == f"2 of 6 runs failed: {at(1)}, {at(2)}"
    assert "activeRuns" not in status


def test_many_failures_are_counted_but_not_all_named() -> None:
    long = spec(START, START + 99 * HOUR, maxActiveRuns=100)
    state = BackfillState(long, ticks(long))
    for step in done(state):
        state.run_finished(step.run, "Failed")
    status = state.status()
    assert (status["failed"], len(status["failedRuns"])) == (100, 50)
    assert status["message"].endswith("and 95 more")


# Restarts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("fields", [{}, {"schedule": {"every": "1h"}, "startDate": "2026-05-01T00:00:00.000250Z"}])
def test_it_resumes_from_its_status(reverse: bool, fields: dict[str, Any]) -> None:
    whole = spec(maxActiveRuns=2, reverse=reverse)
    state = BackfillState(whole, ticks(whole, **fields))
    made = runs_of(done(state))
    state.run_finished(made[0], "Failed")
    made += runs_of(done(state))
    while not state.finished:
        state = BackfillState(whole, ticks(whole, **fields), status=state.status())
        state.run_finished(next(iter(state.active)), "Succeeded")
        made += runs_of(done(state))
    assert made == [run_name("sales", date) for date in dates(ticks(whole, **fields))][:: -1 if reverse else 1]
    assert state.status()["failedRuns"] == [made[0]]


def test_a_run_that_status_does_not_know_yet_is_not_made_again() -> None:
    """The controller died between making runs and writing that down."""
    state = BackfillState(spec(maxActiveRuns=2), ticks(spec()))
    before = state.status()
    made = {step.run: ExistingRun("Running", ours=True) for step in done(state)}
    again = BackfillState(spec(maxActiveRuns=2), ticks(spec()), status=before)
    steps = done(again, made.get)
    assert [(step.run, step.action) for step in steps] == [(at(0), Action.ADOPT), (at(1), Action.ADOPT)]
    assert (again.created, list(again.active)) == (2, [at(0), at(1)])
    paused = BackfillState(spec(suspend=True), ticks(spec()), status=before)
    assert runs_of(done(paused, made.get)) == [at(0), at(1)]


def test_what_is_recorded_may_be_deleted() -> None:
    for reverse in (False, True):
        whole = spec(maxActiveRuns=3, reverse=reverse)
        state = BackfillState(whole, ticks(whole))
        written: Mapping[str, Any] = whole.to_dict()
        assert not is_recorded(written, {}, at(0))
        first, second, third = runs_of(done(state))
        state.run_finished(second, "Succeeded")
        state.run_finished(third, "Succeeded")
        status = state.status()
        assert [is_recorded(written, status, run) for run in (first, second, third)] == [False, True, True]
        following = at(2 if reverse else 3)
        assert not is_recorded(written, status, following)
