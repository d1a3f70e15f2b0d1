"""Which ticks of a Dag get a run now."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tradewind.api.dag import DagSpec
from tradewind.engine.schedule.due import MAX_TICKS_AT_ONCE, Due, counts_from, due_ticks, first_moment, upcoming
from tradewind.engine.timetables import timetable_of

pytestmark = pytest.mark.unit

DAY0 = datetime(2026, 3, 1, tzinfo=UTC)


def at(hour: float) -> datetime:
    return DAY0 + timedelta(hours=hour)


def spec(**fields: Any) -> DagSpec:
    return DagSpec.model_validate({"schedule": "0 * * * *", "tasks": [{"name": "a", "noop": True}], **fields})


def due(dag: DagSpec, *, after: datetime, now: datetime, room: int = 16) -> Due:
    timetable = timetable_of(dag, DAY0)
    assert timetable is not None
    return due_ticks(dag, timetable, after=after, now=now, room=room)


def dates(found: Due) -> list[datetime]:
    return [tick.logical_date for tick in found.create]


# One tick after the other -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("catchup", [False, True])
def test_nothing_is_due_between_ticks(catchup: bool) -> None:
    assert due(spec(catchup=catchup), after=at(6), now=at(6.5)) == Due([], None, at(7), at(7))


@pytest.mark.parametrize("catchup", [False, True])
def test_a_tick_is_due_at_its_very_moment(catchup: bool) -> None:
    found = due(spec(catchup=catchup), after=at(6), now=at(7))
    assert dates(found) == [at(7)]
    assert found.create[0].interval_start == at(6)
    assert (found.next, found.wake_at) == (at(8), at(8))


@pytest.mark.parametrize("catchup", [False, True])
def test_the_same_tick_is_not_due_twice(catchup: bool) -> None:
    assert dates(due(spec(catchup=catchup), after=at(7), now=at(7))) == []


def test_without_start_date_ticks_count_from_the_creation_of_the_dag() -> None:
    created = at(6.5)
    for catchup in (False, True):
        dag = spec(catchup=catchup)
        assert dates(due(dag, after=first_moment(dag, created), now=at(6.9))) == []
        assert dates(due(dag, after=first_moment(dag, created), now=at(7))) == [at(7)]


def test_a_tick_at_start_date_counts() -> None:
    dag = spec(startDate="2026-03-01T03:00:00Z", catchup=True)
    assert dates(due(dag, after=first_moment(dag, at(100)), now=at(5))) == [at(3), at(4), at(5)]


def test_a_start_date_in_the_future_is_waited_for() -> None:
    dag = spec(startDate="2026-03-02T00:30:00Z")
    found = due(dag, after=first_moment(dag, at(0)), now=at(5))
    assert found == Due([], None, at(25), at(25))


@pytest.mark.parametrize("schedule", ["0 * * * *", {"every": "1h"}, "@once", "@continuous"])
@pytest.mark.parametrize("catchup", [False, True])
def test_a_start_date_that_is_set_after_a_run_is_waited_for(schedule: Any, catchup: bool) -> None:
    """As `tradewind next` says."""
    dag = spec(schedule=schedule, startDate="2026-03-02T00:00:00Z", catchup=catchup)
    found = due(dag, after=counts_from(dag, at(0), last=at(4)), now=at(5))
    assert (dates(found), found.next) == ([], at(24))
    assert next(upcoming(dag, at(5))).logical_date == at(24)


def test_a_start_date_that_is_set_back_after_a_run_changes_nothing() -> None:
    dag = spec(startDate="2026-03-01T00:00:00Z", catchup=True)
    assert dates(due(dag, after=counts_from(dag, at(0), last=at(4)), now=at(6))) == [at(5), at(6)]


def test_a_past_start_date_without_catchup_gets_the_latest_tick() -> None:
    dag = spec(startDate="2020-01-01T00:00:00Z")
    assert dates(due(dag, after=first_moment(dag, at(5.5)), now=at(5.5))) == [at(5)]


# endDate ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("catchup", [False, True])
def test_a_tick_at_end_date_is_the_last(catchup: bool) -> None:
    dag = spec(endDate="2026-03-01T07:00:00Z", catchup=catchup)
    found = due(dag, after=at(6), now=at(7))
    assert dates(found) == [at(7)]
    assert (found.next, found.wake_at) == (None, None)
    assert due(dag, after=at(7), now=at(50)) == Due()


@pytest.mark.parametrize("catchup", [False, True])
def test_ticks_missed_before_end_date_still_get_runs_after_it(catchup: bool) -> None:
    dag = spec(endDate="2026-03-01T07:30:00Z", catchup=catchup)
    found = due(dag, after=at(5), now=at(50))
    assert dates(found) == ([at(6), at(7)] if catchup else [at(7)])
    assert found.wake_at is None


# Missed ticks -------------------------------------------------------------------------------------------------------


def test_without_catchup_only_the_latest_missed_tick_gets_a_run() -> None:
    found = due(spec(), after=at(1), now=at(9.5))
    assert dates(found) == [at(9)]
    assert found.create[0].interval_start == at(8)
    assert found.wake_at == at(10)


def test_with_catchup_all_do_oldest_first() -> None:
    found = due(spec(catchup=True), after=at(1), now=at(4.5))
    assert dates(found) == [at(2), at(3), at(4)]
    assert [tick.interval_start for tick in found.create] == [at(1), at(2), at(3)]
    assert found.wake_at == at(5)


def test_a_long_catchup_goes_in_steps() -> None:
    dag, after, seen = spec(catchup=True), at(0), []
    for _ in range(4):
        found = due(dag, after=after, now=at(250), room=10_000)
        seen += dates(found)
        if found.wake_at is not None and found.wake_at > at(250):
            break
        assert (len(found.create), found.wake_at) == (MAX_TICKS_AT_ONCE, at(250))
        after = seen[-1]
    assert seen == [at(hour) for hour in range(1, 251)]


def test_catchup_makes_no_more_runs_than_there_is_room_for() -> None:
    found = due(spec(catchup=True), after=at(0), now=at(9), room=3)
    assert dates(found) == [at(1), at(2), at(3)]
    assert (found.next, found.wake_at) == (at(4), None), "the end of a run is what makes room"


@pytest.mark.parametrize("room", [0, -2])
@pytest.mark.parametrize("catchup", [False, True])
def test_without_room_ticks_stay_due(catchup: bool, room: int) -> None:
    found = due(spec(catchup=catchup), after=at(6), now=at(9), room=room)
    assert (found.create, found.passed_over, found.wake_at) == ([], None, None)
    assert found.next == (at(7) if catchup else at(9))
    assert dates(due(spec(), after=at(6), now=at(10.5), room=1)) == [at(10)], "the latest takes the place of others"


def test_suspend_and_resume() -> None:
    """While suspended no ticks are computed; afterwards catchup decides."""
    assert dates(due(spec(), after=at(2), now=at(12.5))) == [at(12)]
    assert dates(due(spec(catchup=True), after=at(9), now=at(12.5))) == [at(10), at(11), at(12)]


# startingDeadline ---------------------------------------------------------------------------------------------------


def test_ticks_older_than_the_deadline_are_passed_over() -> None:
    dag = spec(catchup=True, startingDeadline="3h")
    found = due(dag, after=at(0), now=at(10.5))
    assert dates(found) == [at(8), at(9), at(10)]
    assert found.passed_over == at(7)


def test_a_tick_exactly_as_old_as_the_deadline_is_in_time() -> None:
    found = due(spec(catchup=True, startingDeadline="3h"), after=at(0), now=at(10))
    assert dates(found)[0] == at(7)


def test_the_latest_tick_may_be_too_late_as_well() -> None:
    found = due(spec(startingDeadline="10m"), after=at(0), now=at(9.5))
    assert dates(found) == []
    assert (found.passed_over, found.wake_at) == (at(9), at(10))


def test_nothing_is_passed_over_twice() -> None:
    found = due(spec(startingDeadline="10m"), after=at(9), now=at(9.5))
    assert (found.create, found.passed_over) == ([], None)


def test_what_waits_for_room_may_become_too_late() -> None:
    found = due(spec(startingDeadline="90m"), after=at(6), now=at(9), room=0)
    assert found.passed_over == at(7)
    assert dates(due(spec(startingDeadline="90m"), after=at(7), now=at(9), room=1)) == [at(9)]
