"""Output of tasks and other users is shown, but not interpreted by the terminal."""

import pytest

from tradewind.cli.cluster.progress import summary
from tradewind.cli.output import print_table, printable

pytestmark = pytest.mark.unit

EVIL = "\x1b]0;owned\x07\x1b[2J\rSucceeded\x9b31m"


def test_control_characters_are_shown() -> None:
    assert printable("a\tb\nü") == "a\tb\nü"
    assert printable("\x1b[2J") == "\\x1b[2J"
    assert not {each for each in printable(EVIL) if ord(each) < 32 or 127 <= ord(each) < 160}


def test_in_tables_and_summaries(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["TASK", "MESSAGE"], [["load", EVIL]])
    shown = capsys.readouterr().out + summary({"status": {"phase": "Failed", "message": EVIL}})
    assert "\x07" not in shown
    assert "\x1b]" not in shown
    assert "\x1b[2J" not in shown
    assert "\r" not in shown
