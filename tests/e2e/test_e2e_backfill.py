"""Backfills create past runs, each once, whatever happens meanwhile."""

import kubernetes
import pytest

from tests.bad_backfills import bad_backfills
from tests.cluster import REPOSITORY, moment
from tests.e2e.backfilling import backfill, counts, run_name, run_names, status_of, wait_ended, wait_reason
from tests.e2e.spaces import API_VERSION, between, most_at_once, stay, task
from tests.e2e.stage import Stage, side_by_side

NIGHTLY = {"schedule": "30 2 * * *", "timeZone": "Europe/Berlin", "suspend": True}
"""Suspended: a Backfill ignores that, and no scheduled run interferes."""
HOURLY = {"schedule": "0 * * * *", "suspend": True}
DAILY = {"schedule": "@daily", "suspend": True}


@side_by_side
def test_over_both_changes_of_clocks(stage: Stage) -> None:
    space = stage.watched_space("clocks")
    tell = 'echo \'["{{ ts }}", "{{ run.type }}", "{{ params.region }}"]\' >$TRADEWIND_OUTPUT'
    space.dag("nightly", task("load", tell), params={"region": {"type": "string", "default": "eu"}}, **NIGHTLY)
    space.dag("often", {"name": "nothing", "noop": True}, **{**NIGHTLY, "schedule": "*/30 * * * *"})
    # 02:30 does not exist on 29 March and occurs twice on 25 October; from and to are inclusive.
    backfill(
        space,
        "spring",
        "nightly",
        "2026-03-28T02:30:00+01:00",
        "2026-03-30T02:30:00+02:00",
        params={"region": "us"},
    )
    backfill(space, "autumn", "often", "2026-10-25T02:00:00+02:00", "2026-10-25T03:00:00+01:00")

    spring = ["2026-03-28T02:30+01:00", "2026-03-29T03:30+02:00", "2026-03-30T02:30+02:00"]
    status = wait_ended(space, "spring")
    assert (status["phase"], status["done"], status["message"]) == ("Succeeded", "3/3", "3 runs succeeded")
    assert counts(status) == {"total": 3, "created": 3, "active": 0, "succeeded": 3, "failed": 0, "skipped": 0}
    assert run_names(space, "nightly") == [run_name("nightly", tick) for tick in spring]
    uid = space.witness.get(space.name, "dags", "nightly")["metadata"]["uid"]
    starts = ["2026-03-27T02:30+01:00", *spring]
    for run, start, tick in zip(space.runs("nightly"), starts, spring, strict=False):
        date = f"{moment(tick):%Y-%m-%dT%H:%M:%SZ}"
        assert run["spec"]["type"] == "Backfill"
        assert run["spec"]["logicalDate"] == date
        assert run["spec"]["dataInterval"] == {"start": f"{moment(start):%Y-%m-%dT%H:%M:%SZ}", "end": date}
        assert run["metadata"]["labels"]["tradewind.dev/backfill"] == "spring"
        assert [owner["uid"] for owner in run["metadata"]["ownerReferences"]] == [uid]
        at, *others = space.task(run["metadata"]["name"], "load")["output"]
        assert (moment(at), others) == (moment(tick), ["Backfill", "us"])
    wait_ended(space, "autumn")
    hours = ["02:00+02:00", "02:30+02:00", "02:00+01:00", "02:30+01:00", "03:00+01:00"]
    assert run_names(space, "often") == [run_name("often", f"2026-10-25T{hour}") for hour in hours]
    [owner] = space.witness.get(space.name, "backfills", "spring")["metadata"]["ownerReferences"]
    assert owner["uid"] == uid


@side_by_side
def test_its_limit_is_its_own(stage: Stage) -> None:
    space = stage.watched_space("limit")
    space.dag("sales", task("load", "sleep 4"), maxActiveRuns=1, **HOURLY)
    first, second = space.run("sales", "first"), space.run("sales", "second")
    backfill(space, "week", "sales", "2026-01-01T00:00:00Z", "2026-01-01T05:00:00Z", maxActiveRuns=3)
    space.eventually(lambda: status_of(space, "week").get("active") == 3, "three runs of the Backfill are active")
    status = wait_ended(space, "week")
    assert counts(status)["succeeded"] == 6
    runs = {run["metadata"]["name"]: run for run in space.runs("sales")}
    space.wait_succeeded(second)
    own = [space.witness.get(space.name, "dagruns", name) for name in (first, second)]
    assert most_at_once([between(run["status"]) for run in own]) == 1
    made = [between(run["status"]) for name, run in runs.items() if name not in (first, second)]
    assert most_at_once(made) == 3


