"""The live table on a terminal: what is left on the screen when the run has finished."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence

import pytest

from tests.unit.cli.commandline import PROGRAM, Cli, DagFile

pytestmark = pytest.mark.unit

COLUMNS = 80
_CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


def on_screen(cli: Cli, *args: object, type_when: str = "", keys: bytes = b"", timeout: float = 30) -> Sequence[str]:
    """The lines on the screen in the end, of a terminal that echoes; keys are typed once a text is shown."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    process = subprocess.Popen(
        [PROGRAM, *map(str, args)],
        stdin=side,
        stdout=side,
        stderr=side,
        cwd=cli.folder,
        env={**cli.env, "TERM": "xterm"},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    modes = termios.tcgetattr(main)
    os.close(side)
    written, deadline = b"", time.monotonic() + timeout
    while time.monotonic() < deadline:
        if not select.select([main], [], [], 0.1)[0]:
            continue
        try:
            written += os.read(main, 65536)
        except OSError:  # the other side is closed
            break
        if keys and type_when.encode() in written:
            time.sleep(0.3)
            os.write(main, keys)
            keys = b""
    assert process.wait(10) is not None
    assert termios.tcgetattr(main)[3] == modes[3], "the terminal is as it was"
    os.close(main)
    return _drawn(written.decode())


def _drawn(written: str) -> list[str]:
    """As much of a terminal as the table uses: lines, the cursor going up, and lines that are erased."""
    lines, row, column, place = [[" "] * COLUMNS for _ in range(500)], 0, 0, 0
    while place < len(written):
        control = _CONTROL.match(written, place)
        if control:
            place = control.end()
            if control[2] == "A":
                row -= int(control[1] or 1)
            elif control[2] == "K":
                lines[row] = [" "] * COLUMNS
            continue
        character = written[place]
        place += 1
        if character == "\n":
            row += 1
        elif character == "\r":
            column = 0
        elif character >= " ":
            if column == COLUMNS:
                row, column = row + 1, 0
            lines[row][column] = character
            column += 1
    return [text for line in lines if (text := "".join(line).rstrip())]


def test_ctrl_c_leaves_one_table(cli: Cli, dag_file: DagFile) -> None:
    tasks = ({"name": name, "script": "sleep 600"} for name in ("a", "b"))
    lines = on_screen(cli, "run", dag_file(*tasks), type_when="Running", keys=b"\x03")
    assert sum(line.startswith("TASK") for line in lines) == 1, lines
    assert sum("stopping running tasks" in line for line in lines) == 1
    assert "^C" not in "".join(lines)
    assert [line.split()[:2] for line in lines if line.startswith(("a ", "b "))] == [["a", "Skipped"], ["b", "Skipped"]]


def test_logs_are_above_one_table(cli: Cli, dag_file: DagFile) -> None:
    file = dag_file(
        {"name": "a", "script": "seq 1 100"},
        {"name": "b", "script": r"printf '\033[2Jevil\033]0;owned\007\033[31mred'", "dependsOn": ["a"]},
    )
    lines = on_screen(cli, "run", file, "--logs")
    assert sum(line.startswith("TASK") for line in lines) == 1, lines
    assert lines.index("  │ 100") < lines.index("b, try 1:") < lines.index("  │ evilred")
    assert [line for line in lines if line.startswith("  │ ")][:100] == [f"  │ {number}" for number in range(1, 101)]
    assert lines.index("  │ evilred") < next(place for place, line in enumerate(lines) if line.startswith("TASK"))
