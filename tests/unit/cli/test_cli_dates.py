"""Moments without an offset are in the zone of the Dag; manual runs have their tick's interval; DagRuns in files."""

import json
from typing import Any

import pytest
import yaml

from tests.unit.cli.cluster_setup import Setup
from tests.unit.cli.commandline import Cli, DagFile

pytestmark = pytest.mark.unit

NEW_YORK = {"schedule": "0 6 * * *", "timeZone": "America/New_York"}
SHOW = {
    "name": "a",
    "script": "echo {{ ds }} {{ logicalDate }} {{ dataInterval.start }} {{ dataInterval.end }} "
    "$TRADEWIND_DATA_INTERVAL_START $TRADEWIND_DATA_INTERVAL_END",
}
MARCH_8 = "2026-03-08T05:00:00Z"
"""Midnight in New York; clocks change two hours later."""
WAIT = {"name": "a", "waitFor": {"time": "{{ dataInterval.end }}"}}


def dag_run(name: str = "r1", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name}
    return {"apiVersion": "tradewind.dev/v1alpha1", "kind": "DagRun", "metadata": metadata, "spec": {**spec}}


def shown(cli: Cli) -> list[str]:
    ds, logical, start, end, *environment = cli.log("a").split()
    assert environment == [start, end]
    return [ds, logical, start, end]


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2026-03-08", ["2026-03-08", MARCH_8, "2026-03-06T11:00:00Z", "2026-03-07T11:00:00Z"]),
        # The tick of that day, which is an hour earlier than the day before.
        ("2026-03-08T06:00", ["2026-03-08", "2026-03-08T10:00:00Z", "2026-03-07T11:00:00Z", "2026-03-08T10:00:00Z"]),
        ("2026-03-08T10:00Z", ["2026-03-08", "2026-03-08T10:00:00Z", "2026-03-07T11:00:00Z", "2026-03-08T10:00:00Z"]),
    ],
)
def test_run(cli: Cli, dag_file: DagFile, date: str, expected: list[str]) -> None:
    assert cli("run", dag_file(SHOW, **NEW_YORK), "--logical-date", date).code == 0
    assert shown(cli) == expected
    status = cli.dag_run().status
    assert status is not None and status.data_interval is not None
    assert status.data_interval.start.strftime("%Y-%m-%dT%H:%M:%SZ") == expected[2]


def test_run_of_an_interval(cli: Cli, dag_file: DagFile) -> None:
    options = ("--logical-date", "2026-03-08", "--data-interval", "2026-03-07/2026-03-08T12:00Z")
    assert cli("run", dag_file(SHOW, **NEW_YORK), *options).code == 0
    assert shown(cli) == ["2026-03-08", MARCH_8, "2026-03-07T05:00:00Z", "2026-03-08T12:00:00Z"]


def test_run_without_a_schedule(cli: Cli, dag_file: DagFile) -> None:
    assert cli("run", dag_file(SHOW), "--logical-date", "2026-03-08").code == 0
    assert shown(cli) == ["2026-03-08", *["2026-03-08T00:00:00Z"] * 3]


@pytest.mark.parametrize("interval", ["2026-03-08", "2026-03-08/", "a/b", "2026-03-09/2026-03-08", "0001-01-01/x"])
def test_what_is_no_interval(cli: Cli, dag_file: DagFile, interval: str) -> None:
    for command in ("run", "simulate"):
        result = cli(command, dag_file(SHOW, **NEW_YORK), "--data-interval", interval)
        assert (result.code, result.out) == (2, "")
        assert len(result.err.splitlines()) == 1


def test_simulate(cli: Cli, dag_file: DagFile) -> None:
    options = ("--logical-date", "2026-03-08", "-o", "json")
    found = json.loads(cli("simulate", dag_file({**SHOW, "image": "x"}, **NEW_YORK), *options).out)
    assert found["tasks"]["a"]["startedAt"] == MARCH_8
    waits = json.loads(
        cli("simulate", dag_file(WAIT, **NEW_YORK), *options, "--data-interval", "2026-03-07/2026-03-09").out
    )
    assert waits["makespanSeconds"] == 23 * 3600


def test_next(cli: Cli, dag_file: DagFile) -> None:
    result = cli("next", dag_file(SHOW, **NEW_YORK), "--after", "2026-03-08", "--count", "1")
    header, row = result.out.splitlines()
    assert header.split()[0] == "AMERICA/NEW_YORK"
    assert (
        row.split()
        == ["Sun", "2026-03-08", "06:00:00", *(["2026-03-08T10:00:00Z"]), "2026-03-07T11:00:00Z"]
        + ["2026-03-08T10:00:00Z"] * 2
    )


def test_next_of_a_dag_in_utc_has_no_such_column(cli: Cli, dag_file: DagFile) -> None:
    assert cli("next", dag_file(SHOW, schedule="@daily")).out.startswith("LOGICAL DATE")


def test_dags_in_several_zones(cli: Cli, dag_file: DagFile) -> None:
    files = dag_file(SHOW, name="one", **NEW_YORK), dag_file(SHOW, name="two", schedule="@daily")
    result = cli("simulate", *files, "--logical-date", "2026-03-08")
    assert result.code == 2
    assert "the Dags have different time zones (America/New_York, UTC)" in result.err
    assert cli("simulate", *files, "--logical-date", MARCH_8).code == 0
    rows = cli("next", *files, "--after", "2026-03-08", "--count", "1").out.splitlines()
    assert rows[0].split()[:3] == ["DAG", "LOCAL", "TIME"] or "AMERICA" in rows[0]
    assert "2026-03-09T00:00:00Z" in rows[2], rows


