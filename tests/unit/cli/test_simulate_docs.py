"""docs/simulating.md shows what the commands really print."""

import re
import shlex
from pathlib import Path

import pytest

from tests.unit.cli.commandline import EXAMPLES, ROOT, Cli

pytestmark = pytest.mark.unit

TEXT = (ROOT / "docs" / "simulating.md").read_text()
COMMANDS = re.findall(r"^```console\n\$ tradewind (.*)\n((?:.*\n)*?)```", TEXT, re.MULTILINE)
FILES = re.findall(r"^```yaml\n(# (\S+\.yaml)\n(?:.*\n)*?)```", TEXT, re.MULTILINE)


def test_there_is_something_to_run() -> None:
    assert len(COMMANDS) == TEXT.count("```console\n") >= 6
    assert [name for _, name in FILES] == ["outcomes.yaml"]


@pytest.mark.parametrize(("command", "output"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_what_is_printed(cli: Cli, command: str, output: str) -> None:
    Path(cli.folder / "examples").symlink_to(EXAMPLES)
    for text, name in FILES:
        (cli.folder / name).write_text(text)
    done = cli(*shlex.split(command), COLUMNS="90")
    assert (done.code, done.err) == (0, "")
    assert done.out == output
