"""A simulated run as a chart: a line for each task, a bar for each try, as wide as the terminal.

A mapped task with many instances has one line for all of them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.console import Console
from rich.text import Text

from tradewind.api.duration import format_duration
from tradewind.cli import colours
from tradewind.engine.run.states import TaskState
from tradewind.engine.run.task_instance import TaskInstance
from tradewind.engine.run.task_node import TaskNode
from tradewind.engine.simulation import SimulatedRun, SimulatedTry
from tradewind.engine.status.run_status import run_status

PLAIN_WIDTH = 100
"""Width of the chart if the width of the terminal is not known."""
NARROWEST_BAR = 10
LONGEST_NAME = 30
MOST_REASONS = 20
MOST_INSTANCES = 10
"""A mapped task with more instances has one line for all, and one for each of some that failed."""
MARKS = {"Succeeded": "█", "Failed": "▒", "Lost": "?", "Skipped": "-", "UpForReschedule": "░"}
NOOP = "|"
WAITING = "·"


def print_gantt(run: SimulatedRun, title: str) -> None:
    """Print the chart of a run, its result, and why tasks did not succeed. `title` names the run."""
    console = Console(no_color=not colours.wanted(), highlight=False)
    known = console.is_terminal or "COLUMNS" in os.environ
    for line in _chart(run, console.width if known else PLAIN_WIDTH):
        line.rstrip()
        if console.is_terminal:
            # Wrapped lines would break the chart.
            line.truncate(console.width)
        console.print(line, soft_wrap=True)
    for text in [_end(run, title), *_reasons(run)]:
        console.print(text, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the chart: name, state, try, start and duration, and the tries that make its bar."""

    cells: list[str]
    instance: TaskInstance | None
    tries: Sequence[SimulatedTry]


def _chart(run: SimulatedRun, width: int) -> list[Text]:
    start = run.state.started_at or run.state.info.logical_date
    tries: dict[str, list[SimulatedTry]] = {}
    for each in run.tries:
        tries.setdefault(each.task, []).append(each)
    rows = [row for node in run.state.nodes for row in _rows(run, node, start, tries)]
    header = ["TASK", "STATE", "TRY", "START", "TOOK"]
    widths = [max(len(cells[column]) for cells in [header, *(row.cells for row in rows)]) for column in range(5)]
    room = max(NARROWEST_BAR, width - sum(widths) - 2 * len(widths))
    scale = _Scale(start, run.makespan, room)
    axis = format_duration(run.makespan)
    lines = [Text(_join(header, widths) + "0s" + axis.rjust(room - 2))]
    for row in rows:
        bar = scale.bar(row.instance, row.tries) if row.instance else scale.bar_of_many(row.tries)
        line = Text(_join(row.cells, widths) + bar)
        colour = colours.PHASES.get(row.cells[1])
        if colour:
            begin = widths[0] + 2
            line.stylize(colour, begin, begin + len(row.cells[1]))
            line.stylize(colour, sum(widths) + 2 * len(widths))
        lines.append(line)
    return lines


def _rows(
    run: SimulatedRun, node: TaskNode, start: datetime, tries: Mapping[str, Sequence[SimulatedTry]]
) -> Iterator[_Row]:
    instances = list(node)
    if len(instances) > MOST_INSTANCES:
        every = [each for instance in instances for each in tries.get(instance.name, ())]
        yield _Row(_cells_of_many(run, node, instances, start), None, every)
        instances = [instance for instance in instances if instance.state is TaskState.FAILED][:MOST_INSTANCES]
    for instance in instances:
        yield _Row(_cells(run, instance, start), instance, tries.get(instance.name, ()))


def _cells(run: SimulatedRun, instance: TaskInstance, start: datetime) -> list[str]:
    began, ended = run.times(instance)
    return [
        _short(instance.name),
        instance.state.value if instance.state is not TaskState.NONE else "-",
        str(instance.number or ""),
        format_duration(began - start) if began else "",
        format_duration(ended - began) if began and ended else "",
    ]


def _cells_of_many(run: SimulatedRun, node: TaskNode, instances: Sequence[TaskInstance], start: datetime) -> list[str]:
    times = [run.times(instance) for instance in instances]
    began = min((first for first, _ in times if first), default=None)
    ended = max((last for _, last in times if last), default=None)
    return [
        f"{_short(node.task.name)} ×{len(instances)}",
        node.state.value if node.state is not TaskState.NONE else "-",
        str(max(instance.number for instance in instances) or ""),
        format_duration(began - start) if began else "",
        format_duration(ended - began) if began and ended else "",
    ]


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _join(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(cell.ljust(width) + "  " for cell, width in zip(cells, widths, strict=True))


class _Scale:
    """Columns of the chart for moments of the run."""

    def __init__(self, start: datetime, makespan: timedelta, width: int) -> None:
        self._start, self._width = start, width
        self._seconds = makespan.total_seconds() or 1.0

    def bar(self, instance: TaskInstance, tries: Sequence[SimulatedTry]) -> str:
        """Return the bar of a task: each try is at least one column wide, with dots between tries."""
        columns = [" "] * self._width
        if not instance.task.kind.has_tries and instance.started_at:
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

    def bar_of_many(self, tries: Sequence[SimulatedTry]) -> str:
        """Return the bar of many instances: when any of them ran, and when tries failed or were lost."""
        columns = [" "] * self._width
        bad = []
        for each in tries:
            first = self._column(each.started_at)
            last = max(first, self._column(each.finished_at, up=True))
            mark = MARKS.get(each.state, "█")
            if each.state in ("Failed", "Lost"):
                bad.append((last, mark))
                mark = "█"
            columns[first : last + 1] = mark * (last + 1 - first)
        for last, mark in bad:
            columns[last] = mark
        return "".join(columns).rstrip()

    def _column(self, moment: datetime, *, up: bool = False) -> int:
        place = (moment - self._start).total_seconds() / self._seconds * self._width
        return max(0, min(self._width - 1, round(place) - (1 if up else 0)))


def _end(run: SimulatedRun, title: str) -> Text:
    state, took = run.state, format_duration(run.makespan)
    if not state.finished:
        return Text(f"{title}: still {state.phase.value} after {took}; the run would never finish")
    text = Text(f"{title}: {state.phase.value} after {took}")
    text.stylize(colours.PHASES[state.phase.value], len(title) + 2)
    return text


def _reasons(run: SimulatedRun) -> list[Text]:
    entries = {entry["name"]: entry for entry in run_status(run.state)["tasks"]}
    lines = []
    for instance in run.state:
        entry = entries.get(instance.task.name, {})
        waiting = entry.get("message") if not instance.finished else None
        texts = [text for text in (instance.reason, instance.message or waiting) if text]
        if texts and instance.state is not TaskState.SUCCEEDED:
            lines.append(f"  {instance.name}: {': '.join(texts)}")
    more = len(lines) - MOST_REASONS
    if more > 0:
        lines[MOST_REASONS:] = [f"  and {more} more; see -o json"]
    return [Text(line) for line in lines]
