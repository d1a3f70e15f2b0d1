"""A run that is restored from its status and its Pods continues as if nothing had happened."""

from collections.abc import Callable
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from tests.unit.engine.engine_world import START, World, dag, run_info, task
from tradewind.engine.run import known_tries
from tradewind.engine.run.known_tries import has_result
from tradewind.engine.run.slots import Slots
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.tries import TryEvent, TryKey, TryReport
from tradewind.engine.status.restore import load, unfold
from tradewind.engine.status.run_status import run_status
from tradewind.engine.transitions import try_lifecycle

pytestmark = pytest.mark.unit

Step = Callable[[World], object]

STORY: list[tuple[str, Step]] = [
    ("a is queued", lambda world: world.created("a")),
    ("a has a reason", lambda world: world.created("a", reason="Unschedulable", message="no node")),
    ("a runs", lambda world: world.running("a", started_at=world.now)),
    ("b runs", lambda world: world.running("b", started_at=world.now)),
    ("a is lost", lambda world: world.lose("a", message="node gone")),
    ("a runs again", lambda world: world.running("a", started_at=world.now)),
    ("a fails", lambda world: world.fail("a", 3, message="no luck")),
    ("b has an output", lambda world: world.succeed("b", '{"rows": 3}')),
    ("a is due", lambda world: world.wait(seconds=30)),
    ("a waits for quota", lambda world: world.postpone("a")),
    ("a is due again", lambda world: world.wait(seconds=2)),
    ("a runs at last", lambda world: world.running("a", started_at=world.now)),
    ("a succeeds", lambda world: world.succeed("a", "[1]")),
    ("skip skips", lambda world: world.skip("skip")),
    ("c runs", lambda world: world.running("c", started_at=world.now)),
    ("c takes too long", lambda world: world.wait(seconds=60)),
    ("c is stopped", lambda world: world.fail("c", 137, reason="DeadlineExceeded")),
    ("c is due", lambda world: world.wait(minutes=5)),
    ("c succeeds", lambda world: world.succeed("c")),
]


def story() -> World:
    return World(
        task("a", retries={"limit": 1, "delay": "30s"}),
        task("b"),
        task("skip", "b"),
        task("after-skip", "skip"),
        task("both", "a", "b", noop=True),
        task("c", "both", timeout="60s", retries={"limit": 1}),
        task("last", "c", noop=True),
        maxActiveTasks=2,
        runTimeout="2h",
    )


def known(status: dict[str, object]) -> dict[str, object]:
    """Return the part of a status that must be the same: waiting messages may be computed again."""
    entries = [dict(entry) for entry in status["tasks"]]  # type: ignore[attr-defined]
    for entry in entries:
        if entry["state"] == "Scheduled":
            entry.pop("message", None)
            entry.pop("reason", None)
    status = {key: value for key, value in status.items() if key not in ("message", "conditions")}
    return {**status, "tasks": entries}


def test_the_story_ends_well_without_a_restart() -> None:
    world = story()
    for _, step in STORY:
        step(world)
    assert world.phase() == "Succeeded"
    assert world.states() == {
        **dict.fromkeys(["a", "b", "both", "c", "last"], "Succeeded"),
        **dict.fromkeys(["skip", "after-skip"], "Skipped"),
    }


@pytest.mark.parametrize("at", range(len(STORY) + 1), ids=["at the start", *(name for name, _ in STORY)])
def test_a_restart_at_any_point_changes_nothing(at: int) -> None:
    undisturbed, restarted = story(), story()
    for index, (_, step) in enumerate([*STORY, ("", lambda world: world.plan())]):
        if index == at and not restarted.run.finished:
            restarted.restart()
        assert known(run_status(restarted.run)) == known(run_status(undisturbed.run))
        step(undisturbed)
        step(restarted)
    assert run_status(restarted.run) == run_status(undisturbed.run)


