"""Tasks and the record of a run after `tradewind` is killed, and two processes that share a folder."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.cli.commandline import Cli, DagFile, survivors

pytestmark = pytest.mark.unit


def eventually(holds: Callable[[], Any], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def status_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((run / "status.yaml").read_text())["status"]
    return found


def with_children(marker: str, last: str = "sleep 600; :") -> dict[str, object]:
    script = f"""
    trap '' TERM HUP INT
    sh -c 'sleep 600; : {marker} group' &
    setsid sh -c 'sleep 600; : {marker} session' &
    (setsid sh -c 'sleep 600; : {marker} daemon' &)
    touch $HOME/started
    {last} {marker}
    """
    return {"name": "a", "script": script}


def test_tasks_die_with_a_killed_parent(cli: Cli, dag_file: DagFile, marker: str) -> None:
    file = dag_file(with_children(marker), {"name": "next", "noop": True, "dependsOn": ["a"]})
    process = cli.start("run", file, "--folder", "runs-here")
    eventually(lambda: (cli.folder / "started").exists(), "it starts")
    assert len(survivors(marker)) >= 4
    process.kill()
    process.communicate(timeout=10)
    eventually(lambda: survivors(marker) == [], f"all are killed: {survivors(marker)}")

    [run] = (cli.folder / "runs-here" / "runs").iterdir()
    assert status_of(run)["phase"] == "Running"
    quick = dag_file({"name": "b", "script": "true"}, name="quick")
    result = cli("run", quick, "--folder", "runs-here")
    assert result.code == 0
    assert result.err == f"note: the process of {run.name} was killed while it was running; it is Failed now\n"
    status = status_of(run)
    assert (status["phase"], status["reason"]) == ("Failed", "Killed")
    assert status["message"] == "the process that ran it was killed"
    assert {each["type"]: each["status"] for each in status["conditions"]} == {"Complete": "False", "Failed": "True"}
    assert {task["name"]: task["state"] for task in status["tasks"]}["a"] == "Failed"
    assert cli("run", quick, "--folder", "runs-here").err == ""
    assert not list((cli.folder / "runs-here").glob("runs/*/running"))


def test_the_whole_group_is_killed(cli: Cli, dag_file: DagFile, marker: str) -> None:
    process = subprocess.Popen(
        [*cli_command(), "run", str(dag_file(with_children(marker)))],
        cwd=cli.folder,
        env=cli.env,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    eventually(lambda: (cli.folder / "started").exists(), "it starts")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    eventually(lambda: survivors(marker) == [], f"all are killed: {survivors(marker)}")


def cli_command() -> list[str]:
    from tests.unit.cli.commandline import PROGRAM

    return [PROGRAM]


def test_a_running_run_is_left_alone(cli: Cli, dag_file: DagFile) -> None:
    process = cli.start("run", dag_file({"name": "a", "script": "touch $HOME/started; sleep 600"}))
    eventually(lambda: (cli.folder / "started").exists(), "it starts")
    assert cli("run", dag_file({"name": "b", "script": "true"}, name="quick")).err == ""
    [slow] = (cli.folder / ".tradewind" / "runs").glob("test-*")
    assert (slow / "running").exists()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 143
    assert (status_of(slow)["phase"], status_of(slow)["reason"]) == ("Failed", "Stopped")


@pytest.mark.parametrize("text", [None, "", "a: [", "just text", "status: {phase: Running}", "status: {tasks: 1}"])
def test_whatever_a_killed_run_has_left(cli: Cli, dag_file: DagFile, text: str | None) -> None:
    left = cli.folder / ".tradewind" / "runs" / "left"
    left.mkdir(parents=True)
    (left / "running").touch()
    if text is not None:
        (left / "status.yaml").write_text(text)
    result = cli("run", dag_file({"name": "b", "script": "true"}))
    assert (result.code, "note: the process of left was killed" in result.err) == (0, True)
    assert not (left / "running").exists()


def test_max_active_runs_hold_between_processes(cli: Cli, dag_file: DagFile) -> None:
    script = """
    mkdir "$HOME/busy" || exit 7
    touch "$HOME/started"
    until test -e "$HOME/go"; do sleep 0.05; done
    rmdir "$HOME/busy"
    """
    file = dag_file({"name": "a", "script": script}, maxActiveRuns=1)
    first = cli.start("run", file)
    eventually(lambda: (cli.folder / "started").exists(), "it starts")
    others = [cli.start("run", file) for _ in range(4)]
    for process in others:
        assert process.stdout is not None
        assert "note: waiting for maxActiveRuns of Dag test (1)" in process.stdout.readline()
    (cli.folder / "go").touch()
    outputs = [process.communicate(timeout=60)[0] for process in (first, *others)]
    assert [process.returncode for process in (first, *others)] == [0] * 5, outputs
    assert len(list((cli.folder / ".tradewind" / "runs").iterdir())) == 5


def test_who_waits_for_a_slot_can_be_stopped(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file({"name": "a", "script": "touch $HOME/started; sleep 600"}, maxActiveRuns=1)
    first = cli.start("run", file)
    eventually(lambda: (cli.folder / "started").exists(), "it starts")
    second = cli.start("run", file)
    assert second.stdout is not None
    assert "waiting for maxActiveRuns" in second.stdout.readline()
    second.send_signal(signal.SIGINT)
    assert "stopped by Ctrl-C" in second.communicate(timeout=10)[0]
    assert second.returncode == 130
    # A lock goes with its process, however that ends.
    first.kill()
    first.communicate(timeout=10)
    quick = dag_file({"name": "a", "script": "true"}, maxActiveRuns=1)
    assert cli("run", quick).code == 0


def test_runs_are_named_by_their_logical_date(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file({"name": "a", "script": "echo $TRADEWIND_RUN"}, name="sales", timeZone="America/New_York")
    for _ in range(3):
        assert cli("run", file, "--logical-date", "2026-01-31").code == 0
    names = sorted(path.name for path in (cli.folder / ".tradewind" / "runs").iterdir())
    assert names == ["sales-20260131t050000", "sales-20260131t050000-2", "sales-20260131t050000-3"]
