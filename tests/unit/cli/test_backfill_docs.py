"""docs/backfill.md tells the truth: what the command prints, the numbers, the reasons."""

import re
import shlex
from pathlib import Path

import pytest

from tests.bad_backfills import bad_backfills
from tests.unit.cli.commandline import EXAMPLES, ROOT, Cli
from tradewind.api import backfill

pytestmark = pytest.mark.unit

TEXT = (ROOT / "docs" / "backfill.md").read_text()
COMMANDS = re.findall(r"^```console\n\$ tradewind (.*)\n((?:.*\n)*?)```", TEXT, re.MULTILINE)


def test_there_is_something_to_run() -> None:
    assert len(COMMANDS) == TEXT.count("```console\n") >= 1


@pytest.mark.parametrize(("command", "output"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_what_is_printed(cli: Cli, command: str, output: str) -> None:
    Path(cli.folder / "examples").symlink_to(EXAMPLES)
    done = cli(*shlex.split(command))
    assert done.code == 0
    said = [line for line in done.err.splitlines(keepends=True) if not line.startswith("note: ")]
    assert done.out + "".join(said) == output


def test_the_options_exist(cli: Cli) -> None:
    shown = cli("backfill", "create", "--help").out
    named = set(re.findall(r"(?<!\S)(--[a-z-]+)", "\n".join(re.findall(r"^tradewind .*$", TEXT, re.MULTILINE))))
    assert named and all(option in shown for option in named)


def test_the_numbers_are_those_of_the_code() -> None:
    assert f"at most {backfill.MAX_TICKS} ticks" in TEXT
    assert f"the first {backfill.MAX_TICKS_SHOWN} ticks" in TEXT
    assert f"`maxActiveRuns` ({backfill.DEFAULT_MAX_ACTIVE_RUNS})" in TEXT


def test_every_reason_is_reported() -> None:
    words = set(re.findall(r"\w+", TEXT))
    # What the schema refuses says itself what is wrong.
    assert {case["reason"] for case in bad_backfills("admission", "ticks")} | {"InvalidSpan"} <= words
    assert {"Pending", "Running", "Paused", "Succeeded", "Failed"} <= words
