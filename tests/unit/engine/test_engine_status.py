"""DagRun.status of a run: valid, readable, and small whatever happens."""

from collections.abc import Callable
from datetime import timedelta

import orjson
import pytest

from tests.unit.engine.engine_world import START, World, run_info, task
from tradewind.api.dagrun import DagRunStatus
from tradewind.api.times import format_time, parse_time
from tradewind.engine.run.json_size import shorten
from tradewind.engine.run.task_instance import MAX_TRIES_KEPT
from tradewind.engine.run.tries import TryEvent, TryReport
from tradewind.engine.status.run_status import run_status
from tradewind.engine.transitions import run_lifecycle, try_lifecycle

pytestmark = pytest.mark.unit

MAX_STATUS = 1_200_000
"""etcd takes 1.5 MiB with the object's spec and metadata."""


def stored_size(status: object) -> int:
    """Bytes as the API server stores it: Go escapes <, > and &, and line separators."""
    text = orjson.dumps(status).decode()
    return len(text.encode()) + 5 * sum(map(text.count, "<>&")) + 3 * sum(map(text.count, "\u2028\u2029"))


def validate(world: World) -> DagRunStatus:
    return DagRunStatus.model_validate(orjson.loads(orjson.dumps(world.status())))


def test_every_state_on_the_way_is_valid() -> None:
    world = World(
        task("a", retries={"limit": 1, "delay": "10s"}, timeout="1m"),
        task("b", "a"),
        task("c"),
        task("d", "c"),
        task("e", pool="nope"),
        maxActiveTasks=2,
    )
    steps: list[Callable[[], object]] = [
        lambda: world.created("a", reason="Unschedulable", message="no node"),
        lambda: world.running("a", started_at=START),
        lambda: world.lose("a"),
        lambda: world.running("a", started_at=START),
        lambda: world.fail("a", 3, message="no luck"),
        lambda: world.wait(seconds=10),
        lambda: world.postpone("a"),
        lambda: world.wait(seconds=10),
        lambda: world.succeed("a", '{"rows": 1}'),
        lambda: world.skip("b"),
        lambda: world.fail("c"),
        lambda: world.scheduler.set_pool("ns", "nope", 1),
        lambda: world.succeed("e"),
    ]
    seen = set(world.states().values())
    for step in steps:
        step()
        seen |= set(world.states().values())
        status = validate(world)
        assert status.done == f"{sum(i.finished for i in world.run)}/5"
    assert world.phase() == "Failed"
    assert seen >= {"None", "Scheduled", "Queued", "Running", "UpForRetry", "Succeeded", "Failed", "Skipped"}


def test_a_task_whose_instances_are_known_before_they_begin_is_valid() -> None:
    world = World(
        task("a", group="g"), task("b", "a", group="g"), groups=[{"name": "g", "forEach": {"items": ["x", "y"]}}]
    )
    validate(world)
    assert (world.entry("b")["state"], world.entry("b")["count"]) == ("None", 2)


def test_every_state_of_instances_is_valid() -> None:
    """The API server drops fields that its schema does not have, and refuses states that it does not know."""
    world = World(
        task("list"),
        task("load", retries={"limit": 2, "delay": "10s"}, forEach={"output": "list"}),
        task("landed", sensor={"mode": "Reschedule", "interval": "5s"}, forEach={"items": [1, 2]}),
        task("held", sensor={"interval": "5s"}),
        {"name": "evening", "waitFor": {"duration": "1m"}, "forEach": {"items": [1, 2]}},
        task("first", group="g", dependsOn=["list"]),
        task("second", "first", group="g", retries={"limit": 1, "delay": "10s"}),
        groups=[{"name": "g", "forEach": {"items": ["a", "b"]}}],
    )
    steps: list[Callable[[], object]] = [
        lambda: world.succeed("list", "[1, 2, 3]"),
        lambda: world.running("load[0]", started_at=START),
        lambda: world.succeed("load[0]", '{"rows": 1}'),
        lambda: world.fail("load[1]", message="no luck"),
        lambda: world.lose("load[2]"),
        lambda: world.fail("landed[0]"),
        lambda: world.fail("held"),
        lambda: world.succeed("first[0]"),
        lambda: world.fail("second[0]"),
        lambda: world.wait(seconds=5),
        lambda: world.fail("landed[0]"),
        lambda: world.wait(seconds=5),
        lambda: world.fail("load[1]", message="no luck"),
        lambda: world.succeed("second[0]", "1"),
        lambda: world.restart(),
        lambda: world.succeed("held"),
        lambda: world.wait(minutes=1),
        lambda: world.fail("first[1]"),
        lambda: world.fail("load[1]"),
        lambda: world.succeed("load[2]"),
        lambda: world.succeed("landed[0]"),
        lambda: world.succeed("landed[1]"),
    ]
    validate(world)
    for step in steps:
        step()
        validate(world)
    assert world.phase() == "Failed"


