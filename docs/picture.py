"""Take the picture of README.md: the live view of `tradewind run`, in the middle of the run of an example.

    python docs/picture.py [DAG]

It runs the Dag in a pseudo-terminal and keeps the screen with most running tasks. Times differ with each run, so no
test compares the picture; `make picture` takes it again.
"""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from io import StringIO
from pathlib import Path

from rich.console import CONSOLE_SVG_FORMAT, Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
PICTURE = Path(__file__).parent / "run.svg"
DAG = "examples/weather/dag.yaml"
ROWS, COLUMNS = 30, 108
_REDRAWN = re.compile(r"\r\x1b\[2K(?:\x1b\[1A\x1b\[2K)*")
"""Between two drawings of a table: the cursor goes up line by line and clears them."""
_STATES = ("Succeeded", "Running", "Queued", "Scheduled", "UpForRetry", "Waiting")


def shown(command: list[str]) -> str:
    """Return the output of a command in a terminal."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {
        **os.environ,
        "TERM": "xterm-256color",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=ROOT)
    os.close(slave)
    parts = []
    try:
        while part := os.read(master, 65536):
            parts.append(part)
    except OSError:
        pass  # the other end is closed
    if process.wait():
        raise SystemExit(f"{' '.join(command)} exits {process.returncode}")
    return b"".join(parts).decode()


def busiest(output: str) -> str:
    """Return the drawing of the table with most running tasks, and of those the one with most states."""
    drawings = [part[part.index("TASK") :] for part in _REDRAWN.split(output) if "TASK" in part]
    drawing = max(drawings, key=lambda each: (each.count("Running"), sum(state in each for state in _STATES)))
    return drawing.replace("\r", "").strip("\n")


def main() -> None:
    dag = sys.argv[1] if len(sys.argv) > 1 else DAG
    with tempfile.TemporaryDirectory() as folder:
        output = shown(["tradewind", "run", dag, "--folder", folder])
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True, color_system="truecolor")
    console.print(f"[bold]$[/bold] tradewind run {dag}", highlight=False)
    console.print(Text.from_ansi(busiest(output)), "", sep="\n")
    # Without the font that it would load from elsewhere.
    frame = re.sub(r"@font-face {{.*?}}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    svg = console.export_svg(title="tradewind run", code_format=frame, unique_id="run")
    PICTURE.write_text("\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n")


if __name__ == "__main__":
    main()
