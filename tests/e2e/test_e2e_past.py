"""Runs that depend on previous runs, with a change of the controller, or without one for a while."""

from typing import Any

from tests.cluster import moment
from tests.e2e.spaces import Space, stay, task
from tests.e2e.stage import Stage, side_by_side

PARAMS = {"code": {"type": "integer", "default": 0}}


def date(day: int) -> str:
    return f"2026-03-0{day}T06:00:00Z"


def day_run(space: Space, dag: str, day: int, **spec: Any) -> str:
    interval = {"start": date(day - 1), "end": date(day)}
    return space.run(dag, f"{dag}-{day}", logicalDate=date(day), dataInterval=interval, **spec)


def message(space: Space, run: str, name: str = "load") -> str:
    return str(space.task(run, name).get("message", ""))


def wait_message(space: Space, run: str, expected: str) -> None:
    space.eventually(lambda: message(space, run) == expected, f"{run} says: {expected}")
    assert space.task(run, "load")["state"] == "None"


@side_by_side
def test_a_run_waits_for_the_task_of_the_previous_run_while_controllers_restart(stage: Stage) -> None:
    space, controller = stage.space_and_controller("past-active")
    space.dag("daily", task("load", "sleep 12", dependsOnPast=True), task("report", "sleep 3", "load"))
    first, second = day_run(space, "daily", 2), day_run(space, "daily", 3)
    wait_message(space, second, f"waiting for task 'load' of the previous run '{first}' (Running)")
    controller.kill()
    stage.controllers.launch_for(space.name)
    for run in (first, second):
        space.wait_succeeded(run)
        assert space.task(run, "load")["try"] == 1
    ended, began = space.task(first, "load")["finishedAt"], space.task(second, "load")["startedAt"]
    assert moment(began) >= moment(ended)
    assert moment(began) < moment(space.status(first)["finishedAt"]), "it waits for that task only"


@side_by_side
def test_a_run_waits_for_one_that_failed_until_its_task_is_marked(stage: Stage) -> None:
    space, controller = stage.space_and_controller("past-failed")
    space.dag("daily", task("load", "exit {{ params.code }}", dependsOnPast=True), params=PARAMS, maxActiveRuns=1)
    first = day_run(space, "daily", 2, params={"code": 1})
    assert space.wait_finished(first)["phase"] == "Failed"
    second, third = day_run(space, "daily", 4), day_run(space, "daily", 5)
    wait_message(space, second, f"waiting for task 'load' of the previous run '{first}' (Failed)")
    between = day_run(space, "daily", 3)
    wait_message(space, second, f"waiting for task 'load' of the previous run '{between}' (not started)")
    space.eventually(lambda: space.status(third).get("phase") == "Queued", "the third waits")

    controller.stop()
    marked = [{**space.task(first, "load"), "state": "Succeeded"}]
    space.witness.patch_status(space.name, "dagruns", first, {"status": {"phase": "Succeeded", "tasks": marked}})
    stage.controllers.launch_for(space.name)

    for run in (between, second, third):
        space.wait_succeeded(run)
    begun = [moment(space.task(run, "load")["startedAt"]) for run in (between, second, third)]
    assert begun == sorted(begun)


@side_by_side
def test_it_notices_when_the_previous_run_is_changed_or_deleted(stage: Stage) -> None:
    space, _ = stage.space_and_controller("past-deleted")
    tasks = task("load", "true", waitForDownstream=True), task("check", "exit {{ params.code }}", "load")
    space.dag("daily", *tasks, params=PARAMS)
    failed = {"params": {"code": 1}}
    first = day_run(space, "daily", 2)
    space.wait_succeeded(first)
    second = day_run(space, "daily", 3, **failed)
    assert space.wait_finished(second)["phase"] == "Failed"
    third = day_run(space, "daily", 4)
    waits = f"waiting for task 'check' of the previous run '{second}' (Failed)"
    wait_message(space, third, waits)
    version = space.witness.get(space.name, "dagruns", third)["metadata"]["resourceVersion"]
    stay(3, lambda: space.witness.get(space.name, "dagruns", third)["metadata"]["resourceVersion"] == version, "still")
    space.witness.delete(space.name, "dagruns", second)
    space.wait_succeeded(third)
    assert "message" not in space.task(third, "load")


@side_by_side
def test_templates_see_the_runs_before(stage: Stage) -> None:
    space, _ = stage.space_and_controller("past-templates")
    text = "[\"{{ prevLogicalDate | d('') }}\", \"{{ prevDataIntervalEndSuccess | d('') }}\"]"
    script = f"echo '{text}' >$TRADEWIND_OUTPUT; exit {{{{ params.code }}}}"
    space.pool("gate", 0)
    space.dag("daily", task("load", script, failExitCodes=[1], pool="gate"), params=PARAMS, maxActiveRuns=1)
    runs: list[str] = []
    for day, phase in ((2, "Running"), (3, "Queued"), (4, "Queued")):
        run = day_run(space, "daily", day, params={"code": int(day == 3)})
        space.eventually(lambda run=run, phase=phase: space.status(run).get("phase") == phase, f"{run} is {phase}")
        runs.append(run)
    space.witness.patch(space.name, "pools", "gate", {"spec": {"slots": 1}})
    for run in runs:
        space.wait_finished(run)
    assert [space.status(run)["phase"] for run in runs] == ["Succeeded", "Failed", "Succeeded"]
    assert [space.task(run, "load").get("output") for run in (runs[0], runs[2])] == [["", ""], [date(3), date(2)]]
    later = day_run(space, "daily", 6)
    space.wait_succeeded(later)
    assert space.task(later, "load")["output"] == [date(4), date(4)], "found in finished runs"
