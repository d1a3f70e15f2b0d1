"""Rerun, mark, stop and suspend of runs, with real containers."""

from tests.e2e.asking import ask, ask_and_wait, complete, suspend, tries, wait_asked
from tests.e2e.backfilling import backfill, counts, run_name, wait_ended
from tests.e2e.ledger import CLAIM, MOUNT, SIGN, read_ledger
from tests.e2e.spaces import Space, task
from tests.e2e.stage import Stage, side_by_side


def reasons(space: Space, run: str) -> list[str]:
    return [event.reason for event in space.events("DagRun", run)]


@side_by_side
def test_failed_tasks_are_rerun_once_the_cause_is_fixed(stage: Stage) -> None:
    space = stage.watched_space("repaired")
    space.volume(CLAIM)
    space.dag(
        "sales",
        task("extract", SIGN),
        task("load", f"{SIGN}; test -f /ledger/repaired", "extract"),
        task("report", SIGN, "load"),
        task("clean", SIGN, "extract"),
        podTemplate=MOUNT,
        taskDefaults={"image": "busybox:1.36", "retries": {"limit": 0}},
    )
    space.dag("repair", task("repair", "touch /ledger/repaired"), podTemplate=MOUNT)
    run = space.run("sales")
    before = space.wait_finished(run)
    assert (before["phase"], space.task(run, "report")["state"]) == ("Failed", "UpstreamFailed")
    space.wait_succeeded(space.run("repair"))

    record = ask_and_wait(space, run, "Rerun", onlyFailed=True, message="the file is there now")

    assert record["message"] == "tasks to rerun: load, report"
    after = space.wait_succeeded(run)
    assert tries(space, run) == {"extract": 1, "load": 2, "report": 1, "clean": 1}
    assert read_ledger(space) == {("extract", 1): 1, ("load", 1): 1, ("load", 2): 1, ("report", 1): 1, ("clean", 1): 1}
    assert after["revision"] == before["revision"]
    [first] = space.task(run, "load")["tries"]
    assert (first["number"], first["state"], first["exitCode"]) == (1, "Failed", 1)
    space.eventually(lambda: "Rerun" in reasons(space, run), "an Event says so")
    [event] = [event for event in space.events("DagRun", run) if event.reason == "Rerun"]
    assert event.message == "tasks to rerun: load, report (requested by alice)"
    status = space.eventually(
        lambda: (found := space.dag_status("sales")).get("lastRunPhase") == "Succeeded" and found, "the Dag says so"
    )
    assert status["lastRun"] == run


@side_by_side
def test_a_task_and_its_downstream_tasks(stage: Stage) -> None:
    space = stage.watched_space("downstream")
    space.dag("sales", task("extract", "true"), task("load", "true", "extract"), task("report", "true", "load"))
    run = space.run("sales")
    space.wait_succeeded(run)
    ask_and_wait(space, run, "Rerun", tasks=["load"], downstream=True)
    space.eventually(lambda: tries(space, run).get("report") == 2, "the last task runs again")
    space.wait_succeeded(run)
    assert tries(space, run) == {"extract": 1, "load": 2, "report": 2}
    assert [pod.metadata.labels["tradewind.dev/try"] for pod in space.pods_of(run, "load")] == ["1", "2"]


@side_by_side
def test_one_instance_of_a_mapped_task(stage: Stage) -> None:
    space = stage.watched_space("instance")
    space.dag("sales", task("load", "true", forEach={"items": [1, 2, 3]}), task("report", "true", "load"))
    run = space.run("sales")
    space.wait_succeeded(run)
    record = ask_and_wait(space, run, "Rerun", tasks=["load[1]"])
    assert record["message"] == "tasks to rerun: load[1]"
    space.eventually(lambda: len(space.pods_of(run, "load")) == 4, "one instance runs again")
    space.wait_succeeded(run)
    made = [
        (pod.metadata.labels["tradewind.dev/index"], pod.metadata.labels["tradewind.dev/try"])
        for pod in space.pods_of(run, "load")
    ]
    assert sorted(made) == [("0", "1"), ("1", "1"), ("1", "2"), ("2", "1")]
    assert len(space.pods_of(run, "report")) == 1
    refused = wait_asked(space, run, ask(space, run, "Rerun", tasks=["load[7]"]))
    assert refused["state"] == "Rejected"
    assert "load[7]: 'load' has 3 instances, 0 to 2" in refused["message"]
    space.eventually(lambda: "RequestRejected" in reasons(space, run), "an Event says so")


@side_by_side
def test_with_the_dag_as_it_is_now(stage: Stage) -> None:
    space = stage.watched_space("latest")
    retries = {"limit": 0}
    space.dag("sales", task("load", "exit 1", retries=retries), task("old", "true"), task("report", "true", "load"))
    run = space.run("sales")
    before = space.wait_finished(run)
    say = "echo '\"new\"' >$TRADEWIND_OUTPUT"
    space.edit_dag("sales", tasks=[task("load", say), task("report", "true", "load"), task("more", "true", "report")])
    space.wait_accepted("sales")

    ask_and_wait(space, run, "Rerun", revision="Latest", onlyFailed=True)

    after = space.wait_succeeded(run)
    assert after["revision"] != before["revision"]
    states = {name: (entry["state"], entry.get("try")) for name, entry in space.tasks(run).items()}
    assert states == {
        "load": ("Succeeded", 2),
        "report": ("Succeeded", 1),
        "more": ("Succeeded", 1),
        "old": ("Removed", 1),
    }
    assert space.task(run, "load")["output"] == "new"