def test_a_new_run() -> None:
    world = World(task("a"), task("b", "a"), maxActiveRuns=1)
    queued = world.add(run_info("r2", logical_date=START + timedelta(days=1), params={"x": 1}, revision="d-abc"))
    assert run_status(queued) == {
        "phase": "Queued",
        "message": "waiting for maxActiveRuns of the Dag (1)",
        "logicalDate": "2026-03-02T12:00:00Z",
        "dataInterval": {"start": "2026-03-02T12:00:00Z", "end": "2026-03-02T12:00:00Z"},
        "done": "0/2",
        "revision": "d-abc",
        "params": {"x": 1},
        "conditions": [
            {
                "type": kind,
                "status": "False",
                "reason": "Queued",
                "message": "waiting for maxActiveRuns of the Dag (1)",
                "lastTransitionTime": "2026-03-02T12:00:00Z",
            }
            for kind in ("Complete", "Failed")
        ],
        "tasks": [],
    }


def test_a_run_that_succeeded() -> None:
    world = World(task("a"))
    world.created("a")
    world.now += timedelta(seconds=2)
    world.running("a", started_at=START + timedelta(seconds=2))
    world.now += timedelta(seconds=93)
    world.succeed("a", finished_at=START + timedelta(seconds=90))
    status = world.status()
    assert (status["phase"], status["done"], status["duration"]) == ("Succeeded", "1/1", "1m30s")
    assert status["finishedAt"] == "2026-03-01T12:01:30Z"
    assert status["conditions"][0] == {
        "type": "Complete",
        "status": "True",
        "reason": "Succeeded",
        "message": "the run is Succeeded",
        "lastTransitionTime": "2026-03-01T12:01:30Z",
    }
    assert status["tasks"] == [
        {
            "name": "a",
            "state": "Succeeded",
            "try": 1,
            "exitCode": 0,
            "scheduledAt": "2026-03-01T12:00:00Z",
            "queuedAt": "2026-03-01T12:00:00Z",
            "startedAt": "2026-03-01T12:00:02Z",
            "finishedAt": "2026-03-01T12:01:30Z",
        }
    ]


def test_a_run_that_failed_names_who_did() -> None:
    world = World(*(task(f"t{index}") for index in range(7)), task("last", "t0"))
    for index in range(7):
        world.fail(f"t{index}")
    assert world.run.message == "failed: t0, t1, t2, t3, t4 and 2 more"
    assert (world.status()["reason"], world.status()["conditions"][0]["reason"]) == ("TaskFailed", "TaskFailed")


@pytest.mark.parametrize(("ends", "complete", "failed"), [("succeed", "True", "False"), ("fail", "False", "True")])
def test_a_run_is_complete_when_it_has_succeeded_and_failed_when_it_has_failed(
    ends: str, complete: str, failed: str
) -> None:
    world = World(task("a"))
    statuses = {each["type"]: each["status"] for each in world.status()["conditions"]}
    assert statuses == {"Complete": "False", "Failed": "False"}
    getattr(world, ends)("a")
    statuses = {each["type"]: each["status"] for each in world.status()["conditions"]}
    assert statuses == {"Complete": complete, "Failed": failed}


