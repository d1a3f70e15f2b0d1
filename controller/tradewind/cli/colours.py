"""Colours, where there is somebody to see them: on a terminal, and not against NO_COLOR or TERM=dumb."""

import os
import sys

import click

PHASES = {
    "Succeeded": "green",
    "Failed": "red",
    "UpstreamFailed": "red",
    "Lost": "red",
    "Running": "cyan",
    "Queued": "blue",
    "Scheduled": "blue",
    "Pending": "blue",
    "Paused": "yellow",
    "UpForRetry": "yellow",
    "Skipped": "magenta",
    "Removed": "magenta",
    "Applied": "green",
    "Rejected": "red",
}
"""The colour of each state of a task or a request, and each phase of a run or Backfill."""


def wanted(*, err: bool = False) -> bool:
    """Whether stdout (or stderr) gets colours."""
    stream = sys.stderr if err else sys.stdout
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str | None, *, err: bool = False) -> str:
    """`text` in that colour, where colours are wanted."""
    return click.style(text, fg=colour) if colour and wanted(err=err) else text
