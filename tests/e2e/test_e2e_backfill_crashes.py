"""Backfills create each run once, whatever happens to their controller."""

import time

from tests.e2e.backfilling import backfill, counts, run_name, status_of, wait_ended
from tests.e2e.ledger import CLAIM, MOUNT, read_ledger
from tests.e2e.spaces import task
from tests.e2e.stage import Stage, side_by_side

HOURLY = {"schedule": "0 * * * *", "suspend": True}


@side_by_side
def test_every_run_is_created_once_whichever_process_dies(stage: Stage) -> None:
    """Controllers are killed again and again, and history deletes runs as soon as they are recorded."""
    space = stage.space("killed")
    space.volume(CLAIM)
    script = 'echo "$TRADEWIND_RUN $TRADEWIND_TRY" >> /ledger/tries; sleep 1'
    space.dag("sales", task("load", script), podTemplate=MOUNT, successfulRunsHistoryLimit=1, **HOURLY)
    backfill(space, "day", "sales", "2026-01-01T00:00:00Z", "2026-01-01T15:00:00Z", maxActiveRuns=4)
    for seconds in (0.2, 0.7, 1.5, 2.5, 4):
        controller = stage.controllers.launch_for(space.name).wait_leading()
        time.sleep(seconds)
        controller.kill()
    # A standby that is already there takes over from the last one.
    leader = stage.controllers.launch_for(space.name).wait_leading()
    stage.controllers.launch_for(space.name).wait_ready()
    space.eventually(lambda: int(status_of(space, "day").get("done", "0/").split("/")[0]) >= 8, "half is done")
    leader.kill()
    status = wait_ended(space, "day", 120)
    expected = [run_name("sales", f"2026-01-01T{hour:02}:00Z") for hour in range(16)]
    assert counts(status) == {"total": 16, "created": 16, "active": 0, "succeeded": 16, "failed": 0, "skipped": 0}
    assert read_ledger(space) == {(run, 1): 1 for run in expected}, space.explain()
    space.eventually(lambda: len(space.runs("sales")) == 1, "history keeps one run")