@pytest.mark.parametrize(
    ("step", "due"),
    [
        (lambda world: world.created("a"), 10 * 60),
        (lambda world: world.running("a", started_at=START), 90),
        (lambda world: world.fail("a", finished_at=START), 30),
        (lambda world: world.skip("a"), 2 * 3600),
    ],
    ids=["queuedTimeout", "timeout", "retry", "runTimeout"],
)
def test_a_restart_keeps_what_is_due(step: Step, due: int) -> None:
    limits = {"timeout": "90s", "queuedTimeout": "10m", "retries": {"limit": 1, "delay": "30s"}}
    world = World(task("a", **limits), task("b"), runTimeout="2h")
    step(world)
    world.restart()
    assert world.last.wake_at == START + timedelta(seconds=due)
    late = world.wait(seconds=due)
    assert late.stops or late.starts


def test_a_restart_starts_nothing_that_has_a_pod() -> None:
    world = World(task("a"), task("b"), task("c"))
    world.created("a")
    world.running("b")
    world.starts.clear()
    world.restart()
    assert world.started() == ["c"], "its Pod may never have been made"


def test_slots_are_held_again() -> None:
    world = World(task("a"), task("b"), task("c", poolSlots=3), maxActiveTasks=2)
    world.running("a")
    world.running("b")
    world.restart()
    assert (world.run.active, world.scheduler.slots.active) == (2, 2)
    assert world.scheduler.slots.used == {("ns", "default"): 2}


def test_a_status_without_phase_is_a_new_run() -> None:
    world = World(task("a"))
    world.restart(status={})
    assert world.phase() == "Running"
    assert world.started() == ["a", "a"]


def test_a_task_that_the_status_does_not_know_is_new_and_one_that_the_dag_does_not_know_is_left_out() -> None:
    world = World(task("a"))
    status = world.status()
    status["tasks"] = [{"name": "gone", "state": "Succeeded"}]
    world.restart(status=status)
    assert world.states() == {"a": "Scheduled"}


# Reports that come before the run knows of the try --------------------------------------------------------------------


def test_a_pod_of_a_try_that_status_does_not_know_is_taken_over() -> None:
    world = World(task("a"), task("b", "a"))
    status = world.status()
    status["tasks"] = []
    ended = TryReport("a", 1, TryEvent.ENDED, exit_code=0, finished_at=START)
    world.starts.clear()
    world.restart([ended, TryReport("b", 1, TryEvent.RUNNING, started_at=START)], status)
    assert world.states() == {"a": "Succeeded", "b": "Running"}
    assert world.started() == []


def test_the_pod_of_a_retry_that_status_does_not_know_is_taken_over() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "1h"}))
    world.running("a", started_at=START)
    reports = [
        TryReport("a", 1, TryEvent.ENDED, exit_code=1, finished_at=START),
        TryReport("a", 2, TryEvent.RUNNING, started_at=START + timedelta(seconds=1)),
    ]
    for order in permutations(reports):
        world.restart(order)
        assert (world.state("a"), world.run["a"].number) == (TaskState.RUNNING, 2)
        assert world.entry("a")["tries"][0]["state"] == "Failed"


@pytest.mark.parametrize("state", ["None", "Scheduled"])
@pytest.mark.parametrize("later", [2, 3])
def test_a_later_try_means_that_the_earlier_ones_have_finished(state: str, later: int) -> None:
    """They were made and ended before status was written, and their Pods are gone: they must not be made again."""
    world = World(task("a"))
    status = world.status()
    if state == "None":
        status["tasks"] = []
    world.starts.clear()
    world.restart([TryReport("a", later, TryEvent.RUNNING, started_at=START)], status)
    assert world.started() == []
    assert (world.state("a"), world.run["a"].number) == (TaskState.RUNNING, later)
    assert [past["state"] for past in world.entry("a")["tries"]] == ["Lost"] * (later - 1)


