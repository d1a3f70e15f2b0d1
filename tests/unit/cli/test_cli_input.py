"""Bad input: exit code 2, every problem at once, with file, line, field and what to do. And help, and completion."""

import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest

from tests.unit.cli.commandline import EXAMPLES, PROGRAM, Cli, DagFile

pytestmark = pytest.mark.unit

PARAMS: dict[str, Any] = {
    "rows": {"type": "integer", "minimum": 1},
    "region": {"enum": ["eu", "us"], "default": "eu"},
    "text": {"type": "string", "default": ""},
    "any": {"default": None},
    "maybe": {"type": ["string", "null"], "default": None},
}
TASK = {"name": "a", "script": "true"}


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("text=5", "5"),
        ("text=null", "null"),
        ("text=a=b", "a=b"),
        ("text=", ""),
        ("any=5", 5),
        ("any=[1, {}]", [1, {}]),
        ("any=plain words", "plain words"),
        ('any="5"', "5"),
        ("maybe=null", None),
        ("maybe=5", "5"),
        ("maybe=five", "five"),
    ],
)
def test_params_take_the_type_that_is_asked_for(cli: Cli, dag_file: DagFile, given: str, value: Any) -> None:
    assert cli("run", dag_file(TASK, params=PARAMS), "-p", "rows=3", "--param", given).code == 0
    status = cli.dag_run().status
    assert status is not None and status.params is not None
    assert status.params["rows"] == 3
    assert status.params[given.partition("=")[0]] == value


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "--param rows: is required: it has no default"),
        (["-p", "rows=many"], "--param rows: 'many' is not of type 'integer'"),
        (["-p", "rows=0"], "--param rows: 0 is less than the minimum of 1"),
        (["-p", "rows=1", "-p", "region=asia"], "is not one of ['eu', 'us']"),
        (["-p", "rows=1", "-p", "regoin=eu"], "--param regoin: the Dag has no such param; its params are rows, region"),
        (["-p", "rows"], "--param 'rows' is not name=value"),
        (["-p", "rows=1", "-p", "rows=2"], "--param rows is given twice"),
        (["-p", "rows=1", "--logical-date", "yesterday"], "'yesterday' is not a time: write 2026-01-31"),
        (["-p", "rows=1", "--max-parallel", "0"], "--max-parallel"),
        (["-p", "rows=1", "--dag", "other"], "no Dag named 'other'"),
        (["-p", "rows=1", "--folder", "/proc/x"], "cannot write to --folder /proc/x"),
        (["--nonsense"], "No such option"),
    ],
)
def test_bad_options(cli: Cli, dag_file: DagFile, options: list[str], says: str) -> None:
    result = cli("run", dag_file(TASK, params=PARAMS), *options)
    assert result.code == 2
    assert says in result.err
    assert "Traceback" not in result.err
    assert not (cli.folder / ".tradewind").exists()


def test_every_problem_is_listed_with_its_line(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file(
        {"name": "a", "script": "{{ nope }}", "dependsOn": ["b"]},
        {"name": "b", "command": ["true"], "dependsOn": ["a", "x"]},
        schedule="often",
    )
    lines = file.read_text().splitlines()
    result = cli("run", file)
    assert result.code == 2

    def line(text: str) -> int:
        return next(number for number, each in enumerate(lines, 1) if text in each)

    for where, says in (
        (line("schedule"), "spec.schedule: 'often' has 1 field"),
        (line("script"), "spec.tasks[a].script: 'nope' is unknown"),
        (line("tasks"), "a → b → a"),
        (max(number for number, each in enumerate(lines, 1) if "dependsOn" in each), "no task named 'x'"),
    ):
        assert any(f"test.yaml:{where}: Dag test: " in each and says in each for each in result.err.splitlines()), says


def test_a_missing_image_matters_on_the_cluster_only(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file(TASK)
    assert cli("run", file).code == 0
    result = cli("validate", file)
    assert result.code == 2
    assert "has no image" in result.out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1\nb: 2", ":2:2: "),
        ("a: 1\na: 2", "<stdin>:2:1: duplicate key 'a'"),
        ("\tx: 1", "<stdin>:1:1: "),
        ("a: !!python/object:os.system {}", "<stdin>:1:4: could not determine a constructor"),
        ("just text", "is not an object"),
        ("apiVersion: tradewind.dev/v1alpha1\nkind: Daag", "'Daag' is not a kind of tradewind.dev/v1alpha1"),
        ("apiVersion: tradewind.dev/v1\nkind: Dag", "must be 'tradewind.dev/v1alpha1'"),
        ("spec: {}", "kind: is required"),
        ("apiVersion: v1\nkind: ConfigMap", "nothing to check"),
        ("", "nothing to check"),
    ],
)
def test_what_is_no_dag(cli: Cli, text: str, says: str) -> None:
    result = cli("validate", "-", stdin=text)
    assert result.code == 2
    assert says in result.out + result.err


