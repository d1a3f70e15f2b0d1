"""Tasks and surroundings that mean no good: one clear line, the right exit code, a status that says how it ended."""

import os
import resource
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.cli.commandline import PROGRAM, Cli, DagFile, sh

pytestmark = pytest.mark.unit


def shell(cli: Cli, line: str, timeout: float = 60, **env: str) -> "subprocess.CompletedProcess[str]":
    """A line of a shell, in which $T is the program."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=cli.folder,
        env={**cli.env, "T": PROGRAM, **env},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def statuses(cli: Cli) -> list[tuple[str, str]]:
    """Phase and reason of each run, the oldest first."""
    runs = sorted((cli.folder / ".tradewind" / "runs").iterdir(), key=lambda path: path.stat().st_ctime)
    found = [yaml.safe_load((run / "status.yaml").read_text())["status"] for run in runs]
    return [(status["phase"], status.get("reason", "")) for status in found]


# What a task leaves as its output -------------------------------------------------------------------------------------

OUTPUT = 'rm -f "$TRADEWIND_OUTPUT"; '


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ('mkfifo "$TRADEWIND_OUTPUT"', "it is not a file"),
        ('mkdir "$TRADEWIND_OUTPUT"', "it is not a file"),
        ('ln -s /etc/passwd "$TRADEWIND_OUTPUT"', "it is a symbolic link"),
        ('ln -s nowhere "$TRADEWIND_OUTPUT"', "it is a symbolic link"),
        ("python3 -c 'import os, socket; os.chdir(os.path.dirname(os.environ[\"TRADEWIND_OUTPUT\"]));"
         " socket.socket(socket.AF_UNIX).bind(os.path.basename(os.environ[\"TRADEWIND_OUTPUT\"]))'", "cannot be read"),
    ],
    ids=["fifo", "folder", "link", "dangling", "socket"],
)  # fmt: skip
@pytest.mark.parametrize("code", [0, 1])
def test_what_is_no_file(cli: Cli, dag_file: DagFile, script: str, says: str, code: int) -> None:
    result = cli("run", dag_file(sh("a", f"{OUTPUT}{script}; exit {code}")), timeout=30)
    assert result.code == 1
    task = cli.tasks()["a"]
    assert (task.state, task.reason) == ("Failed", "InvalidOutput")
    assert says in task.message
    assert "root:" not in result.out + task.message


def test_a_log_that_is_none_any_more(cli: Cli, dag_file: DagFile) -> None:
    script = 'log=$(readlink /proc/$$/fd/1); rm "$log"; mkfifo "$log"; exit 1'
    assert cli("run", dag_file(sh("a", script)), "--logs", timeout=30).code == 1
    assert cli.tasks()["a"].state == "Failed"


def test_outputs_that_are_deleted(cli: Cli, dag_file: DagFile) -> None:
    # A file that is written at that very moment keeps the folder.
    gone = f"while ! rm -rf {cli.folder}/.tradewind; do :; done"
    result = cli("run", dag_file(sh("a", gone), sh("b", "true", dependsOn=["a"])))
    assert result.code == 1
    assert "cannot write the log .tradewind/runs/" in result.out
    assert "Traceback" not in result.err
    assert statuses(cli) == [("Failed", "TaskFailed")]


# What a file asks for -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "task",
    [
        {"name": "a", "command": ["printf", "a\0b"]},
        {"name": "a", "command": ["a\0b"]},
        {"name": "a", "command": ["true"], "args": ["\0"]},
        {"name": "a", "script": "echo a\0b"},
        {"name": "a", "script": "true", "env": [{"name": "X", "value": "a\0b"}]},
    ],
    ids=["command", "program", "args", "script", "env"],
)
def test_nul(cli: Cli, dag_file: DagFile, task: dict[str, Any]) -> None:
    result = cli("run", dag_file(task, sh("b", "true")))
    assert result.code in (1, 2)
    assert "Traceback" not in result.err
    assert "NUL" in result.out + result.err or "control character" in result.err or "\\x00" in result.err, result
    if result.code == 1:
        assert cli.tasks()["b"].state == "Succeeded"


@pytest.mark.parametrize("seconds", ["1e20", ".inf", "-.inf", ".nan", "1" * 400, "-5"])
def test_huge_numbers(cli: Cli, dag_file: DagFile, seconds: str) -> None:
    file = dag_file(sh("a", "sleep 60", timeout="1s"), podTemplate={"spec": {"terminationGracePeriodSeconds": 77}})
    file.write_text(file.read_text().replace("77", seconds))
    result = cli("run", file, timeout=30)
    assert result.code in (1, 2)
    assert "Traceback" not in result.err + result.out


def test_an_argument_that_is_too_long(cli: Cli, dag_file: DagFile) -> None:
    result = cli("run", dag_file({"name": "a", "command": ["true", "x" * 3_000_000]}))
    assert result.code in (1, 2)
    assert "Traceback" not in result.err


def test_names_that_lead_out_of_the_folder(cli: Cli, dag_file: DagFile) -> None:
    mounts = [{"name": "data", "mountPath": "/data"}]
    for place in ("..", "../../../evil", "/tmp/evil"):
        volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": place}}]
        spec = {"containers": [{"name": "task", "volumeMounts": mounts}], "volumes": volumes}
        file = dag_file(sh("a", "pwd", workingDir="/data"), podTemplate={"spec": spec}, maxActiveRuns=1)
        file.write_text(file.read_text().replace("name: test", "name: test\n  namespace: ../../x", 1))
        result = cli("run", file, "--folder", "deep/in/here")
        assert result.code in (1, 2)
        assert sorted(path.name for path in cli.folder.iterdir()) == ["deep", "test.yaml"]
        assert not list(cli.folder.glob("deep/**/evil")) and not list(cli.folder.glob("deep/x*"))


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("-p", b"x=\xff", "--param x: its value is not valid UTF-8"),
        ("--logical-date", b"0001-01-01T00:00Z", "is out of range: years are 1 to 9999"),
        ("--logical-date", b"9999-12-31T23:59", "is out of range: years are 1 to 9999"),
        ("--dag", b"\xff", "no Dag named"),
        ("--connections", b"/dev/zero", "cannot read /dev/zero: it is larger than 64 MiB"),
        ("--retry-delay", b"99999999h", "is longer than ten years"),
    ],
)
def test_options_that_mean_no_good(cli: Cli, dag_file: DagFile, option: str, value: bytes, says: str) -> None:
    file = dag_file(sh("a", "echo {{ ds }}"), params={"x": {"default": 1}}, timeZone="America/New_York")
    command = [PROGRAM.encode(), b"run", str(file).encode(), option.encode(), value]
    done = subprocess.run(command, cwd=cli.folder, env=cli.env, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1), done
    assert says.encode() in done.stderr


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e999", "[NaN]"])
def test_what_no_json_has_is_text(cli: Cli, dag_file: DagFile, value: str) -> None:
    file = dag_file(sh("a", "true"), params={"x": {"default": 1}})
    assert cli("run", file, "-p", f"x={value}").code == 0
    status = cli.dag_run().status
    assert status is not None and status.params == {"x": value}
    number = dag_file(sh("a", "true"), name="number", params={"x": {"type": "number", "default": 1}})
    assert cli("run", number, "-p", f"x={value}").code == 2


# Where it writes to ---------------------------------------------------------------------------------------------------


def test_no_one_reads(cli: Cli, dag_file: DagFile) -> None:
    """The first task lasts until the reader has exited, the second until the run has detected it, for which the run
    must write output of the first."""
    (cli.folder / "reads").touch()
    until_reader_exits = "while [ -e $HOME/reads ]; do sleep 0.05; done"
    until_noticed = "until [ -s $HOME/errors ]; do sleep 0.05; done; touch $HOME/b"
    file = dag_file(sh("a", until_reader_exits), sh("b", until_noticed, dependsOn=["a"]))
    done = shell(cli, f"$T run {file} 2>errors | {{ head -1; exec <&-; rm {cli.folder}/reads; }}")
    assert done.returncode == 0
    assert done.stdout.startswith("test-")
    errors = (cli.folder / "errors").read_text()
    assert errors.count("\n") == 1
    assert "warning: the reader of the output exited; the run continues, and" in errors
    assert (cli.folder / "b").exists()
    assert statuses(cli) == [("Succeeded", "Succeeded")]


def test_no_one_reads_a_log_of_megabytes(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file(sh("a", "seq 1 1000000; exit 3"))
    done = shell(cli, f"$T run {file} --logs | head -3")
    assert done.returncode == 1
    assert statuses(cli) == [("Failed", "TaskFailed")]
    assert "Traceback" not in done.stderr


def test_a_reader_that_hangs_keeps_nothing_from_its_work(cli: Cli, dag_file: DagFile) -> None:
    """A full pipe of 64 KiB: output of the run waits, and the run continues."""
    slow = sh("slow", "sleep 60", timeout="2s", dependsOn=["a"])
    file = dag_file(sh("a", "seq 1 1000000"), slow, sh("b", "touch $HOME/b", dependsOn=["slow"], triggerRule="AllDone"))
    process = subprocess.Popen(
        [PROGRAM, "run", str(file), "--logs"], cwd=cli.folder, env=cli.env, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while not (cli.folder / "b").exists():
        assert time.monotonic() < deadline, "the run stands still"
        time.sleep(0.05)
    time.sleep(0.5)
    assert process.poll() is None
    assert statuses(cli) == [("Succeeded", "Succeeded")]
    assert process.stdout is not None
    output = process.stdout.read()
    assert process.wait(10) == 0, output[-500:]
    assert "2 Succeeded, 1 Failed; failed: slow" in output[-500:]
    assert output.count("\n  │ ") == 1_000_000


def test_logs_of_100_megabytes_take_hardly_longer(cli: Cli, dag_file: DagFile) -> None:
    """Of the processor, where it took minutes: other tests run at the same time."""
    line = "some words of a log line that is of the usual length, more or less"
    file = dag_file(sh("a", f"yes '{line}' | head -c 104857600"))

    def seconds(*options: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = shell(cli, f"$T run {file} {' '.join(options)} | tail -c 200", timeout=120)
        assert (done.returncode, "Succeeded in" in done.stdout) == (0, True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    without = seconds()
    assert seconds("--logs") < 2 * without + 2


def test_a_full_disk_behind_stdout(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file(sh("a", "true"), sh("b", "touch $HOME/b", dependsOn=["a"]))
    done = shell(cli, f"$T run {file} > /dev/full")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "warning: cannot write to stdout: no space left on device; the run continues" in done.stderr
    assert statuses(cli) == [("Succeeded", "Succeeded")]
    assert (cli.folder / "b").exists()
    done = shell(cli, f"$T run {file} -o json > /dev/full")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        "error: cannot write to stdout: no space left on device",
    )


@pytest.fixture
def small_disk(cli: Cli) -> Any:
    """A file system of a megabyte."""
    place = cli.folder / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount the small file system that this fills, as in CI")
def test_a_full_disk_under_the_folder(cli: Cli, dag_file: DagFile, small_disk: Path) -> None:
    file = dag_file(sh("a", "yes | head -c 3000000; sleep 0.1; exit 1"), sh("b", "true", dependsOn=["a"]))
    result = cli("run", file, "--folder", small_disk / "t", timeout=60)
    assert result.code == 1
    assert "Traceback" not in result.err + result.out
    assert "Failed in" in result.out
    [run] = (small_disk / "t" / "runs").iterdir()
    assert sorted(path.name for path in run.iterdir()) in (
        ["logs", "outputs", "work"],
        ["logs", "outputs", "status.yaml", "work"],
    )
    # What was there before is left whole.
    assert yaml.safe_load((run / "status.yaml").read_text())["kind"] == "DagRun"
    (small_disk / "rest").write_bytes(b"")
    with (small_disk / "rest").open("wb") as rest, pytest.raises(OSError, match="No space"):
        while True:
            os.write(rest.fileno(), b"x" * 512)
    result = cli("run", file, "--folder", small_disk / "t", timeout=60)
    assert result.code in (1, 2)
    assert "Traceback" not in result.err + result.out
    assert "no space left on device" in result.err + result.out
    assert not list(small_disk.glob("t/**/.status*"))


COMMANDS = ["--help", "run --help", "validate FILE", "next FILE", "simulate FILE", "version", "simulate FILE -o yaml"]


@pytest.mark.parametrize("arguments", [*COMMANDS, "completion bash", "validate nope", "list"])
def test_no_command_ends_in_a_traceback(cli: Cli, dag_file: DagFile, arguments: str) -> None:
    file = dag_file(sh("a", "true", image="busybox"), schedule="@daily")
    command = f"$T {arguments.replace('FILE', str(file))}"
    plain = shell(cli, command)
    assert plain.returncode in (0, 2)
    full = shell(cli, f"{command} > /dev/full")
    assert full.returncode == 2
    assert full.stderr.count("\n") == 1, full.stderr
    if plain.returncode == 0:
        assert full.stderr == "error: cannot write to stdout: no space left on device\n"
    gone = shell(cli, f"{command} | true")
    assert gone.returncode in (0, 2, 141), gone
    assert gone.stderr == ("" if plain.returncode == 0 else plain.stderr)
    for redirected in ("2> /dev/full", "> /dev/full 2>&1", ">&-", "2>&-", "<&- >&- 2>&-"):
        other = shell(cli, f"{command} {redirected}")
        assert other.returncode in (0, 2), (redirected, other)
        assert "Traceback" not in other.stderr + other.stdout
    ascii_only = shell(cli, command, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert ascii_only.returncode == plain.returncode
    assert "Traceback" not in ascii_only.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_encoding(cli: Cli, dag_file: DagFile, encoding: str) -> None:
    file = dag_file(sh("a", "printf 'größer █ \\377\\n'; test $X = ü", env=[{"name": "X", "value": "ü"}]))
    for command in (f"run {file} --logs", f"simulate {file}", "validate $'\\xff\\xfe'"):
        done = subprocess.run(
            ["bash", "-c", f"$T {command}"],
            cwd=cli.folder,
            env={**cli.env, "T": PROGRAM, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == (2 if "validate" in command else 0), done
        assert b"Traceback" not in done.stderr


# The folder of a try --------------------------------------------------------------------------------------------------


def test_each_try_starts_in_an_empty_folder(cli: Cli, dag_file: DagFile) -> None:
    first = sh("a", "ls -A; echo 1 > shared.txt; test $TRADEWIND_TRY = 2", retries={"limit": 1, "delay": "0s"})
    file = dag_file(first, sh("b", "ls -A; cat shared.txt", dependsOn=["a"]))
    result = cli("run", file)
    assert result.code == 1
    assert [cli.log("a", 1), cli.log("a", 2)] == ["", ""]
    assert result.out.count("note: each try runs in an empty folder, as on a cluster") == 1
    assert not (cli.folder / "shared.txt").exists()
    assert (cli.run_folder / "work" / "a-2" / "shared.txt").exists()
    assert not (cli.run_folder / "work" / "b-1").exists()
    result = cli("run", file, "--here", "--folder", "other")
    assert result.code == 0
    assert (cli.folder / "shared.txt").exists()
    assert "empty folder" not in result.out


@pytest.mark.parametrize(
    "task",
    [
        {"name": "a", "command": ["./run.sh"]},
        {"name": "a", "command": ["sh", "run.sh"]},
        {"name": "a", "command": ["python3", "load.py"]},
        sh("a", "open('rows.csv')", interpreter=["python3"]),
    ],
)
def test_a_file_that_is_not_there_is_explained(cli: Cli, dag_file: DagFile, task: dict[str, object]) -> None:
    result = cli("run", dag_file(task))
    assert result.code == 1
    assert "use --here to run tasks in the current folder" in result.out
    assert "empty folder" not in cli("run", dag_file(sh("a", "echo wrong password; exit 1"))).out


def test_relative_paths_of_the_user_keep_working(cli: Cli, dag_file: DagFile) -> None:
    (cli.folder / "bin").mkdir()
    (cli.folder / "lib").mkdir()
    (cli.folder / "lib" / "mine.py").write_text("print('module')")
    program = cli.folder / "bin" / "my-program"
    program.write_text("#!/bin/sh\necho program")
    program.chmod(0o755)
    file = dag_file(sh("a", "my-program; python3 -m mine"))
    assert cli("run", file, PATH=f"bin:{os.environ['PATH']}", PYTHONPATH="lib").code == 0
    assert cli.log("a") == "program\nmodule\n"


# Retries, noise -------------------------------------------------------------------------------------------------------


def test_retries_without_waiting(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file(sh("a", "exit 1", retries={"limit": 2, "backoff": 3}))
    assert cli("run", file, "--retry-delay", "0s", timeout=30).code == 1
    assert cli.tasks()["a"].try_ == 3
    cli("run", file, "--no-retries", "--folder", "other", timeout=30)
    [run] = (cli.folder / "other" / "runs").iterdir()
    assert yaml.safe_load((run / "status.yaml").read_text())["status"]["tasks"][0]["try"] == 1
    assert "--retry-delay soon: " in cli("run", file, "--retry-delay", "soon").err


def test_a_long_wait_says_for_what(cli: Cli, dag_file: DagFile) -> None:
    process = cli.start("run", dag_file(sh("a", "exit 1", retries={"limit": 1})))
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("note: "):
            break
    assert "note: a waits 5m for its next try" in line or "note: a waits 4m59" in line
    assert "--retry-delay 0s to retry at once" in line
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)


def test_a_failure_is_reported_once(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file(sh("silent", "exit 1"), sh("loud", "echo what a pity; exit 1"), sh("fine", "true"))
    result = cli("run", file)
    assert "silent failed in try" not in result.out
    assert result.out.count("│ what a pity") == 1
    assert cli("run", file, "--logs").out.count("│ what a pity") == 1
    lenient = dag_file(sh("a", "exit 1"), sh("b", "true", dependsOn=["a"], triggerRule="AllDone"), name="lenient")
    assert cli("run", lenient).out.splitlines()[-2].endswith("; failed: a")


def test_no_one_has_to_wait_for_a_reader_that_hangs(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file(sh("a", "seq 1 1000000"))
    process = subprocess.Popen(
        [PROGRAM, "run", str(file), "--logs"],
        cwd=cli.folder,
        env=cli.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not any("phase: Succeeded" in each.read_text() for each in cli.folder.glob(".tradewind/runs/*/status.yaml")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(15) == 130
    assert process.stderr is not None
    assert "stopped by Ctrl-C" in process.stderr.read()


def test_ctrl_c_ends_all_runs_of_a_command(cli: Cli, dag_file: DagFile) -> None:
    runs = [
        {"apiVersion": "tradewind.dev/v1alpha1", "kind": "DagRun", "metadata": {"name": name}, "spec": {"dag": "test"}}
        for name in ("r1", "r2")
    ]
    process = cli.start("run", dag_file(sh("a", "touch $HOME/$TRADEWIND_RUN; sleep 600"), documents=runs))
    deadline = time.monotonic() + 20
    while not (cli.folder / "r1").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert statuses(cli) == [("Failed", "Stopped")]
    assert not (cli.folder / "r2").exists()
