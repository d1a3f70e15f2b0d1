"""`tradewind next`: the coming runs, as programs and as people read them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.cli.commandline import EXAMPLES, Cli, DagFile

pytestmark = pytest.mark.unit

TASK = {"name": "a", "script": "true"}


def dates(cli: Cli, file: Any, *options: str) -> list[str]:
    result = cli("next", "-f", file, "-o", "json", *options)
    assert (result.code, result.err) == (0, "")
    return [run["logicalDate"] for run in json.loads(result.out)]


def test_json(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file(TASK, schedule="30 2 * * *", timeZone="Europe/Berlin", suspend=True)
    result = cli("next", "-f", file, "--after", "2026-03-28T12:00:00+01:00", "--count", "2", "-o", "json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out) == [
        {
            "logicalDate": "2026-03-29T01:30:00Z",
            "dataIntervalStart": "2026-03-28T01:30:00Z",
            "dataIntervalEnd": "2026-03-29T01:30:00Z",
            "runAfter": "2026-03-29T01:30:00Z",
        },
        {
            "logicalDate": "2026-03-30T00:30:00Z",
            "dataIntervalStart": "2026-03-29T01:30:00Z",
            "dataIntervalEnd": "2026-03-30T00:30:00Z",
            "runAfter": "2026-03-30T00:30:00Z",
        },
    ]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"schedule": "@monthly"}, ["2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z"]),
        ({"schedule": "0 0 * * *", "endDate": "2026-03-02T00:00:00Z"}, ["2026-03-02T00:00:00Z"]),
        ({"schedule": "@daily", "startDate": "2027-01-01T00:00:00Z"}, ["2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z"]),
        ({"schedule": "@daily", "endDate": "2026-03-01T00:00:00Z"}, []),
        ({"schedule": {"every": "90m"}}, ["2026-03-01T01:30:00Z", "2026-03-01T03:00:00Z"]),
        (
            {"schedule": {"every": "1d"}, "startDate": "2026-02-01T05:06:07+01:00"},
            ["2026-03-01T04:06:07Z", "2026-03-02T04:06:07Z"],
        ),
        ({"schedules": ["@daily", {"every": "16h"}]}, ["2026-03-01T16:00:00Z", "2026-03-02T00:00:00Z"]),
        ({"schedule": "@once"}, ["2026-03-01T00:00:00Z"]),
        ({"schedule": "@once", "startDate": "2026-04-01T00:00:00Z"}, ["2026-04-01T00:00:00Z"]),
        ({"schedule": "@once", "startDate": "2026-02-01T00:00:00Z"}, []),
        ({"schedule": "@continuous"}, ["2026-03-01T00:00:00Z"]),
    ],
)
def test_kinds_of_schedule(cli: Cli, dag_file: DagFile, spec: dict[str, Any], expected: list[str]) -> None:
    assert dates(cli, dag_file(TASK, **spec), "--after", "2026-03-01", "--count", "2") == expected


def test_after_now_by_default(cli: Cli, dag_file: DagFile) -> None:
    (date,) = dates(cli, dag_file(TASK, schedule="* * * * *"), "--count", "1")
    assert 0 < (datetime.fromisoformat(date) - datetime.now(UTC)).total_seconds() + 5 < 70


def test_table(cli: Cli, dag_file: DagFile) -> None:
    result = cli("next", "-f", dag_file(TASK, schedule="@daily"), "--after", "2026-03-01", "--count", "1")
    header, row = result.out.splitlines()
    assert header.split("   ")[0] == "LOGICAL DATE"
    assert row.split() == [
        "2026-03-02T00:00:00Z",
        "2026-03-01T00:00:00Z",
        "2026-03-02T00:00:00Z",
        "2026-03-02T00:00:00Z",
    ]


def test_several_dags(cli: Cli, dag_file: DagFile) -> None:
    first, second = dag_file(TASK, name="first", schedule="@daily"), dag_file(TASK, name="second")
    common = ("next", "-f", first, "-f", second, "--after", "2026-03-01", "--count", "1")
    found = json.loads(cli(*common, "-o", "json").out)
    assert [run["logicalDate"] for run in found["first"]] == ["2026-03-02T00:00:00Z"]
    assert found["second"] == []
    assert len(json.loads(cli(*common, "--dag", "first", "-o", "json").out)) == 1
    table = cli(*common)
    assert [line.split()[0] for line in table.out.splitlines()] == ["DAG", "first"]
    assert "second has no schedule" in table.err


def test_examples(cli: Cli) -> None:
    found = dates(cli, EXAMPLES / "schedule.yaml", "--after", "2026-03-27T12:00:00Z", "--count", "1")
    assert found == ["2026-03-30T04:00:00Z"], "six o'clock in Berlin, on the Monday after the clocks changed"
    found = dates(cli, EXAMPLES / "schedules.yaml", "--after", "2026-03-27T12:00:00Z", "--count", "9")
    assert len(found) == 9


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"schedule": "0 6 * *"}, "spec.schedule: '0 6 * *' has 4 fields"),
        ({"schedule": {"every": "0s"}}, "spec.schedule.every: '0s' must be a number of whole seconds, at least 1s"),
        ({"schedule": {"evry": "1h"}}, "spec.schedule.evry: unknown field; did you mean every?"),
        ({"schedule": ["@daily"]}, "spec.schedule: must be a cron expression, a preset such as @daily, or an object"),
        ({"schedules": ["@daily", "@dayly"]}, "spec.schedules[1]: '@dayly' is not a preset; presets are @once"),
        ({"schedule": "@daily", "schedules": ["@daily"]}, "spec.schedules: give either schedule or schedules"),
        ({"schedules": ["@continuous", "@daily"]}, "spec.schedules: @continuous starts each run when"),
        ({"schedule": "@daily", "timeZone": "Mars/Olympus"}, "spec.timeZone: 'Mars/Olympus' is not an IANA time zone"),
    ],
)
def test_bad_schedules(cli: Cli, dag_file: DagFile, spec: dict[str, Any], says: str) -> None:
    result = cli("next", "-f", dag_file(TASK, **spec), "-o", "json")
    assert (result.code, result.out) == (2, "")
    assert "test.yaml:" in result.err and says in result.err, result.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--after", "soon"], "'soon' is not a time"),
        (["--count", "-1"], "--count"),
        (["--dag", "other"], "no Dag named 'other' in"),
        (["-f", "nix.yaml"], "cannot read nix.yaml"),
        (["--after", "9999-12-31T23:00:00Z"], "out of range"),
    ],
)
def test_bad_options(cli: Cli, dag_file: DagFile, options: list[str], says: str) -> None:
    result = cli("next", "-f", dag_file(TASK, schedule={"every": "1h"}), *options)
    assert (result.code, result.out) == (2, "")
    assert says in result.err
    assert "Traceback" not in result.err


def test_help(cli: Cli) -> None:
    result = cli("next", "--help")
    assert result.out.startswith("Usage: tradewind next ")
    assert "suspend and existing" in result.out
