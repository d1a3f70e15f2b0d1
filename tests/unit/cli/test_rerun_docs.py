"""docs/rerun.md tells the truth: what the commands print, and what there is."""

import re
import shlex
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from tests.unit.cli.cluster_setup import Setup
from tests.unit.cli.commandline import EXAMPLES, ROOT, Cli
from tests.unit.cli.steered_runs import add_run, controller_of
from tradewind.api.run_request import RunRequest
from tradewind.engine.requests.audit import REQUESTS_BUDGET

pytestmark = pytest.mark.unit

TEXT = (ROOT / "docs" / "rerun.md").read_text()
SESSION = re.findall(
    r"^\$ tradewind (.*)\n((?:(?!\$ ).*\n)*)", "".join(re.findall(r"^```console\n(.*?)^```", TEXT, re.S | re.M)), re.M
)
MORNING = datetime(2026, 3, 28, 6, tzinfo=UTC)


def at(second: int) -> str:
    return f"2026-03-28T06:00:{second:02}Z"


STATUS: dict[str, Any] = {
    "phase": "Failed",
    "reason": "TaskFailed",
    "message": "failed: load",
    "logicalDate": at(0),
    "startedAt": at(1),
    "finishedAt": at(4),
    "duration": "3s",
    "done": "3/3",
    "tasks": [
        {"name": "extract", "state": "Succeeded", "try": 1, "startedAt": at(1), "finishedAt": at(2)},
        {
            "name": "load",
            "state": "Failed",
            "try": 1,
            "startedAt": at(3),
            "finishedAt": at(4),
            "message": "the warehouse is closed",
        },
        {"name": "report", "state": "UpstreamFailed", "message": "an upstream task failed", "finishedAt": at(4)},
    ],
}


def test_what_is_printed(tradewind: Setup) -> None:
    """One command after the other, on the run that the example makes."""
    assert len(SESSION) == TEXT.count("$ tradewind") >= 5
    dag = yaml.safe_load((EXAMPLES / "rerun.yaml").read_text())["spec"]
    add_run(tradewind.fake, "repair-x7k2p", "repair", dag, STATUS, made=MORNING)
    tradewind.fake.controller = controller_of(now=MORNING.replace(hour=7, minute=30), **dag)
    for command, output in SESSION:
        done = tradewind(*shlex.split(command))
        assert done.out + done.err == output.rstrip("\n") + "\n", command


def test_the_commands_and_options_exist(cli: Cli) -> None:
    named = re.findall(r"`(?:tradewind )?(rerun|mark|stop|pause|resume|status) ([^`]*)`", TEXT)
    assert {command for command, _ in named} == {"rerun", "mark", "stop", "pause", "resume", "status"}
    for command in dict(named):
        shown = cli(command, "--help").out
        used = {option for name, words in named if name == command for option in re.findall(r"--[a-z-]+", words)}
        assert all(option in shown for option in used), command
    assert all(f"`{field.alias or name}`" in TEXT for name, field in RunRequest.model_fields.items())
    assert f"the latest {REQUESTS_BUDGET // 1024} KiB" in TEXT
