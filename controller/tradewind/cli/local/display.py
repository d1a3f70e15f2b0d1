"""Shows the progress of a run: a live table on a terminal, else one line per change."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Protocol, cast

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tradewind.api.duration import format_duration
from tradewind.cli.colours import PHASES
from tradewind.cli.local.folder import last_lines
from tradewind.cli.local.rows import Row, counted, row_of, row_of_all, rows_of, tally_of
from tradewind.cli.local.screen import Screen
from tradewind.cli.local.terminal import ControlEcho
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase, TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.task_node import TaskNode

_SHOWN_LOG_LINES = 20
_SHOWN_LOG_BYTES = 8192
_FRAME = 0.1
"""Seconds between two updates of the table: a Dag with many tasks may change a thousand times a second."""
_QUIET = {TaskState.NONE, TaskState.SCHEDULED, TaskState.QUEUED}


class Display(Protocol):
    """Shows the progress of one run."""

    def begin(self, run: RunState, folder: Path) -> None:
        """Called before the run starts."""

    def update(self, run: RunState) -> None:
        """Show the current state."""

    def failed(self, task: str, number: int, log: Path) -> None:
        """Show the end of the log of a failed task."""

    def log(self, task: str, number: int, log: Path) -> None:
        """Show the log of a finished try."""

    def note(self, text: str) -> None:
        """Show a note."""

    def end(self, run: RunState, folder: Path) -> None:
        """Called when the run has finished."""


def display_for(screen: Screen, *, colours: bool) -> Display:
    """Return a live table if the screen can be redrawn, else lines."""
    console = Console(file=cast(IO[str], screen), no_color=not colours, highlight=False)
    live = console.is_terminal and not console.is_dumb_terminal
    return LiveDisplay(console, screen) if live else LineDisplay(console, screen)


class LineDisplay:
    """One line per change of state."""

    def __init__(self, console: Console, screen: Screen) -> None:
        self._console, self._screen = console, screen
        self._seen: dict[str, tuple[TaskState, int]] = {}
        self._live: dict[int, dict[int, TaskInstance]] = {}
        self._width = 0

    def begin(self, run: RunState, folder: Path) -> None:
        self._width = max(len(node.task.name) + (len("[99]") if node.mapped else 0) for node in run.nodes)
        number = len(run.graph.names)
        self._line(f"{run.info.name}: {number} task{'s' if number != 1 else ''}, folder {folder}")

    def update(self, run: RunState) -> None:
        for node in run.nodes:
            if node.count:
                self._update_mapped(node, run)
            else:
                self._show(node.whole, run)

    def _update_mapped(self, node: TaskNode, run: RunState) -> None:
        """Show instances that are or were running and, at the end, one line for all: thousands may be skipped."""
        # Finished instances are kept only as indexes: the objects of running ones have more to show.
        known = self._live.get(node.position, {}) | node.live
        for index in sorted(known):
            self._show(known[index], run)
        self._live[node.position] = dict(node.live)
        if node.finished and node.task.name not in self._seen:
            self._seen[node.task.name] = node.state, 0
            self._show_row(row_of_all(node, run), finished=True)

    def _show(self, instance: TaskInstance, run: RunState) -> None:
        now = (instance.state, instance.number)
        if instance.state not in _QUIET and self._seen.get(instance.name) != now:
            self._seen[instance.name] = now
            self._show_row(row_of(instance, run), finished=instance.finished)

    def _show_row(self, row: Row, *, finished: bool) -> None:
        number = f"try {row.tries}" if row.tries else ""
        text = Text(f"{_clock()}  {row.name:{self._width}}  ").append(f"{row.state:14}", PHASES.get(row.state))
        duration = row.duration if finished else ""
        self._line(text.append(f"  {number:5}  {duration:6}  {_first_line(row.message)}".rstrip()))

    def failed(self, task: str, number: int, log: Path) -> None:
        self._console.print(failure_text(task, number, log), soft_wrap=True, highlight=False)

    def log(self, task: str, number: int, log: Path) -> None:
        self._screen.write_log(f"{task}, try {number}:", log, colours=False)

    def note(self, text: str) -> None:
        self._line(f"note: {text}")

    def end(self, run: RunState, folder: Path) -> None:
        self.update(run)
        self._console.print(summary_text(run, folder), soft_wrap=True, highlight=False)

    def _line(self, text: str | Text) -> None:
        if isinstance(text, Text):
            text.rstrip()
        self._console.print(text, soft_wrap=True, highlight=False, markup=False)


class LiveDisplay:
    """A table that is redrawn at each change."""

    def __init__(self, console: Console, screen: Screen) -> None:
        self._console, self._screen = console, screen
        self._live = self._new_live()
        self._echo = ControlEcho()
        self._drawn = 0.0

    def begin(self, run: RunState, folder: Path) -> None:
        self._console.print(Text(run.info.name, "bold").append(f"  {folder}", "dim"), highlight=False)
        self._echo.off()
        self._live.start()
        self._draw(run)

    def update(self, run: RunState) -> None:
        # Skip a frame while the terminal is behind, so that frames do not pile up.
        if time.monotonic() - self._drawn >= _FRAME and not self._screen.is_behind:
            self._draw(run)

    def _new_live(self) -> Live:
        return Live(console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    def _draw(self, run: RunState) -> None:
        self._drawn = time.monotonic()
        rows = rows_of(run)
        room = max(self._console.size.height - 4, 5)
        shown = rows if len(rows) <= room else _most_important(rows, room - 1)
        table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
        for title, style in (("TASK", None), ("STATE", None), ("TRY", None), ("TIME", None)):
            table.add_column(title, style=style, no_wrap=True)
        table.add_column("MESSAGE", ratio=1, no_wrap=True, overflow="ellipsis", style="dim")
        for row in shown:
            state = Text(row.state, PHASES.get(row.state, "dim"))
            table.add_row(row.name, state, row.tries, row.duration, _first_line(row.message))
        hidden = len(rows) - len(shown)
        more = Text(f"… and {hidden} more: {counted(tally_of(run))}", "dim") if hidden else Text("")
        self._live.update(Group(table, more) if hidden else table, refresh=True)

    def failed(self, task: str, number: int, log: Path) -> None:
        self._console.print(failure_text(task, number, log), soft_wrap=True, highlight=False)

    def log(self, task: str, number: int, log: Path) -> None:
        """Remove the table, write the log, and draw the next table below it."""
        self._live.transient = True
        self._live.stop()
        self._screen.write_log(f"{task}, try {number}:", log, colours=not self._console.no_color)
        self._live = self._new_live()
        self._live.start()
        self._drawn = 0.0

    def note(self, text: str) -> None:
        self._console.print(Text(f"note: {text}", "dim"), soft_wrap=True, highlight=False)

    def end(self, run: RunState, folder: Path) -> None:
        self._draw(run)
        self._live.stop()
        self._echo.restore()
        self._console.print(summary_text(run, folder), soft_wrap=True, highlight=False)


def failure_text(task: str, number: int, log: Path) -> Text:
    """Return the last lines of the log of a failed try, and its path."""
    title = Text(f"{task} failed in try {number}; the end of its log, {log}:", "red")
    for line in last_lines(log, _SHOWN_LOG_LINES, _SHOWN_LOG_BYTES).splitlines():
        title.append("\n  │ ", "dim not bold").append(Text.from_ansi(line, style="default"))
    return title


def summary_text(run: RunState, folder: Path) -> Text:
    """Return the result of the run, its duration, and the path of its files."""
    took = format_duration((run.finished_at or datetime.now(UTC)) - run.started_at) if run.started_at else "0s"
    text = Text(run.phase.value, f"bold {PHASES.get(run.phase.value)}").append(f" in {took}", "not bold")
    text.append(f": {counted(tally_of(run))}")
    if run.message and run.phase is RunPhase.FAILED:
        text.append(f"; {run.message}")
    elif failed := [node.task.name for node in run.nodes if TaskState.FAILED in node.tally()]:
        text.append(f"; failed: {', '.join(failed[:5])}{f' and {len(failed) - 5} more' if len(failed) > 5 else ''}")
    return text.append(f"\n{folder}/ has status.yaml and the logs", "dim")


def _most_important(rows: list[Row], room: int) -> list[Row]:
    """Return the most important rows if not all fit, in their own order."""
    rank = {"Failed": 0, "Running": 1, "UpForRetry": 2, "Queued": 3, "Scheduled": 4, "Succeeded": 5}
    best = sorted(range(len(rows)), key=lambda i: (rank.get(rows[i].state, 6), i))[:room]
    return [rows[i] for i in sorted(best)]


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0]


def _clock() -> str:
    return datetime.now().strftime("%H:%M:%S")