@side_by_side
def test_a_run_continues_when_its_failed_task_is_marked(stage: Stage) -> None:
    space = stage.watched_space("marked")
    space.dag("sales", task("load", "exit 3", retries={"limit": 0}), task("report", "true", "load"))
    run = space.run("sales")
    assert space.wait_finished(run)["phase"] == "Failed"
    record = ask_and_wait(space, run, "Mark", tasks=["load"], state="Succeeded", message="loaded by hand")
    assert record["message"] == "marked Succeeded: load; tasks to rerun: report"
    space.wait_succeeded(run)
    entry = space.task(run, "load")
    assert (entry["state"], entry["reason"], entry["try"]) == ("Succeeded", "Marked", 1)
    assert entry["message"] == "marked Succeeded by alice: loaded by hand"
    assert len(space.pods_of(run, "load")) == 1


@side_by_side
def test_a_run_that_is_stopped_is_torn_down(stage: Stage) -> None:
    space = stage.watched_space("stopped")
    space.volume(CLAIM)
    space.dag(
        "sales",
        task("up", SIGN, setup=True),
        task("load", f"{SIGN}; sleep 600", "up"),
        task("report", SIGN, "load"),
        task("down", SIGN, "report", teardown={"setups": ["up"]}),
        podTemplate=MOUNT,
    )
    run = space.run("sales")
    space.wait_state(run, "load", "Running")
    ask_and_wait(space, run, "Stop", message="too dear")
    status = space.wait_finished(run)
    assert (status["phase"], status["reason"]) == ("Failed", "Stopped")
    assert status["message"] == "stopped by alice: too dear"
    states = {name: entry["state"] for name, entry in space.tasks(run).items()}
    assert states == {"up": "Succeeded", "load": "Skipped", "report": "Skipped", "down": "Succeeded"}
    space.eventually(lambda: space.pods_of(run, "load")[0].status.phase == "Failed", "its Pod has finished")
    assert read_ledger(space) == {("up", 1): 1, ("load", 1): 1, ("down", 1): 1}


@side_by_side
def test_a_running_task_is_rerun_when_its_container_has_exited(stage: Stage) -> None:
    space = stage.watched_space("turns")
    space.volume(CLAIM)
    work = f"""
    {SIGN}; trap 'sleep 4; echo "ended $TRADEWIND_TRY" >> /ledger/tries; exit 1' TERM
    [ "$TRADEWIND_TRY" -gt 1 ] || {{ sleep 600 & wait; }}
    """
    patient = {"spec": {**MOUNT["spec"], "terminationGracePeriodSeconds": 120}}
    space.dag("sales", task("load", work, retries={"limit": 0}), podTemplate=patient)
    run = space.run("sales")
    space.wait_state(run, "load", "Running")
    ask_and_wait(space, run, "Rerun", tasks=["load"])
    space.wait_succeeded(run)
    assert tries(space, run) == {"load": 2}
    # In the order of the file: the first had finished when the second started.
    assert list(read_ledger(space)) == [("load", 1), ("ended", 1), ("load", 2)]


@side_by_side
def test_a_suspended_run_continues_where_it_was(stage: Stage) -> None:
    space = stage.watched_space("suspended")
    space.volume(CLAIM)
    wait = "until test -f /ledger/go; do sleep 0.2; done"
    space.dag("sales", task("load", f"{SIGN}; {wait}"), task("report", SIGN, "load"), podTemplate=MOUNT)
    space.dag("go", task("go", "touch /ledger/go"), podTemplate=MOUNT)
    run = space.run("sales")
    space.wait_state(run, "load", "Running")
    suspend(space, run, True)
    space.eventually(lambda: complete(space, run).get("reason") == "Suspended", "a condition says so")
    space.wait_succeeded(space.run("go"))
    space.wait_state(run, "load", "Succeeded")
    entry = space.wait_state(run, "report", "Scheduled")
    assert entry["message"] == "waiting: the run is suspended"
    assert space.status(run)["phase"] == "Running"
    suspend(space, run, False)
    space.wait_succeeded(run)
    assert read_ledger(space) == {("load", 1): 1, ("report", 1): 1}


@side_by_side
def test_a_backfill_reruns_failed_runs(stage: Stage) -> None:
    space = stage.watched_space("reprocess")
    daily = {"schedule": "@daily", "suspend": True}
    space.dag("sales", task("load", "{{ params.script }}", retries={"limit": 0}), **daily, params={"script": {}})
    names = [run_name("sales", f"2026-01-0{day}T00:00Z") for day in (1, 2, 3)]
    space.run("sales", names[0], params={"script": "true"})
    space.run("sales", names[1], params={"script": "false"})
    assert [space.wait_finished(name)["phase"] for name in names[:2]] == ["Succeeded", "Failed"]
    # The Dag is repaired: runs that are rerun use the current Dag.
    space.edit_dag("sales", tasks=[task("load", "true", retries={"limit": 0})])
    space.wait_accepted("sales")
    span = ("2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z")

    backfill(space, "failed", "sales", *span, reprocess="Failed", params={"script": "true"})

    status = wait_ended(space, "failed")
    assert counts(status) == {"total": 3, "created": 2, "active": 0, "succeeded": 2, "failed": 0, "skipped": 1}
    assert [tries(space, name)["load"] for name in names] == [1, 2, 1]
    [record] = space.status(names[1])["requests"]
    assert (record["requestedBy"], record["state"]) == ("Backfill failed", "Applied")

    backfill(space, "all", "sales", *span, reprocess="Completed", params={"script": "true"})

    status = wait_ended(space, "all")
    assert counts(status) == {"total": 3, "created": 3, "active": 0, "succeeded": 3, "failed": 0, "skipped": 0}
    assert [tries(space, name)["load"] for name in names] == [2, 3, 2]