def test_a_later_try_is_taken_over_though_the_one_in_status_had_had_its_time() -> None:
    """Found by simulation: the try was lost, the next was made, and the controller died before it wrote status."""
    for limits in ({"timeout": "5s"}, {"queuedTimeout": "5s"}):
        world = World(task("a", retries={"limit": 0, "onLost": 1}, **limits))
        world.running("a", started_at=START) if "timeout" in limits else world.created("a")
        status = world.status()
        world.now += timedelta(minutes=1)
        world.restart([TryReport("a", 2, TryEvent.ENDED, exit_code=0, finished_at=world.now)], status)
        assert world.state("a") is TaskState.SUCCEEDED
        assert [past["reason"] for past in world.entry("a")["tries"]] == ["PodVanished"]
        assert world.plan().stops == []


@pytest.mark.parametrize("mapped", [{}, {"forEach": {"items": [1]}}])
def test_a_lost_try_that_another_followed_is_not_judged_by_the_time_that_has_passed_since(mapped: Any) -> None:
    world = World(task("a", retries={"limit": 0, "onLost": 1}, queuedTimeout="5s", **mapped))
    index = 0 if mapped else None
    world.created("a[0]" if mapped else "a")
    status = world.status()
    world.now += timedelta(minutes=1)
    lost = TryReport("a", 1, TryEvent.LOST, reason="PodDeleted", index=index)
    ended = TryReport("a", 2, TryEvent.ENDED, exit_code=0, finished_at=world.now, index=index)
    world.restart([ended, lost], status)
    assert world.state("a") is TaskState.SUCCEEDED


def test_early_reports_in_any_order_mean_the_same() -> None:
    reports = [
        TryReport("a", 1, TryEvent.CREATED),
        TryReport("a", 1, TryEvent.RUNNING, started_at=START),
        TryReport("a", 1, TryEvent.ENDED, exit_code=0, finished_at=START, output="1"),
    ]
    for order in permutations(reports):
        world = World(task("up"), task("a", "up"))
        for report in order:
            world.scheduler.report("r1", report, world.now)
            world.plan()
        assert world.state("a") is TaskState.NONE, "its upstream has not ended"
        world.succeed("up")
        assert world.state("a") is TaskState.SUCCEEDED


# Late and repeated reports ------------------------------------------------------------------------------------------


def test_saying_the_same_again_changes_nothing() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "10s"}), task("b", "a"))
    for event, facts in [
        (TryEvent.CREATED, {"reason": "Unschedulable", "message": "no node"}),
        (TryEvent.RUNNING, {"started_at": START}),
        (TryEvent.ENDED, {"exit_code": 1, "finished_at": START}),
    ]:
        world.scheduler.report("r1", TryReport("a", 1, event, **facts), world.now)  # type: ignore[arg-type]
        world.plan()
        world.run.changed = False
        before = world.status()
        world.scheduler.report("r1", TryReport("a", 1, event, **facts), world.now)  # type: ignore[arg-type]
        plan = world.plan()
        assert world.status() == before
        assert (plan.changed, plan.starts, plan.stops, plan.notes) == ([], [], [], [])


@pytest.mark.parametrize("event", list(TryEvent))
def test_reports_on_a_finished_try_change_nothing(event: TryEvent) -> None:
    world = World(task("a", retries={"limit": 1, "delay": "10s"}))
    world.fail("a")
    for wait in (0, 10):
        world.wait(seconds=wait)
        before = world.status()
        world.tell("a", event, number=1, exit_code=0)
        assert world.status() == before
    world.succeed("a")
    before = world.status()
    for number in (1, 2, 3):
        world.tell("a", event, number=number, exit_code=1)
    assert world.status() == before


@pytest.mark.parametrize("event", [TryEvent.CREATED, TryEvent.POSTPONED])
def test_what_comes_late_does_not_set_a_running_try_back(event: TryEvent) -> None:
    world = World(task("a"))
    world.running("a", started_at=START)
    before = world.status()
    world.tell("a", event, reason="Unschedulable", message="late")
    assert world.status() == before


