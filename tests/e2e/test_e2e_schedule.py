"""Schedules create exactly the runs that are due. Ticks are in the past wherever a test need not wait for one."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.cluster import Manifest, moment
from tests.e2e.backfilling import run_names
from tests.e2e.spaces import Space, between, most_at_once, stay, task
from tests.e2e.stage import Stage, side_by_side

EVERY_MINUTE = "* * * * *"
TICKS = 4


def past_ticks() -> tuple[list[datetime], dict[str, Any]]:
    """The last minutes but one, and a schedule of exactly those."""
    last = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=1)
    ticks = [last - timedelta(minutes=ago) for ago in reversed(range(TICKS))]
    return ticks, {"schedule": EVERY_MINUTE, "startDate": stamp(ticks[0]), "endDate": stamp(ticks[-1])}


def stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def names(dag: str, ticks: list[datetime]) -> list[str]:
    return [f"{dag}-{tick:%Y%m%dt%H%M%S}" for tick in ticks]


def wait_runs(space: Space, dag: str, expected: list[str]) -> list[Manifest]:
    """Exactly these runs are made, and all succeed."""
    space.eventually(lambda: len(run_names(space, dag)) >= len(expected), f"{len(expected)} runs are made")
    for run in expected:
        space.wait_succeeded(run)
    assert run_names(space, dag) == expected
    return space.runs(dag)


@side_by_side
def test_catchup_makes_a_run_of_every_tick(stage: Stage) -> None:
    space = stage.watched_space("catchup")
    ticks, schedule = past_ticks()
    script = 'echo \'["{{ ts }}", "{{ dataInterval.start }}", "{{ dataInterval.end }}"]\' >$TRADEWIND_OUTPUT; sleep 2'
    space.dag("sales", task("load", script), catchup=True, maxActiveRuns=2, **schedule)

    runs = wait_runs(space, "sales", names("sales", ticks))

    for run, tick in zip(runs, ticks, strict=True):
        start, end = stamp(tick - timedelta(minutes=1)), stamp(tick)
        assert run["spec"]["type"] == "Scheduled"
        assert run["spec"]["logicalDate"] == end
        assert run["spec"]["dataInterval"] == {"start": start, "end": end}
        assert space.task(run["metadata"]["name"], "load")["output"] == [end.replace("Z", "+00:00"), start, end]
    assert most_at_once([between(run["status"]) for run in runs]) == 2, [between(run["status"]) for run in runs]
    status = space.eventually(lambda: ended(space, "sales"), "the Dag says that no tick is left")
    assert status["lastScheduleTime"] == stamp(ticks[-1])
    assert "nextScheduleTime" not in status


def ended(space: Space, dag: str) -> Manifest | None:
    """The Dag's status, once its schedule is past endDate."""
    status = space.dag_status(dag)
    reasons = [condition["reason"] for condition in status.get("conditions", ()) if condition["type"] == "Scheduled"]
    return status if reasons == ["Ended"] and status.get("activeRuns") == 0 else None


@side_by_side
def test_without_catchup_only_the_latest_tick_counts(stage: Stage) -> None:
    space = stage.watched_space("latest")
    ticks, schedule = past_ticks()
    space.dag("sales", task("load", "true"), **schedule)
    wait_runs(space, "sales", names("sales", ticks[-1:]))
    stay(2, lambda: len(run_names(space, "sales")) == 1, "there is one run")


@side_by_side
def test_nothing_starts_while_suspended(stage: Stage) -> None:
    space = stage.watched_space("suspended")
    ticks, schedule = past_ticks()
    space.dag("sales", task("load", "true"), catchup=True, suspend=True, **schedule)
    space.wait_accepted("sales")
    stay(3, lambda: not run_names(space, "sales"), "there is no run")
    scheduled = space.dag_status("sales")["conditions"][1]
    assert (scheduled["type"], scheduled["status"], scheduled["reason"]) == ("Scheduled", "False", "Suspended")
    by_hand = space.run("sales", "a-by-hand")
    space.wait_succeeded(by_hand)

    space.edit_dag("sales", suspend=False)

    wait_runs(space, "sales", [by_hand, *names("sales", ticks)])


@side_by_side
def test_a_starting_deadline_skips_late_ticks(stage: Stage) -> None:
    space = stage.watched_space("deadline")
    ticks, schedule = past_ticks()
    # Late by two and a half minutes at most: between the first ticks and the last ones, whatever second it is now.
    late = datetime.now(UTC) - ticks[1] - timedelta(seconds=1)
    deadline = f"{int(late.total_seconds())}s"
    space.dag("sales", task("load", "true"), catchup=True, startingDeadline=deadline, **schedule)
    wait_runs(space, "sales", names("sales", ticks[2:]))


@side_by_side
def test_rejected_runs_do_not_block_later_ones(stage: Stage) -> None:
    space = stage.watched_space("refused")
    ticks, schedule = past_ticks()
    params = {"region": {"type": "string"}}
    space.dag("sales", task("load", "true"), catchup=True, maxActiveRuns=1, params=params, **schedule)
    expected = names("sales", ticks)
    space.eventually(lambda: run_names(space, "sales") == expected, "all runs are made")
    for run in expected:
        status = space.wait_finished(run)
        assert (status["phase"], status["reason"]) == ("Failed", "InvalidParams")


@side_by_side
def test_a_tick_of_the_clock(stage: Stage) -> None:
    space = stage.watched_space("tick")
    space.dag("clock", task("strike", "true"), schedule=EVERY_MINUTE)
    following = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    space.eventually(lambda: space.dag_status("clock").get("nextScheduleTime"), "the Dag says when it runs next")
    # The minute may have changed since.
    due = moment(space.dag_status("clock")["nextScheduleTime"])
    assert due in (following, following + timedelta(minutes=1))
    [name] = names("clock", [due])
    space.eventually(lambda: run_names(space, "clock"), "the tick makes a run")
    assert run_names(space, "clock") == [name]
    made = moment(space.runs("clock")[0]["metadata"]["creationTimestamp"])
    assert timedelta() <= made - due < timedelta(minutes=1)
    space.wait_succeeded(name)


@side_by_side
def test_time_zones_and_presets(stage: Stage) -> None:
    space = stage.watched_space("zones")
    schedules = {
        "berlin": ("30 2 * * *", "Europe/Berlin", "2199-07-01T00:00:00Z", "2199-07-01T00:30:00Z"),
        "daily": ("@daily", "America/New_York", "2199-01-01T12:00:00Z", "2199-01-02T05:00:00Z"),
    }
    for dag, (schedule, zone, start, due) in schedules.items():
        space.dag(dag, task("t", "true"), schedule=schedule, timeZone=zone, startDate=start)
        space.wait_accepted(dag)
        assert space.dag_status(dag)["nextScheduleTime"] == due
        assert not run_names(space, dag)
