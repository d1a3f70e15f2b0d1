"""Prints data: a table for people, JSON or YAML for programs."""

import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from typing import Any, Literal, TypeVar

import click

from tradewind.cli.colours import PHASES, paint

Format = Literal["table", "json", "yaml"]
F = TypeVar("F", bound=Callable[..., Any])
_CONTROL = frozenset(map(chr, [*range(9), *range(11, 32), *range(127, 160)]))


def output_option(*formats: Format) -> Callable[[F], F]:
    """The `-o` option with these formats; the first is the default."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="Output format.",
    )


def printable(text: str) -> str:
    """Escape control characters in text from a task or another user, so that a terminal does not interpret them."""
    return "".join(f"\\x{ord(each):02x}" if each in _CONTROL else each for each in text)


def print_data(data: Any, output: Format) -> None:
    """Print `data` to stdout as JSON or YAML."""
    if output == "json":
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
        return
    import yaml

    click.echo(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110), nl=False)


def local_time(moment: datetime, zone: tzinfo) -> str:
    """Return the local time in `zone`, as in `Sun 2026-03-08 06:00:00`."""
    return f"{moment.astimezone(zone):%a %Y-%m-%d %H:%M:%S}"


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their headings, as kubectl does: one line each, states in colour.

    On a terminal the last column is truncated at the end of the line; a pipe gets all of it.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[position]) for row in [columns, *rows]) for position in range(len(columns))]
    limit = _terminal_width()
    for row in [columns, *rows]:
        line, used = "", 0
        for position, cell in enumerate(row):
            last = position == len(row) - 1
            text = cell.replace("\n", " ")
            if last and limit is not None and used + len(text) > limit:
                text = text[: max(limit - used - 1, 8)] + "…"
            padding = "" if last else " " * (widths[position] - len(text) + 3)
            line += paint(text, None if row is columns else PHASES.get(cell)) + padding
            used += widths[position] + 3
        click.echo(line.rstrip())


def _terminal_width() -> int | None:
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