def test_a_task_that_was_not_considered_is_not_in_status() -> None:
    world = World(task("a"), task("b", "a"))
    assert [entry["name"] for entry in world.status()["tasks"]] == ["a"]


def test_only_the_last_tries_are_kept() -> None:
    world = World(task("a", retries={"limit": 15, "delay": "0s"}))
    for _ in range(15):
        world.fail("a")
    entry = world.entry("a")
    assert entry["try"] == 16
    assert [past["number"] for past in entry["tries"]] == list(range(16 - MAX_TRIES_KEPT, 16))
    validate(world)


@pytest.mark.parametrize(
    ("tasks", "retries", "character"),
    [
        (2000, 0, "x"),
        (2000, 2, "\x1b"),
        *((250, 11, character) for character in ("x", "\n", "\x1b", "<", "é", "😀", "\u2028")),
    ],
    ids=ascii,
)
def test_status_stays_small_when_everything_fails_with_long_messages(tasks: int, retries: int, character: str) -> None:
    names = [f"{'long-name-' * 5}{index:04}" for index in range(tasks)]
    world = World(*(task(name, retries={"limit": retries, "delay": "0s"}) for name in names), maxActiveTasks=tasks)
    for number in range(1, retries + 2):
        for name in names:
            started = world.now + timedelta(milliseconds=number)
            ended = TryReport(
                name,
                number,
                TryEvent.ENDED,
                exit_code=137,
                reason="OOMKilled",
                message=character * 4096,
                started_at=started,
                finished_at=started,
            )
            try_lifecycle.apply_report(world.run, TryReport(name, number, TryEvent.CREATED), started)
            try_lifecycle.apply_report(world.run, ended, started)
        run_lifecycle.advance(world.run, world.now + timedelta(seconds=1))
    assert world.phase() == "Failed"
    assert stored_size(world.status()) < MAX_STATUS


def test_status_costs_what_has_changed() -> None:
    world = World(*(task(f"t{index}") for index in range(50)), maxActiveTasks=50)
    before = world.status()["tasks"]
    world.created("t7")
    after = world.status()["tasks"]
    same = [index for index in range(50) if before[index] is after[index]]
    assert same == [index for index in range(50) if index != 7]


# Messages and times -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "short", "é" * 40, "\x00" * 13, "x" * 80])
def test_what_fits_is_not_shortened(text: str) -> None:
    assert shorten(text, 80) == text


@pytest.mark.parametrize("character", ["x", "\n", "\x1b", "<", "é", "😀", '"', "\\", "\u2028"], ids=ascii)
@pytest.mark.parametrize("limit", [20, 80, 81, 82, 83, 84, 85, 1024])
def test_the_end_is_kept_and_fits(character: str, limit: int) -> None:
    short = shorten("start" + character * 4096 + "end", limit)
    assert short.startswith("…")
    assert short.endswith("end")
    assert limit - 6 <= stored_size(short) - 2 <= limit
    assert shorten(short, limit) == short


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-03-01T12:00:00+00:00", "2026-03-01T12:00:00Z"),
        ("2026-03-01T12:00:00.250+01:00", "2026-03-01T11:00:00.250Z"),
        ("2026-03-01T12:00:00.000001+00:00", "2026-03-01T12:00:00Z"),
    ],
)
def test_times_are_rfc_3339_in_utc(text: str, written: str) -> None:
    moment = parse_time(text)
    assert moment is not None
    assert format_time(moment) == written
    assert parse_time(written) is not None


def test_no_time_is_no_time() -> None:
    assert parse_time(None) is None


def test_a_run_that_succeeded_names_what_failed_all_the_same() -> None:
    world = World(task("a"), task("b"), task("end", "a", "b", triggerRule="AllDone"))
    world.fail("a")
    world.succeed("b")
    world.succeed("end")
    status = world.status()
    assert (status["phase"], status["reason"], status["message"]) == (
        "Succeeded",
        "Succeeded",
        "failed without failing the run: a",
    )
    assert world.said("Succeeded") == ["Succeeded after 0s: failed without failing the run: a"]
    world.restart()
    assert world.status()["message"] == status["message"]