@side_by_side
def test_pause_and_resume(stage: Stage) -> None:
    space = stage.watched_space("pause")
    space.dag("sales", task("load", "sleep 3"), **HOURLY)
    backfill(space, "week", "sales", "2026-01-01T00:00:00Z", "2026-01-01T04:00:00Z", maxActiveRuns=2)
    space.eventually(lambda: len(space.runs("sales")) == 2, "two runs are made")

    space.witness.patch(space.name, "backfills", "week", {"spec": {"suspend": True}})

    status = wait_reason(space, "week", "Paused")
    assert "3 of 5 ticks are left" in status["message"]
    for run in run_names(space, "sales"):
        space.wait_succeeded(run)
    stay(3, lambda: len(space.runs("sales")) == 2, "there are two runs")
    assert counts(status_of(space, "week"))["succeeded"] == 2
    assert status_of(space, "week")["phase"] == "Paused"
    space.witness.patch(space.name, "backfills", "week", {"spec": {"suspend": False, "maxActiveRuns": 3}})
    status = wait_ended(space, "week")
    assert (status["phase"], status["done"]) == ("Succeeded", "5/5")
    assert most_at_once([between(run["status"]) for run in space.runs("sales")][2:]) == 3


@side_by_side
def test_deletion_stops_runs_that_have_not_started(stage: Stage) -> None:
    space = stage.watched_space("delete")
    space.dag("sales", task("load", "sleep 20"), **HOURLY)
    made = backfill(space, "week", "sales", "2026-01-01T00:00:00Z", "2026-01-01T23:00:00Z", maxActiveRuns=2)
    space.eventually(lambda: status_of(space, "week").get("active") == 2, "two runs are active")
    # Two are all that it makes; that a run of it waits takes a push.
    waiting = {
        "apiVersion": API_VERSION,
        "kind": "DagRun",
        "metadata": {
            "name": "waiting",
            "labels": {"tradewind.dev/backfill": "week"},
            "annotations": {"tradewind.dev/backfill-uid": made["metadata"]["uid"]},
        },
        "spec": {"dag": "sales", "type": "Backfill"},
    }
    space.witness.create(space.name, "dagruns", waiting)
    says = "waiting for maxActiveRuns of Backfill week (2)"
    space.eventually(lambda: space.status("waiting").get("message") == says, "a run waits")

    space.kubectl.run("delete", "bf", "week")

    space.eventually(lambda: "waiting" not in run_names(space, "sales"), "the run that waited is gone")
    started = run_names(space, "sales")
    assert len(started) == 2
    for run in started:
        space.wait_succeeded(run)
    stay(3, lambda: run_names(space, "sales") == started, "no run is made")


@side_by_side
def test_runs_that_exist_are_left_alone(stage: Stage) -> None:
    space = stage.watched_space("existing")
    space.dag("sales", task("load", "{{ params.script }}"), params={"script": {"default": "true"}}, **HOURLY)
    script = {"succeeded": "true", "failed": "false", "running": "sleep 100"}
    names = [run_name("sales", f"2026-01-01T0{hour}:00Z") for hour in range(6)]
    for hour, kind in enumerate(script):
        space.run("sales", names[hour + 1], params={"script": script[kind]})
    space.wait_finished(names[1])
    space.wait_finished(names[2])
    space.wait_state(names[3], "load", "Running")
    uids = {run["metadata"]["name"]: run["metadata"]["uid"] for run in space.runs("sales")}
    span = ("2026-01-01T00:00:00Z", "2026-01-01T05:00:00Z")
    backfill(space, "look", "sales", *span, dryRun=True, reprocess="Failed")

    listed = wait_ended(space, "look")

    assert [(tick["run"], tick["action"]) for tick in listed["ticks"]] == [
        (names[0], "Create"),
        (names[1], "Skip"),
        (names[2], "Rerun"),
        (names[3], "Skip"),
        (names[4], "Create"),
        (names[5], "Create"),
    ]
    assert listed["ticks"][3]["reason"] == "its run has not finished: it is Running"
    assert listed["message"] == "dry run: would create 3 runs, rerun 1 and skip 2"
    assert len(space.runs("sales")) == 3
    backfill(space, "fill", "sales", *span)
    status = wait_ended(space, "fill")
    assert status["phase"] == "Succeeded"
    assert status["message"] == "3 runs succeeded, 3 skipped"
    assert counts(status) == {"total": 6, "created": 3, "active": 0, "succeeded": 3, "failed": 0, "skipped": 3}
    found = {run["metadata"]["name"]: run for run in space.runs("sales")}
    assert sorted(found) == names
    for name, uid in uids.items():
        assert found[name]["metadata"]["uid"] == uid
        assert "tradewind.dev/backfill" not in found[name]["metadata"]["labels"]


@side_by_side
def test_failures_are_counted_and_named(stage: Stage) -> None:
    space = stage.watched_space("failures")
    space.dag("sales", task("load", 'case "{{ ts }}" in *T02*) exit 1;; esac'), **HOURLY)
    backfill(space, "week", "sales", "2026-01-01T00:00:00Z", "2026-01-01T03:00:00Z", reverse=True, maxActiveRuns=1)
    status = wait_ended(space, "week")
    failed = run_name("sales", "2026-01-01T02:00Z")
    assert (status["phase"], status["failedRuns"]) == ("Failed", [failed])
    assert status["message"] == f"1 of 4 runs failed: {failed}"
    assert counts(status) == {"total": 4, "created": 4, "active": 0, "succeeded": 3, "failed": 1, "skipped": 0}
    # reverse: the newest was made first.
    runs = sorted(space.runs("sales"), key=lambda run: moment(run["status"]["startedAt"]))
    assert [run["metadata"]["name"] for run in runs] == run_names(space, "sales")[::-1]
    failed_says = space.kubectl.attempt("wait", "bf/week", "--for=condition=Failed", "--timeout=1s")
    assert failed_says.returncode == 0, failed_says.stderr
    assert space.kubectl.attempt("wait", "bf/week", "--for=condition=Complete", "--timeout=1s").returncode == 1
    expected = [("Normal", "Started"), ("Warning", "Failed")]
    space.eventually(
        lambda: sorted((event.type, event.reason) for event in space.events("Backfill", "week")) == expected,
        "there are Events",
    )


