"""No child survives: not a time limit, not Ctrl-C, not a signal to tradewind, not the end of its own parent."""

import signal
import time
from pathlib import Path

import pytest

from tests.unit.cli.commandline import EXAMPLES, Cli, DagFile, survivors

pytestmark = pytest.mark.unit


def stubborn(marker: str) -> dict[str, object]:
    """A task that ignores SIGTERM, with a child in its group, one in a session of its own, and a daemon."""
    script = f"""
    trap '' TERM
    sh -c 'trap "" TERM; sleep 600; : {marker} group' &
    setsid sh -c 'trap "" TERM; sleep 600; : {marker} session' &
    (setsid sh -c 'trap "" TERM; sleep 600; : {marker} daemon' &)
    touch $HOME/started
    sleep 600; sleep 600; : {marker}
    """
    return {"name": "stubborn", "script": script}


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)


GRACE = {"spec": {"terminationGracePeriodSeconds": 1}}


def test_timeout_kills_the_whole_group(cli: Cli, dag_file: DagFile, marker: str) -> None:
    file = dag_file(stubborn(marker) | {"timeout": "1s"}, podTemplate=GRACE)
    started = time.monotonic()
    assert cli("run", file).code == 1
    assert time.monotonic() - started < 10
    task = cli.tasks()["stubborn"]
    assert (task.state, task.reason, task.exit_code) == ("Failed", "Timeout", 137)
    assert survivors(marker) == []


def test_a_timed_out_task_may_clean_up(cli: Cli, dag_file: DagFile) -> None:
    script = "trap 'echo cleaned up; exit 0' TERM; sleep 600 & wait"
    cli("run", dag_file({"name": "a", "script": script, "timeout": "1s"}))
    assert cli.log("a") == "cleaned up\n"


def test_what_a_finished_task_leaves_behind_is_killed(cli: Cli, dag_file: DagFile, marker: str) -> None:
    script = f"sh -c 'sleep 600; : {marker}' & setsid sh -c 'sleep 600; : {marker}' & (setsid sleep 600 &) ; exit 0"
    check = f"sleep 0.3; ! pgrep -f 'sleep 600; : {marker[:8]}[{marker[8]}]{marker[9:]}'"
    after = {"name": "after", "script": check, "dependsOn": ["leaves"]}
    result = cli("run", dag_file({"name": "leaves", "script": script}, after), "--folder", f"f-{marker}")
    assert result.code == 0, result.out
    assert survivors(marker) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_the_run_and_leaves_no_child(
    cli: Cli, dag_file: DagFile, marker: str, number: signal.Signals
) -> None:
    file = dag_file(stubborn(marker), {"name": "next", "noop": True, "dependsOn": ["stubborn"]}, podTemplate=GRACE)
    process = cli.start("run", file)
    wait_for(cli.folder / "started")
    process.send_signal(number)
    output, _ = process.communicate(timeout=15)
    assert process.returncode == 128 + number
    assert survivors(marker) == []
    assert "Failed in" in output
    status = cli.dag_run().status
    assert status is not None and (status.phase, status.reason) == ("Failed", "Stopped")
    name = {signal.SIGINT: "Ctrl-C", signal.SIGQUIT: "Ctrl-\\"}.get(number, number.name)
    assert status.message == f"stopped by {name}"


def test_a_second_signal_does_not_wait(cli: Cli, dag_file: DagFile, marker: str) -> None:
    process = cli.start("run", dag_file(stubborn(marker)))  # with a grace period of 30 s
    wait_for(cli.folder / "started")
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert time.monotonic() - started < 8
    assert (process.returncode, survivors(marker)) == (130, [])


def test_ctrl_c_between_tries(cli: Cli, dag_file: DagFile) -> None:
    process = cli.start(
        "run", dag_file({"name": "a", "script": "touch $HOME/started; exit 1", "retries": {"limit": 1}})
    )
    wait_for(cli.folder / "started")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 130
    assert cli.tasks()["a"].state == "Skipped"


def test_the_timeout_example_names_the_limit(cli: Cli) -> None:
    result = cli("run", EXAMPLES / "timeout.yaml")
    assert "ran longer than timeout (2s)" in result.out
    assert cli.tasks()["never"].state == "UpstreamFailed"
