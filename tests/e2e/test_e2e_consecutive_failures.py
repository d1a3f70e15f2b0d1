"""maxConsecutiveFailedRuns on a real cluster: a Dag is suspended once, and the count restarts when it is resumed."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.cluster import Manifest
from tests.e2e.spaces import Space, stay, task
from tests.e2e.stage import Stage, side_by_side

EVERY_MINUTE = "* * * * *"


def past_ticks(count: int) -> dict[str, Any]:
    """A schedule of so many past minutes, each of which gets a run, one after the other."""
    last = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=1)
    first = last - timedelta(minutes=count - 1)
    return {
        "schedule": EVERY_MINUTE,
        "startDate": f"{first:%Y-%m-%dT%H:%M:%SZ}",
        "endDate": f"{last:%Y-%m-%dT%H:%M:%SZ}",
        "catchup": True,
        "maxActiveRuns": 1,
    }


def scheduled(space: Space) -> Manifest:
    """The condition Scheduled, {} before there is one."""
    conditions = space.dag_status("sales").get("conditions", ())
    return next((dict(each) for each in conditions if each["type"] == "Scheduled"), {})


def is_suspended(space: Space) -> bool:
    return space.witness.get(space.name, "dags", "sales")["spec"].get("suspend") is True


def wait_suspended(space: Space) -> None:
    space.eventually(
        lambda: is_suspended(space) and scheduled(space).get("reason") == "TooManyFailedRuns", "it is suspended"
    )
    assert scheduled(space)["status"] == "False"


def events(space: Space) -> list[str]:
    return [event.message for event in space.events("Dag", "sales") if event.reason == "TooManyFailedRuns"]


@side_by_side
def test_a_schedule_whose_runs_fail_is_suspended_until_it_is_resumed(stage: Stage) -> None:
    space, _ = stage.space_and_controller("failing")
    space.dag("sales", task("load", "exit 1"), maxConsecutiveFailedRuns=2, **past_ticks(6))

    wait_suspended(space)

    assert len(space.runs("sales")) == 2
    last = space.dag_status("sales")["lastRun"]
    [message] = space.eventually(lambda: events(space), "there is an Event")
    start = f"suspended after 2 failed runs in a row (the last: {last}); to resume it, run `tradewind resume"
    assert message.startswith(start)
    stay(3, lambda: len(space.runs("sales")) == 2, "no scheduled run starts")
    space.wait_finished(space.run("sales", "z-by-hand"))
    assert scheduled(space)["reason"] == "TooManyFailedRuns"

    space.edit_dag("sales", suspend=False)

    space.eventually(lambda: len(space.runs("sales")) == 2 + 1 + 2, "the next two runs are made")
    wait_suspended(space)
    stay(2, lambda: len(space.runs("sales")) == 5, "those before it was resumed do not count, those after it do")
    space.eventually(lambda: len(events(space)) == 2, "each time has an Event")

    space.edit_dag("sales", suspend=False, tasks=[task("load", "true")])

    space.eventually(lambda: scheduled(space).get("reason") == "Ended", "the last two runs are made")
    space.eventually(lambda: space.dag_status("sales").get("activeRuns") == 0, "and end")
    assert space.dag_status("sales")["consecutiveFailedRuns"] == 0
    assert len(space.runs("sales")) == 7


@side_by_side
def test_the_count_outlives_controllers(stage: Stage) -> None:
    space, controller = stage.space_and_controller("restarts")
    space.dag("sales", task("load", "exit 1"), maxConsecutiveFailedRuns=2, failedRunsHistoryLimit=0)
    space.run("sales", "first")
    space.eventually(lambda: space.dag_status("sales").get("consecutiveFailedRuns") == 1, "one is counted")
    space.eventually(lambda: not space.runs("sales"), "and pruned")
    controller.kill()
    controller = stage.controllers.launch_for(space.name).wait_leading()
    stay(2, lambda: not is_suspended(space), "one is not too many")
    space.run("sales", "second")
    wait_suspended(space)

    controller.stop()
    space.edit_dag("sales", suspend=False)
    stage.controllers.launch_for(space.name).wait_leading()

    space.eventually(lambda: space.dag_status("sales").get("consecutiveFailedRuns") == 0, "the count restarts")
    stay(2, lambda: not is_suspended(space), "what a person resumed stays resumed")


@side_by_side
def test_an_end_that_was_not_counted_any_more_is_counted_by_the_next_controller(stage: Stage) -> None:
    space, controller = stage.space_and_controller("uncounted")
    space.dag("sales", task("load", "exit 1"), maxConsecutiveFailedRuns=3)
    space.eventually(lambda: "consecutiveFailedRuns" in space.dag_status("sales"), "it counts")
    for name in ("first", "second"):
        space.run("sales", name)
        # Its end is in its own status at once, and in that of the Dag up to a second later.
        space.eventually(lambda name=name: space.status(name).get("phase") == "Failed", f"{name} has finished")
        controller.kill()
        controller = stage.controllers.launch_for(space.name).wait_leading()
    space.eventually(lambda: space.dag_status("sales").get("consecutiveFailedRuns") == 2, "each is counted once")
    stay(2, lambda: space.dag_status("sales")["consecutiveFailedRuns"] == 2, "and only once")
    space.run("sales", "third")
    wait_suspended(space)
