"""A simulated run as a chart: a line for each task, a bar for each try, as wide as the terminal."""

import os
from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.console import Console
from rich.text import Text

from tradewind.api.duration import format_duration
from tradewind.cli import colours
from tradewind.engine.simulation import SimulatedRun, SimulatedTry
from tradewind.engine.states import TaskState
from tradewind.engine.task_instance import TaskInstance

PLAIN_WIDTH = 100
"""Columns where nothing tells how wide a line may be."""
NARROWEST_BAR = 10
LONGEST_NAME = 30
MOST_REASONS = 20
MARKS = {"Succeeded": "█", "Failed": "▒", "Lost": "?", "Skipped": "-", "UpForReschedule": "░"}
NOOP = "|"
WAITING = "·"


def print_gantt(run: SimulatedRun) -> None:
    """The chart of a run, how it ended, and why tasks did not succeed."""
    console = Console(no_color=not colours.wanted(), highlight=False)
    known = console.is_terminal or "COLUMNS" in os.environ
    for line in _chart(run, console.width if known else PLAIN_WIDTH):
        line.rstrip()
        if console.is_terminal:
            # Folded lines are no chart.
            line.truncate(console.width)
        console.print(line, soft_wrap=True)
    for text in [_end(run), *_reasons(run)]:
        console.print(text, soft_wrap=True)


def _chart(run: SimulatedRun, width: int) -> list[Text]:
    start = run.state.started_at or run.state.info.logical_date
    instances = list(run.state)
    rows = [_cells(run, instance, start) for instance in instances]
    header = ["TASK", "STATE", "TRY", "START", "TOOK"]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    room = max(NARROWEST_BAR, width - sum(widths) - 2 * len(widths))
    tries: dict[str, list[SimulatedTry]] = {}
    for each in run.tries:
        tries.setdefault(each.task, []).append(each)
    scale = _Scale(start, run.makespan, room)
    axis = format_duration(run.makespan)
    lines = [Text(_join(header, widths) + "0s" + axis.rjust(room - 2))]
    for instance, cells in zip(instances, rows, strict=True):
        line = Text(_join(cells, widths) + scale.bar(instance, tries.get(instance.name, ())))
        colour = colours.PHASES.get(cells[1])
        if colour:
            begin = widths[0] + 2
            line.stylize(colour, begin, begin + len(cells[1]))
            line.stylize(colour, sum(widths) + 2 * len(widths))
        lines.append(line)
    return lines


def _cells(run: SimulatedRun, instance: TaskInstance, start: datetime) -> list[str]:
    name = instance.name
    began, ended = run.times(instance)
    return [
        name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…",
        instance.state.value if instance.state is not TaskState.NONE else "-",
        str(instance.number or ""),
        format_duration(began - start) if began else "",
        format_duration(ended - began) if began and ended else "",
    ]


def _join(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(cell.ljust(width) + "  " for cell, width in zip(cells, widths, strict=True))


class _Scale:
    """Columns of the chart for moments of the run."""

    def __init__(self, start: datetime, makespan: timedelta, width: int) -> None:
        self._start, self._width = start, width
        self._seconds = makespan.total_seconds() or 1.0

    def bar(self, instance: TaskInstance, tries: Sequence[SimulatedTry]) -> str:
        """The line of one task: each try at least one column wide, and dots while it waits for the next."""
        columns = [" "] * self._width
        if instance.task.noop and instance.started_at:
            columns[self._column(instance.started_at)] = NOOP
        end = 0
        for number, each in enumerate(tries):
            first = self._column(each.started_at)
            last = max(first, self._column(each.finished_at, up=True))
            if number:
                for column in range(end, first):
                    columns[column] = WAITING
            columns[first : last + 1] = MARKS.get(each.state, "█") * (last + 1 - first)
            end = last + 1
        return "".join(columns).rstrip()

    def _column(self, moment: datetime, *, up: bool = False) -> int:
        place = (moment - self._start).total_seconds() / self._seconds * self._width
        return max(0, min(self._width - 1, round(place) - (1 if up else 0)))


def _end(run: SimulatedRun) -> Text:
    state, took = run.state, format_duration(run.makespan)
    if not state.finished:
        return Text(f"{state.info.dag}: still {state.phase.value} after {took}, and nothing more would happen")
    text = Text(f"{state.info.dag}: {state.phase.value} after {took}")
    text.stylize(colours.PHASES[state.phase.value], len(state.info.dag) + 2)
    return text


def _reasons(run: SimulatedRun) -> list[Text]:
    entries = {entry["name"]: entry for entry in run.state.status()["tasks"]}
    lines = []
    for instance in run.state:
        entry = entries.get(instance.task.name, {})
        waits_for = entry.get("message") if not instance.finished else None
        told = [text for text in (instance.reason, instance.message or waits_for) if text]
        if told and instance.state is not TaskState.SUCCEEDED:
            lines.append(f"  {instance.name}: {': '.join(told)}")
    more = len(lines) - MOST_REASONS
    if more > 0:
        lines[MOST_REASONS:] = [f"  and {more} more; -o json has all"]
    return [Text(line) for line in lines]
