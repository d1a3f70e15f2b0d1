"""docs/data.md shows what `tradewind run` really prints, but for times."""

import re
import shlex

import pytest

from tests.unit.cli.commandline import ROOT, Cli

pytestmark = pytest.mark.unit

TEXT = (ROOT / "docs" / "data.md").read_text()
COMMANDS = re.findall(r"^```console\n\$ tradewind (.*)\n((?:.*\n)*?)```", TEXT, re.MULTILINE)
FILES = re.findall(r"^```yaml\n(# (\S+\.yaml)\n(?:.*\n)*?)```", TEXT, re.MULTILINE)


def without_times(text: str) -> str:
    text = re.sub(r"\d{8}t\d{6}", "DATE", text)
    text = re.sub(r"^\d\d:\d\d:\d\d", "TIME", text, flags=re.MULTILINE)
    return re.sub(r"\b\d+(\.\d+)?s\b *", "TOOK ", text)


def test_there_is_something_to_run() -> None:
    assert [name for _, name in FILES] == ["sales.yaml", "greet.yaml", "load.yaml", "connections.yaml"]
    assert len(COMMANDS) == 3


@pytest.mark.parametrize(("command", "output"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_what_is_printed(cli: Cli, command: str, output: str) -> None:
    for text, name in FILES:
        (cli.folder / name).write_text(text)
    done = cli(*shlex.split(command), COLUMNS="120")
    assert (done.code, done.err) == (0, "")
    assert without_times(done.out) == without_times(output)
