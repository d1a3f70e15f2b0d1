"""`tradewind backfill` with a cluster in memory, and its dry run without any."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml

from tests.bad_backfills import bad_backfills
from tests.unit.cli.cluster_setup import Setup
from tests.unit.cli.commandline import Cli, DagFile
from tests.unit.cli.fake_cluster import condition

pytestmark = pytest.mark.unit

JANUARY = ("--from", "2026-01-01", "--to", "2026-01-03")


def test_create(tradewind: Setup) -> None:
    tradewind.fake.change("dags", "sales", spec={"timeZone": "Europe/Berlin"})
    result = tradewind(
        "backfill", "create", "sales", "--from", "2026-03-28", "--to", "2026-03-30T02:30:00+02:00", "-p", "rows=5",
        "--reprocess", "failed", "--max-active-runs", "3", "--reverse",
    )  # fmt: skip
    assert (result.code, result.out, result.err) == (0, "sales-00001\n", "")
    assert tradewind.fake.get("backfills", "sales-00001")["spec"] == {
        "dag": "sales",
        "from": "2026-03-27T23:00:00Z",  # midnight in Berlin
        "to": "2026-03-30T00:30:00Z",
        "params": {"rows": 5},
        "reprocess": "Failed",
        "maxActiveRuns": 3,
        "reverse": True,
        "suspend": False,
        "dryRun": False,
    }


def test_create_with_a_name(tradewind: Setup) -> None:
    result = tradewind("backfill", "create", "sales", *JANUARY, "--name", "january", "-o", "json")
    assert json.loads(result.out)["metadata"]["name"] == "january"
    assert tradewind.fake.names("backfills") == ["january"]
    refused = tradewind("backfill", "create", "sales", *JANUARY, "--name", "January")
    assert refused.code == 2 and "'January' must be lower-case" in refused.err


@pytest.mark.parametrize(("phase", "code"), [("Succeeded", 0), ("Failed", 1)])
def test_follow(tradewind: Setup, phase: str, code: int) -> None:
    failed = 1 if phase == "Failed" else 0
    tradewind.fake.steps = [
        {},
        {"phase": "Pending", "message": "waiting for Backfill one: a Dag runs one at a time"},
        {"phase": "Running", "done": "1/3", "active": 2, "failed": failed},
        {"phase": phase, "done": "3/3", "message": "that was it"},
    ]
    result = tradewind("backfill", "create", "sales", *JANUARY, "--follow")
    assert result.code == code
    assert result.out.splitlines() == ["sales-00001", f"{phase}: that was it"]
    shown = [" ".join(line.split()[1:]) for line in result.err.splitlines()]
    more = ", 1 failed" if failed else ""
    assert shown == [
        "Pending",
        "Pending waiting for Backfill one: a Dag runs one at a time",
        f"Running 1/3 finished, 2 active{more}",
    ]


def test_follow_pauses_between_two_looks(tradewind: Setup) -> None:
    fake = tradewind.fake
    fake.steps = [{"phase": "Running", "done": "1/3", "active": 2}]

    def looks() -> int:
        return sum(each.method == "GET" and "/backfills/" in each.path for each in fake.requests)

    with ThreadPoolExecutor(1) as pool:
        followed = pool.submit(tradewind, "backfill", "create", "sales", *JANUARY, "--follow")
        deadline = time.monotonic() + 30
        while not looks():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(1.2)
        seen = looks()
        fake.steps = [{"phase": "Succeeded", "done": "3/3", "message": "that was it"}]
        assert followed.result(30).code == 0
    assert seen <= 4


def test_a_dry_run_knows_the_runs_there_are(tradewind: Setup) -> None:
    for day, phase in ((1, "Succeeded"), (2, "Failed")):
        name = f"sales-2026010{day}t000000"
        tradewind.fake.put("dagruns", name, spec={"dag": "sales"}, status={"phase": phase})
    create = ("backfill", "create", "sales", *JANUARY, "--reprocess", "Failed", "--dry-run")
    result = tradewind(*create)
    assert result.code == 0
    assert [line.split()[:3] for line in result.out.splitlines()] == [
        ["LOGICAL", "DATE", "RUN"],
        ["2026-01-01T00:00:00Z", "sales-20260101t000000", "Skip"],
        ["2026-01-02T00:00:00Z", "sales-20260102t000000", "Rerun"],
        ["2026-01-03T00:00:00Z", "sales-20260103t000000", "Create"],
    ]
    days = "3 ticks on 3 days, from 2026-01-01 to 2026-01-03"
    assert result.err == f"{days}: would create 1 run, rerun 1 and skip 1\n"
    found = json.loads(tradewind(*create, "-o", "json").out)
    assert (found["total"], found["create"], found["rerun"], found["skip"]) == (3, 1, 1, 1)
    assert found["ticks"][0]["reason"] == "its run succeeded, and reprocess is Failed"
    assert tradewind.fake.names("backfills") == []


def test_a_dry_run_without_a_cluster(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file({"name": "a", "noop": True}, schedule={"every": "12h"})
    create = ("backfill", "create", "-f", file, *JANUARY)
    result = cli(*create, "--dry-run", "--reverse", "-o", "yaml")
    assert result.code == 0, result.err
    dates = [tick["logicalDate"] for tick in yaml.safe_load(result.out)["ticks"]]
    assert dates == [f"2026-01-0{day}:00:00Z" for day in ("3T00", "2T12", "2T00", "1T12", "1T00")]
    without = cli(*create)
    assert without.code == 2 and "-f needs --dry-run" in without.err
    other = cli(*create, "nix", "--dry-run")
    assert other.code == 2 and "no Dag named 'nix'" in other.err


@pytest.mark.parametrize("case", bad_backfills("admission", "ticks"), ids=lambda case: case["name"])
def test_what_cannot_be_done(cli: Cli, case: dict[str, Any]) -> None:
    file = cli.folder / "dag.yaml"
    file.write_text(yaml.safe_dump(case["dag"]))
    spec = case["backfill"]["spec"]
    options = ["--from", spec["from"], "--to", spec["to"], *(["--reverse"] if spec.get("reverse") else [])]
    for name, value in spec.get("params", {}).items():
        options += ["-p", f"{name}={value}"]
    result = cli("backfill", "create", "-f", file, "--dry-run", *options)
    assert (result.code, result.out) == (2, "")
    assert case["contains"] in result.err


def test_bad_input_makes_nothing(tradewind: Setup) -> None:
    for options, says in (
        (["sale", *JANUARY], "no Dag named 'sale'"),
        (["sales", "--from", "x", "--to", "2026-01-01"], "'x' is not a time"),
        (["sales", "--from", "2026-01-02", "--to", "2026-01-01"], "--from: is after spec.to"),
        (["sales", *JANUARY, "-p", "row=1"], "--param row: the Dag has no such param; its params are rows"),
        (list(JANUARY), "name the Dag"),
    ):
        result = tradewind("backfill", "create", *options)
        assert result.code == 2 and says in result.err
    refused = condition("Accepted", "False", "Cycle", "a → b → a")
    tradewind.fake.change("dags", "sales", status={"conditions": [refused]})
    assert "Dag 'sales' is not accepted: a → b → a" in tradewind("backfill", "create", "sales", *JANUARY).err
    assert tradewind.fake.names("backfills") == []


def test_list_status_pause_resume_delete(tradewind: Setup) -> None:
    spec = {"dag": "sales", "from": "2026-01-01T00:00:00Z", "to": "2026-01-31T00:00:00Z"}
    status = {"phase": "Running", "done": "3/31", "total": 31, "created": 5, "failed": 1, "message": "2 are running"}
    tradewind.fake.put("backfills", "january", spec=spec, status=status)
    header, row = tradewind("backfill", "list").out.splitlines()
    assert header.split() == ["BACKFILL", "DAG", "FROM", "TO", "PHASE", "DONE", "FAILED", "AGE", "MESSAGE"]
    assert row.split()[:2] == ["january", "sales"]
    assert row.split()[4:7] == ["Running", "3/31", "1"]
    assert tradewind("backfill", "list", "other").err == "no Backfills of other found\n"
    assert json.loads(tradewind("backfill", "list", "-o", "json").out)[0]["metadata"]["name"] == "january"
    shown = tradewind("backfill", "status", "january").out.splitlines()
    assert shown[0] == "january (Dag sales): Running: 2 are running"
    assert "  runs      5 created, 1 failed" in shown
    assert tradewind("backfill", "pause", "january").out == "january is paused\n"
    assert tradewind.fake.get("backfills", "january")["spec"]["suspend"] is True
    assert tradewind("backfill", "resume", "january").code == 0
    assert tradewind.fake.get("backfills", "january")["spec"]["suspend"] is False
    assert "continue" in tradewind("backfill", "delete", "january").out
    assert tradewind.fake.names("backfills") == []
    gone = tradewind("backfill", "delete", "january")
    assert (gone.code, gone.err) == (2, "error: no Backfill named 'january' in namespace 'default'\n")


def test_validate_reads_backfills(cli: Cli) -> None:
    file = cli.folder / "backfill.yaml"
    for case in bad_backfills("schema"):
        file.write_text(yaml.safe_dump(case["backfill"]))
        result = cli("validate", file)
        assert result.code == 2 and case["contains"] in result.out, case["name"]


@pytest.mark.parametrize(
    ("schedule", "end", "noted"),
    [
        ("0 6 * * *", "2026-01-03", True),
        ("0 6 * * *", "2026-01-03T00:00", False),
        ("0 6 * * *", "2026-01-03T00:00:00Z", False),
        ("0 0 * * *", "2026-01-03", False),
    ],
)
def test_a_date_meant_as_a_whole_day_gets_a_note(
    cli: Cli, dag_file: DagFile, schedule: str, end: str, noted: bool
) -> None:
    file = dag_file({"name": "a", "noop": True}, schedule=schedule)
    result = cli("backfill", "create", "-f", file, "--from", "2026-01-01", "--to", end, "--dry-run")
    assert result.code == 0, result.err
    note = "note: --to 2026-01-03 is midnight, so ticks later on that day are excluded; --to 2026-01-04 includes them"
    assert (note in result.err) == noted
    last = "2026-01-02" if schedule.startswith("0 6") else "2026-01-03"
    assert f"days, from 2026-01-01 to {last}: would create" in result.err