@pytest.mark.parametrize("mapped", [{}, {"forEach": {"items": [1, 2]}}])
def test_what_has_run_is_not_forgotten_when_what_came_before_is_made_again_and_fails(mapped: dict[str, Any]) -> None:
    """The upstream task had succeeded, or this one would not have run. Its state was never written, and its Pod is
    deleted."""
    world = World(task("a"), task("b", "a", **mapped), task("c", "b", triggerRule="AllDone"))
    world.running("a")
    index = 1 if mapped else None
    world.restart([TryReport("b", 1, TryEvent.ENDED, exit_code=0, index=index)])
    world.lose("a")
    world.fail("a")
    if mapped:
        assert [world.state(f"b[{each}]").value for each in (0, 1)] == ["UpstreamFailed", "Succeeded"]
    else:
        assert world.states() == {"a": "Failed", "b": "Succeeded", "c": "Scheduled"}
    assert not world.run.early


@pytest.mark.parametrize("codes", [{"skipExitCodes": [99]}, {"failExitCodes": [99]}])
def test_the_exit_code_of_a_try_that_another_one_followed_means_nothing(codes: dict[str, Any]) -> None:
    """It had been asked to end, of which status does not tell: else there would be no other."""
    world = World(task("a", timeout="15s", retries={"limit": 1, "delay": "10s"}, **codes))
    world.running("a")
    reports = [TryReport("a", number, TryEvent.ENDED, exit_code=code) for number, code in ((2, 0), (1, 99))]
    world.restart(reports)
    assert (world.phase(), world.entry("a")["try"]) == ("Succeeded", 2)
    assert (world.entry("a")["tries"][0]["reason"], world.entry("a")["tries"][0]["exitCode"]) == ("Timeout", 99)


def test_pods_of_a_time_when_the_task_was_not_mapped_say_nothing_of_it() -> None:
    """A rerun with the latest version of the Dag: the Pods of the version before are still there."""
    world = World(task("a"), task("b", "a"))
    now_mapped = dag(task("a", forEach={"items": [1]}), task("b", "a"))
    mapped = RunState(run_info("r2"), now_mapped, world.scheduler.slots)
    for old in (TryReport("a", 1, TryEvent.ENDED, exit_code=0), TryReport("b", 1, TryEvent.ENDED, index=0)):
        assert not known_tries.is_unrecorded(mapped, old.key)
        assert known_tries.is_obsolete(mapped, old.key)
        assert has_result(mapped, old.key)
        try_lifecycle.apply_report(mapped, old, world.now)
        assert not mapped.early
    assert known_tries.is_unrecorded(mapped, TryKey("a", 0, 1))


def test_reports_on_unknown_tasks_and_runs_are_ignored() -> None:
    world = World(task("a"))
    world.scheduler.report("r1", TryReport("nope", 1, TryEvent.RUNNING), world.now)
    world.scheduler.report("nope", TryReport("a", 1, TryEvent.RUNNING), world.now)
    world.plan()
    assert world.states() == {"a": "Scheduled"}


# Whether a result is safe -----------------------------------------------------------------------------------------


def test_has_result_tells_when_a_pod_may_go() -> None:
    world = World(task("a", retries={"limit": 1, "delay": "10s"}), task("b", "a"))
    run: RunState = world.run
    world.running("a")
    assert not has_result(run, TryKey("a", None, 1))
    assert not has_result(run, TryKey("b", None, 1)), "an early try"
    world.fail("a")
    assert has_result(run, TryKey("a", None, 1))
    world.wait(seconds=10)
    assert has_result(run, TryKey("a", None, 1))
    assert not has_result(run, TryKey("a", None, 2))
    world.succeed("a")
    assert has_result(run, TryKey("a", None, 2))
    assert has_result(run, TryKey("nope", None, 1))
    world.fail("b")
    assert all(has_result(run, TryKey("b", None, number)) for number in (1, 2))


def test_a_run_of_many_tasks_is_restored_in_pieces() -> None:
    world = World(*(task(f"t{number}") for number in range(1200)))
    world.succeed("t0")
    status = world.status()
    run = load(world.run.info, world.dag, Slots(), status=status, unfolded=False)
    assert len(list(unfold(run))) >= 6
    assert known(run_status(run)) == known(status)