@side_by_side
def test_one_at_a_time(stage: Stage) -> None:
    space = stage.watched_space("turns")
    space.dag("sales", task("load", "sleep 2"), **HOURLY)
    backfill(space, "one", "sales", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z")
    space.eventually(lambda: status_of(space, "one").get("phase") == "Running", "the first begins")
    backfill(space, "two", "sales", "2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z")
    status = wait_reason(space, "two", "AnotherBackfill")
    assert (status["phase"], status["message"]) == ("Pending", "waiting for Backfill one: a Dag runs one at a time")
    assert wait_ended(space, "two")["phase"] == "Succeeded"
    assert moment(status_of(space, "two")["startedAt"]) >= moment(status_of(space, "one")["finishedAt"])


@side_by_side
def test_a_backfill_that_cannot_run_says_why(stage: Stage) -> None:
    space = stage.watched_space("refused")
    cases = bad_backfills("admission", "ticks")
    for case in cases:
        space.witness.create(space.name, "dags", case["dag"])
        space.witness.create(space.name, "backfills", case["backfill"])
    for case in cases:
        status = wait_ended(space, case["name"])
        assert (status["phase"], status["reason"]) == ("Failed", case["reason"]), status
        assert case["contains"] in status["message"]
        accepted = next(condition for condition in status["conditions"] if condition["type"] == "Accepted")
        assert (accepted["status"], accepted["reason"], accepted["message"]) == (
            "False",
            case["reason"],
            status["message"],
        )
    assert not space.witness.list(space.name, "dagruns")


@side_by_side
def test_one_that_is_made_before_its_dag_waits(stage: Stage) -> None:
    space = stage.watched_space("early")
    backfill(space, "early", "late", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
    assert "no Dag named 'late'" in wait_reason(space, "early", "DagNotFound")["message"]
    space.dag("late", task("load", "true", "report"), task("report", "true", "load"), **DAILY)
    assert "is not accepted" in wait_reason(space, "early", "DagNotAccepted")["message"]
    space.edit_dag("late", tasks=[{"name": "nothing", "noop": True}])
    assert wait_ended(space, "early")["phase"] == "Succeeded"
    assert len(space.runs("late")) == 2


@side_by_side
def test_the_api_server_rejects_invalid_backfills(stage: Stage) -> None:
    space = stage.space("schema")
    for case in bad_backfills("schema"):
        with pytest.raises(kubernetes.client.ApiException) as refusal:
            space.witness.create(space.name, "backfills", case["backfill"], field_validation="Strict")
        assert refusal.value.status in (400, 422), case["name"]
    backfill(space, "fixed", "sales", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", params={"a": {"b": [1]}})
    for change in (
        {"to": "2026-01-03T00:00:00Z"},
        {"reprocess": "Failed"},
        {"params": {"a": {"b": [2]}}},
        {"params": None},
    ):
        with pytest.raises(kubernetes.client.ApiException) as refusal:
            space.witness.patch(space.name, "backfills", "fixed", {"spec": change})
        assert "only suspend and maxActiveRuns" in str(refusal.value)
    space.witness.patch(space.name, "backfills", "fixed", {"spec": {"suspend": True, "maxActiveRuns": 2}})
    lines = space.kubectl.run("get", "bf").splitlines()
    assert lines[0].split() == ["NAME", "DAG", "FROM", "TO", "PHASE", "DONE", "AGE"]


@side_by_side
def test_the_example(stage: Stage) -> None:
    space = stage.watched_space("example")
    space.kubectl.run("apply", "-f", str(REPOSITORY / "examples" / "backfill.yaml"))
    status = wait_ended(space, "late-march")
    assert (status["phase"], status["done"]) == ("Succeeded", "4/4")
    nights = ("28T02:30+01:00", "29T03:30+02:00", "30T02:30+02:00", "31T02:30+02:00")
    assert run_names(space, "nightly") == [run_name("nightly", f"2026-03-{night}") for night in nights]
    [pod] = space.pods_of(run_names(space, "nightly")[1])
    assert space.log(pod.metadata.name) == "load the sales of us up to the night of 2026-03-29\n"
    row = space.kubectl.run("get", "bf", "late-march").splitlines()[1].split()
    assert row[:6] == [
        "late-march",
        "nightly",
        "2026-03-28T00:00:00+01:00",
        "2026-03-31T23:59:59+02:00",
        "Succeeded",
        "4/4",
    ]
