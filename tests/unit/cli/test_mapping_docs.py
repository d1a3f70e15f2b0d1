"""docs/mapping.md tells the truth: its Dags run, its commands print what it shows, its limits are those of the code."""

import re
import shlex
from pathlib import Path

import pytest

from tests.unit.cli.commandline import ROOT, Cli
from tradewind.api.mapping import MAX_MAP_LENGTH
from tradewind.api.resolve import DEFAULT_MAX_MAP_LENGTH
from tradewind.engine.rules.outcome import OUTPUT_BUDGET

pytestmark = pytest.mark.unit

TEXT = (ROOT / "docs" / "mapping.md").read_text()
COMMANDS = re.findall(r"^```console\n\$ tradewind (.*)\n((?:.*\n)*?)```", TEXT, re.MULTILINE)
FILES = re.findall(r"^```yaml\n(# (\S+\.yaml)\n(?:.*\n)*?)```", TEXT, re.MULTILINE)
DAGS = [name for text, name in FILES if "kind: Dag" in text]


@pytest.fixture
def files(cli: Cli) -> Path:
    for text, name in FILES:
        (cli.folder / name).write_text(text)
    return cli.folder


def test_there_is_something_to_run() -> None:
    assert (len(COMMANDS), len(DAGS)) == (2, 3)


@pytest.mark.parametrize(("command", "output"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_what_is_printed(cli: Cli, files: Path, command: str, output: str) -> None:
    done = cli(*shlex.split(command), COLUMNS="90")
    assert (done.code, done.err, done.out) == (0, "", output)


@pytest.mark.parametrize(
    ("name", "log", "says"),
    [
        ("stores", "load-1-1", "store 9 in Lyon is number 1\n"),
        ("stores", "report-1", "216 rows of 2 stores\n"),
        ("backup", "every-3-1", "tuesday in us\n"),
        ("backup", "pairs-1-1", "b.csv becomes second.csv\n"),
        ("models", "test-2-1", "van.bin of van\n"),
        ("models", "publish-1", "3 models\n"),
    ],
)
def test_the_dags_run(cli: Cli, files: Path, name: str, log: str, says: str) -> None:
    assert cli("run", f"{name}.yaml").code == 0
    assert (cli.run_folder / "logs" / f"{log}.log").read_text() == says


def test_the_numbers_are_those_of_the_code() -> None:
    assert f"`maxMapLength` ({DEFAULT_MAX_MAP_LENGTH}; {MAX_MAP_LENGTH} at most)" in TEXT
    assert f"{OUTPUT_BUDGET // 1024} KiB together" in TEXT
