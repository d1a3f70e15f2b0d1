"""`tradewind simulate`: what it prints, and what it says of bad input."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.commandline import EXAMPLES, Cli, DagFile
from tests.unit.cli.test_cli_input import in_terminal

pytestmark = pytest.mark.unit

EXTRACT = {"name": "extract", "script": "true", "retries": {"limit": 2, "delay": "1m"}}
LOAD = {"name": "load", "script": "true", "dependsOn": ["extract"]}
POOL = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "Pool", "metadata": {"name": "p"}, "spec": {"slots": 1}}
WIDE: dict[str, Any] = {"COLUMNS": "80"}


def outcomes(cli: Cli, text: str) -> Path:
    path = cli.folder / "outcomes.txt"
    path.write_text(text)
    return path


def result(cli: Cli, *options: Any) -> dict[str, Any]:
    done = cli("simulate", *options, "-o", "json")
    assert (done.code, done.err) == (0, "")
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_json(cli: Cli, dag_file: DagFile) -> None:
    script = outcomes(cli, "extract: [Failed, Lost]\nload:\n- {exitCode: 1, duration: 3s}\n")
    options = ("--outcomes", script, "--logical-date", "2026-03-01T06:00:00+01:00")
    assert result(cli, "-f", dag_file(EXTRACT, LOAD), *options) == {
        "phase": "Failed",
        "makespanSeconds": 66,
        "tasks": {
            "extract": {
                "state": "Succeeded",
                "try": 3,
                "startedAt": "2026-03-01T05:01:02Z",
                "finishedAt": "2026-03-01T05:01:03Z",
                "reason": None,
            },
            "load": {
                "state": "Failed",
                "try": 1,
                "startedAt": "2026-03-01T05:01:03Z",
                "finishedAt": "2026-03-01T05:01:06Z",
                "reason": "Error",
            },
        },
        "order": ["extract", "extract", "extract", "load"],
    }


def test_pools(cli: Cli, dag_file: DagFile) -> None:
    tasks = [{"name": name, "script": "true", "pool": "p"} for name in "abcd"]
    file = dag_file(*tasks, documents=[POOL])
    assert result(cli, "-f", file)["makespanSeconds"] == 4
    assert result(cli, "-f", file, "--pool", "p=2")["makespanSeconds"] == 2
    assert result(cli, "-f", dag_file(*tasks), "--pool", "p=3")["makespanSeconds"] == 2


def test_params_are_checked(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file(EXTRACT, params={"rows": {"type": "integer"}})
    assert result(cli, "-f", file, "--param", "rows=5")["phase"] == "Succeeded"
    for options, says in (([], "--param rows: is required"), (["-p", "rows=x"], "--param rows: 'x' is not of type")):
        done = cli("simulate", "-f", file, *options)
        assert done.code == 2
        assert says in done.err


def test_several_dags(cli: Cli, dag_file: DagFile) -> None:
    first = dag_file(EXTRACT | {"pool": "p"}, name="first", params={"n": {"default": 1}})
    second = dag_file(EXTRACT | {"pool": "p"}, name="second", documents=[POOL])
    script = outcomes(cli, "extract: [{duration: 5s}]\nsecond/extract: [{duration: 9s}]")
    files = ("-f", first, "-f", second, "--outcomes", script)
    found = result(cli, *files, "-p", "n=2")
    assert [found[name]["makespanSeconds"] for name in ("first", "second")] == [5, 14]
    assert "-- first" not in cli("simulate", *files).out
    assert [line for line in cli("simulate", *files).out.splitlines() if line.startswith(("first:", "second:"))] == [
        "first: Succeeded after 5s",
        "second: Succeeded after 14s",
    ]
    done = cli("simulate", *files, "-p", "m=2")
    assert done.code == 2 and "--param m: no Dag has this param" in done.err


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_examples(cli: Cli, file: Path) -> None:
    """The output matches examples/golden/; `make generate` updates it."""
    golden, script = EXAMPLES / "golden" / f"{file.stem}.json", EXAMPLES / "golden" / f"{file.stem}.outcomes.yaml"
    assert golden.exists(), "run `make generate`"
    assert result(cli, "-f", file, *(("--outcomes", script) if script.exists() else ())) == json.loads(
        golden.read_text()
    )


def test_no_golden_file_is_left_over() -> None:
    examples = {file.stem for file in EXAMPLES.glob("*.yaml")}
    assert {file.name.split(".")[0] for file in (EXAMPLES / "golden").iterdir()} <= examples


def test_a_chart_for_a_pipe(cli: Cli, dag_file: DagFile) -> None:
    noop = {"name": "done", "noop": True, "dependsOn": ["load"]}
    script = outcomes(cli, "extract: [Failed, {duration: 3m}]\nload: [{state: Skipped, duration: 2m}]")
    done = cli("simulate", "-f", dag_file(EXTRACT, LOAD, noop), "--outcomes", script, **WIDE)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "TASK     STATE      TRY  START  TOOK  0s                                    6m1s",
        "extract  Succeeded  2    1m1s   3m    ▒······█████████████████████",
        "load     Skipped    1    4m1s   2m                                --------------",
        "done     Skipped",
        "test: Succeeded after 6m1s",
        "  load: SkipExitCode: exit code 99 is one of skipExitCodes",
        "  done: TriggerRule: an upstream task was skipped",
    ]


@pytest.mark.parametrize("columns", [30, 60, 200])
def test_a_chart_for_a_terminal(cli: Cli, dag_file: DagFile, columns: int) -> None:
    text = in_terminal(
        cli, ["simulate", "-f", dag_file(EXTRACT, LOAD)], {"TERM": "xterm", "COLUMNS": str(columns), "NO_COLOR": "1"}
    )
    assert "\x1b[3" not in text
    chart = text.replace("\r", "").splitlines()[:3]
    assert all(len(line) <= columns for line in chart), chart
    if columns >= 60:
        assert chart[0].endswith("2s") and len(chart[0]) == columns
        assert chart[2].endswith("█") and len(chart[2]) == columns


def test_colours(cli: Cli) -> None:
    text = in_terminal(cli, ["simulate", "-f", EXAMPLES / "hello.yaml"], {"TERM": "xterm"})
    assert "\x1b[32m" in text


@pytest.mark.parametrize("number", [20, 21, 22])
def test_the_first_20_reasons(cli: Cli, dag_file: DagFile, number: int) -> None:
    tasks = [{"name": f"t{each}", "script": "true"} for each in range(number)]
    script = outcomes(cli, "".join(f"{task['name']}: [Failed]\n" for task in tasks))
    lines = cli("simulate", dag_file(*tasks, maxActiveTasks=50), "--outcomes", script).out.splitlines()
    reasons = lines[lines.index(next(line for line in lines if line.startswith("test: Failed"))) + 1 :]
    more = [] if number == 20 else [f"  and {number - 20} more; see -o json"]
    assert reasons == [f"  t{each}: Error: exit code 1" for each in range(20)] + more


def test_what_would_wait_forever(cli: Cli, dag_file: DagFile) -> None:
    done = cli("simulate", "-f", dag_file(EXTRACT, LOAD | {"pool": "nix"}))
    assert done.code == 0
    assert "test: still Running after 1s; the run would never finish" in done.out
    assert "load: waiting for pool 'nix', which does not exist" in done.out


def test_bad_outcomes(cli: Cli, dag_file: DagFile) -> None:
    script = outcomes(cli, "extract:\n- Failed\n- state: Broken\n  duration: soon\nlod: []\nload: [{duration: soon}]\n")
    done = cli("simulate", "-f", dag_file(EXTRACT, LOAD), "--outcomes", script, "-o", "json")
    assert (done.code, done.out) == (2, "")
    for line, says in (
        (3, "extract[1].state: 'Broken' is not one of Succeeded, Failed, Skipped, Lost"),
        (5, "lod: no task named 'lod'; did you mean load?"),
        (6, "load[0].duration: 'soon' is not a duration"),
    ):
        assert f"{script}:{line}: {says}" in done.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- Failed", ":1: must be an object"),
        ("extract: [Failed", "outcomes.txt:"),
        ("extract: []\n---\nload: []", "has 2 documents"),
    ],
)
def test_what_are_no_outcomes(cli: Cli, dag_file: DagFile, text: str, says: str) -> None:
    done = cli("simulate", "-f", dag_file(EXTRACT, LOAD), "--outcomes", outcomes(cli, text))
    assert done.code == 2
    assert says in done.err and "Traceback" not in done.err


def test_outcomes_may_be_empty(cli: Cli, dag_file: DagFile) -> None:
    assert result(cli, "-f", dag_file(EXTRACT), "--outcomes", outcomes(cli, "# none\n"))["phase"] == "Succeeded"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--pool", "p"], "--pool 'p' is not name=slots"),
        (["--pool", "p=many"], "is not name=slots"),
        (["--pool", "p=-2"], "is not name=slots"),
        (["--pool", "p=1", "--pool", "p=2"], "--pool p is given twice"),
        (["--logical-date", "soon"], "'soon' is not a time"),
        (["--outcomes", "nix"], "cannot read nix"),
        (["--dag", "other"], "no Dag named 'other'"),
        (["--param", "x=1"], "--param x: the Dag has no such param"),
        (["--logical-date", "9999-12-31T23:59:59Z"], "would not finish before the year 10000"),
    ],
)
def test_bad_options(cli: Cli, dag_file: DagFile, options: list[str], says: str) -> None:
    done = cli("simulate", "-f", dag_file(EXTRACT), *options)
    assert (done.code, done.out) == (2, "")
    assert says in done.err and "Traceback" not in done.err


def test_a_bad_dag(cli: Cli, dag_file: DagFile) -> None:
    done = cli("simulate", "-f", dag_file(EXTRACT, LOAD | {"dependsOn": ["extarct"]}), "-o", "json")
    assert (done.code, done.out) == (2, "")
    assert "test.yaml:" in done.err and "no task named 'extarct'" in done.err
    assert cli("simulate").code == 2