def test_dates_and_times_stay_text_as_in_kubernetes(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file({"name": "a", "script": "echo $DAY $TIME", "env": [{"name": "DAY", "value": "@1"}]})
    file.write_text(file.read_text().replace("'@1'", "2026-01-31\n    - {name: TIME, value: 12:30:00}"))
    assert cli("run", file).code == 0, file.read_text()
    assert cli.log("a") == "2026-01-31 12:30:00\n"


def test_several_dags(cli: Cli, dag_file: DagFile) -> None:
    first, second = dag_file(TASK, name="first"), dag_file(TASK | {"script": "nonsense("}, name="second")
    result = cli("run", first, second)
    assert result.code == 2
    assert "the files have 2 Dags (first, second): select one with --dag" in result.err
    assert cli("run", first, second, "--dag", "first").code == 0


def test_validate_as_json(cli: Cli, dag_file: DagFile) -> None:
    good, bad = dag_file(TASK | {"image": "busybox"}, name="good"), dag_file({"name": "a", "noop": True}, schedule="x")
    result = cli("validate", good, bad, "-o", "json")
    report = json.loads(result.out)
    assert (result.code, report["valid"]) == (2, False)
    (problem,) = report["problems"]
    assert (problem["name"], problem["reason"], problem["field"]) == ("test", "InvalidSchedule", "spec.schedule")
    assert problem["line"] > 1
    assert json.loads(cli("validate", good, "-o", "json").out) == {"valid": True, "problems": []}


def test_a_name_given_twice(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file(TASK | {"image": "busybox"})
    copy = cli.folder / "copy.yaml"
    copy.write_text(file.read_text())
    result = cli("validate", file, copy)
    assert result.code == 2
    assert f"there is another Dag 'test' in {file}" in result.out


@pytest.mark.parametrize("name", ["nix.yaml", "folder"])
def test_a_file_that_is_not_there(cli: Cli, name: str) -> None:
    (cli.folder / "folder").mkdir()
    result = cli("run", name)
    assert result.code == 2
    assert name in result.err and "Traceback" not in result.err


def test_help_loads_nothing_slow() -> None:
    """Completion asks for help at every key: what takes long to import must wait for the command that needs it."""
    code = (
        "import atexit, sys; sys.argv = ['tradewind', '--help']\n"
        "atexit.register(lambda: print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr))\n"
        "from tradewind.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "Run a Dag on this machine" in done.stdout and "trigger" in done.stdout
    loaded = set(done.stderr.split())
    assert not loaded & {"aiohttp", "croniter", "jsonschema", "kopf", "kubernetes", "minijinja", "pydantic", "pykube"}


@pytest.mark.parametrize(
    "command",
    ["run", "validate", "trigger", "list", "runs", "status", "logs", "rerun", "mark", "stop", "pause", "resume"],
)
def test_every_command_explains_itself(cli: Cli, command: str) -> None:
    result = cli(command, "--help")
    assert result.code == 0
    assert result.out.startswith(f"Usage: tradewind {command} ")


def test_version(cli: Cli) -> None:
    assert cli("version").out.startswith("tradewind 0.")
    assert json.loads(cli("version", "-o", "json").out)["apiVersion"] == "tradewind.dev/v1alpha1"
    assert cli("--version").out.startswith("tradewind 0.")


@pytest.mark.parametrize(("shell", "says"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete ")])
def test_completion_script(cli: Cli, shell: str, says: str) -> None:
    result = cli("completion", shell)
    assert (result.code, result.err) == (0, "")
    assert says in result.out and "_TRADEWIND_COMPLETE" in result.out


def test_completion_answers(cli: Cli) -> None:
    result = cli(_TRADEWIND_COMPLETE="bash_complete", COMP_WORDS="tradewind r", COMP_CWORD="1")
    offered = {line.split(",")[1] for line in result.out.split()}
    assert offered == {"run", "runs", "rerun", "resume", "release-finalizers"}
    options = cli(_TRADEWIND_COMPLETE="bash_complete", COMP_WORDS="tradewind run --m", COMP_CWORD="2")
    assert options.out.strip() == "plain,--max-parallel"


@pytest.mark.parametrize(
    ("env", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
    ids=["plain", "no", "dumb"],
)
def test_colours_on_a_terminal(cli: Cli, env: dict[str, str], coloured: bool) -> None:
    for command in (["run", EXAMPLES / "hello.yaml"], ["validate", EXAMPLES]):
        text = in_terminal(cli, command, {"TERM": "xterm", **env})
        assert ("\x1b[32m" in text or "\x1b[1;32m" in text) is coloured, text


def in_terminal(cli: Cli, command: list[Any], env: dict[str, str]) -> str:
    """Return the output of a command on a terminal."""
    main, side = pty.openpty()
    with subprocess.Popen(
        [PROGRAM, *map(str, command)], stdout=side, stderr=side, cwd=cli.folder, env={**cli.env, **env}
    ):
        os.close(side)
        text = b""
        while True:
            try:
                text += os.read(main, 65536)
            except OSError:  # the other side is closed
                break
    os.close(main)
    return text.decode()


def test_the_live_table(cli: Cli) -> None:
    text = in_terminal(cli, ["run", EXAMPLES / "retry.yaml"], {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"})
    assert "TASK" in text and "STATE" in text
    assert "UpForRetry" in text and "Succeeded" in text
    assert "2 Succeeded" in text
