"""When things happened, though the clocks of nodes, of the API server and of controllers do not agree."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.unit.engine.engine_world import START, World, run_info, task
from tradewind.api.times import format_time
from tradewind.engine.rules.moments import believable
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import TryEvent, TryReport

pytestmark = pytest.mark.unit

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def test_what_is_believable() -> None:
    assert believable(None, None, START) == START
    assert believable(START - MINUTE, None, START) == START - MINUTE
    assert believable(START + MINUTE, None, START) == START
    assert believable(START - MINUTE, START - SECOND, START) == START - SECOND
    assert believable(START, START + HOUR, START) == START + HOUR, "our clock was set back"


def times(world: World, name: str = "a") -> list[str]:
    entry = world.entry(name)
    return [entry[field] for field in ("scheduledAt", "queuedAt", "startedAt", "finishedAt") if field in entry]


@pytest.mark.parametrize("behind", [MINUTE, 5 * MINUTE, HOUR])
def test_a_node_whose_clock_is_behind_has_no_less_time(behind: timedelta) -> None:
    world = World(task("a", timeout="2m"))
    world.created("a")
    world.wait(seconds=5)
    world.running("a", started_at=world.now - behind)
    assert world.stops == []
    world.wait(seconds=110)
    assert world.stops == []
    world.succeed("a", started_at=START - behind, finished_at=world.now - behind)
    assert times(world) == sorted(times(world))
    assert world.entry("a")["startedAt"] == format_time(START)
    assert world.state("a") is TaskState.SUCCEEDED


def test_a_poke_that_ended_before_anybody_saw_it_start_did_not_start_before_it_was_ready() -> None:
    world = World(task("a", sensor={"interval": "1m", "timeout": "10m"}))
    world.fail("a", started_at=START - MINUTE, finished_at=START - MINUTE + SECOND)
    assert times(world) == sorted(times(world))
    assert world.entry("a")["firstPokeAt"] == format_time(START), "its timeout counts from there"


@pytest.mark.parametrize("ahead", [MINUTE, HOUR])
def test_a_node_whose_clock_is_ahead_has_no_more_time_and_its_retries_come_when_they_should(ahead: timedelta) -> None:
    world = World(task("a", timeout="2m", retries={"limit": 1, "delay": "30s"}))
    world.running("a", started_at=world.now + ahead)
    world.wait(minutes=2)
    assert world.stops == [("a", 1, "Timeout")]
    world.wait(seconds=3)
    world.fail("a", 143, started_at=START + ahead, finished_at=world.now + ahead)
    assert (world.state("a"), world.entry("a")["finishedAt"]) == (TaskState.UP_FOR_RETRY, format_time(world.now))
    assert world.run["a"].retry_at == world.now + timedelta(seconds=30)
    world.wait(seconds=30)
    assert world.started() == ["a", "a#2"]


@pytest.mark.parametrize("skew", [-HOUR, -MINUTE, MINUTE, HOUR])
def test_a_sensor_looks_again_when_it_should_whatever_the_clock_of_its_node_says(skew: timedelta) -> None:
    world = World(task("a", sensor={"mode": "Reschedule", "interval": "1m", "timeout": "10m"}))
    for _ in range(3):
        world.running("a", started_at=world.now + skew)
        world.wait(seconds=5)
        world.fail("a", started_at=world.now + skew, finished_at=world.now + skew)
        assert world.state("a") is TaskState.UP_FOR_RESCHEDULE
        due = world.run["a"].next_poke_at
        assert due is not None
        assert world.now + timedelta(seconds=55) <= due <= world.now + MINUTE
        world.wait(minutes=1)
    assert times(world)[:1] == [format_time(world.now)]


def test_what_was_seen_to_run_keeps_its_start() -> None:
    world = World(task("a"))
    world.created("a")
    world.wait(seconds=1)
    world.running("a", started_at=START)
    world.wait(seconds=9)
    world.succeed("a", started_at=START - HOUR, finished_at=START + 8 * SECOND)
    assert times(world)[-2:] == [format_time(START), format_time(START + 8 * SECOND)]


# Pods that were made before anybody wrote so --------------------------------------------------------------------------


def report(number: int, event: TryEvent, created: datetime, **facts: datetime | int) -> TryReport:
    return TryReport("a", number, event, created_at=created, **facts)  # type: ignore[arg-type]


def test_a_leader_that_finds_a_pod_of_which_nothing_is_written_tells_its_times_not_its_own() -> None:
    world = World(task("a"))
    later = START + MINUTE
    world.now = later
    begun = {"phase": "Running", "startedAt": format_time(START), "tasks": []}
    reported = report(1, TryEvent.RUNNING, START + SECOND, started_at=START + 4 * SECOND)
    world.restart([reported], begun)
    assert times(world) == [format_time(START + n * SECOND) for n in (1, 1, 4)]
    world.restart([report(1, TryEvent.CREATED, START - HOUR)], begun)
    assert times(world)[:1] == [format_time(START)], "not before its run began"


def test_a_mapped_task_began_with_the_first_of_its_pods() -> None:
    world = World(task("a", forEach={"items": [1, 2]}))
    world.now = START + MINUTE
    reported = TryReport("a", 1, TryEvent.CREATED, index=1, created_at=START + SECOND)
    world.restart([reported], {"phase": "Running", "startedAt": format_time(START), "tasks": []})
    assert world.entry("a")["scheduledAt"] == format_time(START + SECOND)


def test_a_pod_that_the_api_server_made_before_we_say_it_was_ready_is_not_queued_before() -> None:
    """Their clocks differ; it is ours that counts for what this leader did itself."""
    world = World(task("a", queuedTimeout="10m"))
    world.wait(seconds=2)
    world.created("a", created_at=START - HOUR)
    assert times(world) == [format_time(START)] * 2
    assert world.stops == []


def test_a_run_does_not_start_before_it_was_made() -> None:
    world = World(task("a"))
    run = world.add(run_info("r2", created_at=START + SECOND))
    assert run.started_at == START + SECOND
