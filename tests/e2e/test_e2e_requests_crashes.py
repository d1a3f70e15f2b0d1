"""Each request is applied once, whichever process dies at any moment."""

import time
from typing import Any

from tests.e2e.asking import ask, wait_asked
from tests.e2e.ledger import CLAIM, MOUNT, read_ledger
from tests.e2e.spaces import task
from tests.e2e.stage import Stage, side_by_side

RUNS = 12
SIGN = 'echo "$TRADEWIND_RUN $TRADEWIND_TRY" >> /ledger/tries'


@side_by_side
def test_each_rerun_happens_once_however_often_the_controller_is_killed(stage: Stage) -> None:
    space = stage.space("killed")
    space.volume(CLAIM)
    script = f'{SIGN}; [ "$TRADEWIND_TRY" -gt 1 ]'
    space.dag("sales", task("load", script, retries={"limit": 0}), podTemplate=MOUNT, failedRunsHistoryLimit=RUNS)
    leader = stage.controllers.launch_for(space.name).wait_leading()
    runs = [space.run("sales", f"run-{number}") for number in range(RUNS)]
    for run in runs:
        assert space.wait_finished(run)["phase"] == "Failed"

    asked = {}
    for number, run in enumerate(runs):
        asked[run] = ask(space, run, "Rerun", onlyFailed=True)
        if number % 3 == 2:
            # Some have been applied by now and some not, some are on record and still pending.
            time.sleep(0.05 * number)
            leader.kill()
            leader = stage.controllers.launch_for(space.name).wait_leading()

    for run in runs:
        assert wait_asked(space, run, asked[run])["state"] == "Applied"
        space.wait_succeeded(run)
        assert [record["id"] for record in space.status(run)["requests"]] == [asked[run]]
    assert read_ledger(space) == {(run, number): 1 for run in runs for number in (1, 2)}

    # As if the last leader had died between the write of status and the removal of the request.
    leader.kill()
    for run in runs:
        left = {"id": asked[run], "type": "Rerun", "onlyFailed": True}
        space.witness.patch(space.name, "dagruns", run, {"spec": {"request": left}})
    stage.controllers.launch_for(space.name).wait_leading()
    for run in runs:
        wait_asked(space, run, asked[run])
        assert space.status(run)["phase"] == "Succeeded"
    assert len(space.pods_of(runs[0])) == 2


@side_by_side
def test_requests_made_while_no_controller_runs(stage: Stage) -> None:
    space = stage.space("no-controller")
    space.dag("sales", task("load", "sleep 600", retries={"limit": 0}), task("report", "true", "load"))
    leader = stage.controllers.launch_for(space.name).wait_leading()
    stopped, marked = space.run("sales", "stopped"), space.run("sales", "marked")
    for run in (stopped, marked):
        space.wait_state(run, "load", "Running")
    leader.kill()
    first = ask(space, stopped, "Stop")
    second = ask(space, marked, "Mark", tasks=["load"], state="Succeeded")
    stage.controllers.launch_for(space.name).wait_leading()
    assert wait_asked(space, stopped, first)["state"] == "Applied"
    assert wait_asked(space, marked, second)["state"] == "Applied"
    assert space.wait_finished(stopped)["reason"] == "Stopped"
    space.wait_succeeded(marked)
    for run in (stopped, marked):
        space.eventually(
            lambda run=run: has_exited(space.pods_of(run, "load")), "its Pod is ended, and kept with its log"
        )


def has_exited(pods: list[Any]) -> bool:
    """Whether no container of theirs runs any more."""
    return bool(pods) and all(pod.status.phase in ("Succeeded", "Failed") for pod in pods)