def test_backfill(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file(SHOW | {"image": "x"}, **NEW_YORK)
    span = ("--from", "2026-03-08", "--to", "2026-03-09")
    header, row = cli("backfill", "create", "--dry-run", "-f", file, *span).out.splitlines()
    assert header.split()[0] == "AMERICA/NEW_YORK"
    assert row.split()[:4] == ["Sun", "2026-03-08", "06:00:00", "2026-03-08T10:00:00Z"]


def test_trigger(tradewind: Setup) -> None:
    tradewind.fake.change("dags", "sales", spec={"timeZone": "America/New_York"})
    options = ("--logical-date", "2026-03-08", "--data-interval", "2026-03-07/2026-03-08")
    assert tradewind("trigger", "sales", "-p", "rows=5", *options).code == 0
    spec = tradewind.fake.get("dagruns", "sales-00001")["spec"]
    assert spec["logicalDate"] == MARCH_8
    assert spec["dataInterval"] == {"start": "2026-03-07T05:00:00Z", "end": MARCH_8}


# A DagRun among the files --------------------------------------------------------------------------------------------


def test_a_dag_run_among_the_files(cli: Cli, dag_file: DagFile) -> None:
    asked = dag_run(
        dag="test",
        type="Scheduled",
        logicalDate="2026-03-08T10:00:00Z",
        dataInterval={"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"},
        params={"x": 7},
        revision="test-1234",
        suspend=True,
    )
    task = {**SHOW, "script": SHOW["script"] + " {{ params.x }} {{ run.name }} {{ run.type }}"}
    result = cli("run", dag_file(task, documents=[asked], params={"x": {"default": 1}}))
    assert result.code == 0
    assert "note: spec.revision of DagRun r1 is ignored" in result.err
    assert "note: spec.suspend of DagRun r1 is ignored" in result.err
    words = cli.log("a").split()
    assert words[2:4] == ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]
    assert words[6:] == ["7", "r1", "Scheduled"]
    assert cli.run_folder.name == "r1"
    spec = cli.dag_run().spec
    assert (spec.type, spec.params) == ("Scheduled", {"x": 7})
    assert spec.data_interval is not None


def test_options_come_before_it(cli: Cli, dag_file: DagFile) -> None:
    asked = dag_run(dag="test", logicalDate="2026-03-08T10:00:00Z", params={"x": 7, "y": 8})
    task = {**SHOW, "script": SHOW["script"] + " {{ params.x }} {{ params.y }}"}
    file = dag_file(task, documents=[asked], params={"x": {}, "y": {}}, **NEW_YORK)
    assert cli("run", file, "-p", "x=1", "--logical-date", "2026-01-02T11:00Z").code == 0
    words = cli.log("a").split()
    assert words[1:4] == ["2026-01-02T11:00:00Z", "2026-01-01T11:00:00Z", "2026-01-02T11:00:00Z"]
    assert words[6:] == ["1", "8"]


def test_several_run_in_turn(cli: Cli, dag_file: DagFile) -> None:
    days = [dag_run(f"r{day}", dag="test", logicalDate=f"2026-03-0{day}T11:00:00Z") for day in (1, 2)]
    file = dag_file({"name": "a", "script": "test {{ ds }} != 2026-03-01"}, documents=days, **NEW_YORK)
    result = cli("run", file, "-o", "json")
    assert result.code == 1
    assert {name: run["phase"] for name, run in json.loads(result.out).items()} == {"r1": "Failed", "r2": "Succeeded"}
    runs = sorted(path.name for path in (cli.folder / ".tradewind" / "runs").iterdir())
    assert runs == ["r1", "r2"]
    played = json.loads(cli("simulate", file, "-o", "json").out)
    assert [run["tasks"]["a"]["startedAt"] for run in played.values()] == [
        "2026-03-01T11:00:00Z",
        "2026-03-02T11:00:00Z",
    ]
    assert cli("simulate", file).out.splitlines()[-1].startswith("r2: Succeeded")


def test_it_chooses_the_dag(cli: Cli, dag_file: DagFile) -> None:
    other = dag_file({"name": "b", "script": "true"}, name="other")
    file = dag_file(SHOW, documents=[dag_run(dag="test")])
    assert cli("run", other, file).code == 0
    assert cli.dag_run().spec.dag == "test"
    assert cli("run", other, file, "--dag", "other", "--folder", "b").code == 0


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"dag": "nope"}, "Dag 'nope' is not in the files"),
        ({"dag": "test", "params": {"z": 1}}, "DagRun r1: spec.params.z: the Dag has no such param; its params are x"),
        ({"dag": "test", "dataInterval": {"start": "2026-02-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}}, "start is"),
    ],
)
def test_one_that_cannot_be(cli: Cli, dag_file: DagFile, spec: dict[str, Any], says: str) -> None:
    file = dag_file(SHOW, documents=[dag_run(**spec)], params={"x": {"default": 1}})
    for command in ("run", "simulate"):
        result = cli(command, file)
        assert result.code == 2
        assert says in result.err


def test_the_status_of_a_run_makes_the_same_run_again(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file(SHOW, **NEW_YORK)
    assert cli("run", file, "--logical-date", "2026-03-08T06:00").code == 0
    status = cli.run_folder / "status.yaml"
    assert cli("run", file, status, "--folder", "again").code == 0
    [again] = (cli.folder / "again" / "runs").iterdir()
    old, new = (yaml.safe_load((folder / "status.yaml").read_text()) for folder in (cli.run_folder, again))
    assert old["status"]["dataInterval"] == new["status"]["dataInterval"]
