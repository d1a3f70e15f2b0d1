"""Colours, used on a terminal unless NO_COLOR or TERM=dumb is set."""

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
"""The colour of each state of a task or request, and of each phase of a run or Backfill."""


def wanted(*, err: bool = False) -> bool:
    """True if stdout (or stderr) gets colours."""
    stream = sys.stderr if err else sys.stdout
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str | None, *, err: bool = False) -> str:
    """Return `text` in that colour if colours are enabled."""
    return click.style(text, fg=colour) if colour and wanted(err=err) else text
