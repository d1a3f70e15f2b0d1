"""Files are given as arguments or by -f, folders with -R; whatever is wrong with one hides nothing of the others."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.commandline import EXAMPLES, Cli, DagFile
from tradewind.cli.main import OTHER_NAMES, SECTIONS

pytestmark = pytest.mark.unit

TASK: dict[str, Any] = {"name": "a", "image": "busybox", "script": "true"}


@pytest.mark.parametrize("command", ["run", "validate", "simulate", "next"])
def test_files_both_ways(cli: Cli, dag_file: DagFile, command: str) -> None:
    file = dag_file(TASK, schedule="@daily")
    for given in ([file], ["-f", file], ["--filename", file]):
        assert cli(command, *given).code == 0
    none = cli(command)
    assert none.code == 2
    assert "Missing argument 'FILE...'" in none.err


def test_both_ways_at_once(cli: Cli, dag_file: DagFile) -> None:
    files = [dag_file(TASK, name=name) for name in ("one", "two")]
    assert list(json.loads(cli("simulate", files[0], "-f", files[1], "-o", "json").out)) == ["one", "two"]


def test_folders_in_folders(cli: Cli, dag_file: DagFile) -> None:
    for path in ("dags/sub/deep", "dags/.hidden", "dags/none"):
        (cli.folder / path).mkdir(parents=True)
    dag_file(TASK, name="top").rename(cli.folder / "dags/top.yaml")
    dag_file(TASK, name="sub").rename(cli.folder / "dags/sub/sub.yaml")
    dag_file(TASK, name="deep").rename(cli.folder / "dags/sub/deep/deep.yml")
    dag_file(TASK, name="hidden").rename(cli.folder / "dags/.hidden/hidden.yaml")
    (cli.folder / "dags/sub/around").symlink_to("..")
    result = cli("validate", "dags")
    assert (result.code, result.out) == (0, "ok  dags/top.yaml: Dag top\n")
    assert result.err == "note: skipped subfolders of dags (dags/sub); use -R to read them\n"
    result = cli("validate", "-R", "dags")
    assert result.err == ""
    assert [line.split()[-1] for line in result.out.splitlines()] == ["deep", "sub", "top"]
    (cli.folder / "dags/top.yaml").unlink()
    assert (
        "the folder dags contains no YAML files; use -R to read its subfolders, such as dags/sub"
        in cli("next", "dags").err
    )


def test_all_examples(cli: Cli) -> None:
    result = cli("simulate", "-R", EXAMPLES / "wait-for", EXAMPLES / "weather", "-o", "json")
    assert result.code == 0
    assert "weather" in json.loads(result.out)


def test_a_file_that_cannot_be_read_hides_no_other(cli: Cli, dag_file: DagFile) -> None:
    (cli.folder / "empty").mkdir()
    (cli.folder / "latin").write_bytes(b"a: \xff")
    (cli.folder / "bad").write_text("a: [")
    wrong = dag_file({**TASK, "dependsOn": ["x"]})
    files: list[str | Path] = ["nope", "empty", "latin", "bad", "nul\x01", wrong]
    for command in ("validate", "run"):
        result = cli(command, *files)
        assert result.code == 2
        said = result.out + result.err
        for text in (
            "cannot read nope: no such file",
            "folder empty contains no YAML",
            "latin is not a UTF-8 text file",
            "bad:1:",
        ):
            assert text in said, said
        assert ("no task named 'x'" in said) is (command == "validate")
    found = json.loads(cli("validate", *files, "-o", "json").out)
    assert len(found["problems"]) == 6


def test_a_dag_run_must_fit_its_dag_in_another_file(cli: Cli, dag_file: DagFile, tmp_path: Path) -> None:
    file = dag_file(TASK, params={"x": {"type": "integer", "default": 1}})
    other = {"apiVersion": "tradewind.dev/v1alpha1", "metadata": {"name": "r1"}}
    for kind, spec in (
        ("DagRun", {"dag": "test", "params": {"y": 1}}),
        ("DagRun", {"dag": "test", "params": {"x": "many"}}),
        ("Backfill", {"dag": "test", "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "params": {"y": 1}}),
    ):
        run = tmp_path / "run.json"
        run.write_text(json.dumps({**other, "kind": kind, "spec": spec}))
        assert cli("validate", run).code == 0
        for files in ([run, file], [file, run]):
            result = cli("validate", *files)
            assert result.code == 2
            assert f"run.json:1: {kind} r1: spec" in result.out


def test_what_a_simulation_takes_for_granted(cli: Cli, dag_file: DagFile) -> None:
    tasks = [
        {**TASK, "name": "pick", "branch": True},
        {**TASK, "name": "left", "dependsOn": ["pick"]},
        {**TASK, "name": "each", "dependsOn": ["left"], "forEach": {"output": "left"}},
    ]
    file = dag_file(*tasks)
    result = cli("simulate", file)
    assert result.code == 0
    assert "note: branch test/pick has no output, so all its downstream tasks run" in result.err
    assert "note: test/each is mapped over the output of left, which has none" in result.err
    (cli.folder / "o").write_text("pick: [{output: left}]\nleft: [{output: [1, 2]}]\n")
    assert cli("simulate", file, "--outcomes", "o").err == ""


def test_a_field_of_the_wrong_shape_hides_nothing(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file(
        {**TASK, "retries": 3, "script": "{{ nope }}"},
        {**TASK, "name": "b", "dependsOn": ["zz"]},
        {**TASK, "name": "c", "forEach": 5, "args": ["{{ item }}"]},
        schedule="often",
        maxActiveRuns="many",
    )
    result = cli("validate", file)
    said = result.out.splitlines()
    assert result.code == 2
    for text in ("spec.tasks[a].retries: must be an object", "spec.tasks[a].script: 'nope' is unknown",
                 "spec.tasks[b].dependsOn: no task named 'zz'", "spec.tasks[c].forEach: must be an object",
                 "spec.schedule: 'often' has 1 field", "spec.maxActiveRuns: "):  # fmt: skip
        assert sum(text in line for line in said) == 1, (text, said)
    assert len(said) == 6


@pytest.mark.parametrize("spec", [None, 5, {"tasks": None}, {"tasks": [5]}, {"tasks": [{"name": 5}]}, {"tasks": [{}]}])
def test_what_has_hardly_any_shape(cli: Cli, spec: object) -> None:
    manifest = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "Dag", "metadata": {"name": "x"}, "spec": spec}
    result = cli("validate", "-", stdin=json.dumps(manifest))
    assert result.code == 2
    assert result.out.startswith("error  <stdin>:1: Dag x: spec")
    assert len(set(result.out.splitlines())) == len(result.out.splitlines())


@pytest.mark.parametrize(
    "version", ["tradewinds.dev/v1alpha1", "tradewind.dev/v1", "airflow.apache.org/v1", "v1", 5, []]
)
def test_a_dag_of_another_group(cli: Cli, dag_file: DagFile, version: object) -> None:
    file = dag_file(TASK)
    text = file.read_text().replace("tradewind.dev/v1alpha1", json.dumps(version))
    file.write_text(text)
    for command in ("validate", "run", "simulate", "next"):
        result = cli(command, file)
        assert result.code == 2
        assert "Dag test: apiVersion: " in result.out + result.err
        assert "Traceback" not in result.err


def test_kinds_of_others_are_passed_over(cli: Cli, dag_file: DagFile) -> None:
    others = [
        {"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": 5}
        for kind in ("Pool", "Backfill")
        for version in ("cilium.io/v2", "agones.dev/v1")
    ]
    file = dag_file(TASK, documents=others)
    for command in ("validate", "run", "simulate", "next"):
        assert cli(command, file).code == 0
    near = dag_file(TASK, name="near", documents=[{**others[0], "apiVersion": "tradewinds.dev/v1alpha1"}])
    assert "Pool x: apiVersion: 'tradewinds.dev/v1alpha1' must be" in cli("validate", near).out


@pytest.mark.parametrize("command", ["validate", "run", "simulate", "next"])
def test_snake_case_is_another_field(cli: Cli, dag_file: DagFile, command: str) -> None:
    run: dict[str, Any] = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "DagRun", "metadata": {"name": "r1"}}
    run["spec"] = {"dag": "test", "logical_date": "2026-01-01T00:00:00Z"}
    task = {**TASK, "name": "b", "depends_on": ["a"], "trigger_rule": "AllDone"}
    result = cli(command, dag_file(TASK, task, max_active_runs=3, documents=[run]))
    assert result.code == 2
    said = (result.out + result.err).splitlines()
    for wrong, meant in (
        ("spec.tasks[b].depends_on", "dependsOn"),
        ("spec.tasks[b].trigger_rule", "triggerRule"),
        ("spec.max_active_runs", "maxActiveRuns"),
        ("DagRun r1: spec.logical_date", "logicalDate"),
    ):
        assert sum(f"{wrong}: unknown field; did you mean {meant}?" in line for line in said) == 1, said
    assert len(said) == 4


def test_text_that_yaml_reserves(cli: Cli) -> None:
    (cli.folder / "dag.yaml").write_text("spec:\n  schedule: @daily\n")
    assert cli("validate", "dag.yaml").out == (
        'error  dag.yaml:2:13: text that begins with @ must be quoted in YAML, as in "@daily"\n'
    )


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("simulat", "no command 'simulat'; did you mean simulate?"),
        ("dags", "no command 'dags'; did you mean list?"),
        ("get", "no command 'get'; did you mean list or runs?"),
        ("xyzzy", "no command 'xyzzy'\n"),
    ],
)
def test_commands_that_there_are_not(cli: Cli, command: str, says: str) -> None:
    result = cli(command, "x")
    assert result.code == 2
    assert says in result.err


def test_other_names_lead_to_commands() -> None:
    known = {name for section in SECTIONS.values() for name in section}
    assert all(set(names.split(" or ")) <= known for names in OTHER_NAMES.values())
    assert not known & set(OTHER_NAMES)
