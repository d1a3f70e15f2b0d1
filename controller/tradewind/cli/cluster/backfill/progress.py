"""The progress of a Backfill, in lines."""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from tradewind.cli.cluster.client import Cluster
from tradewind.cli.colours import PHASES, paint
from tradewind.cli.errors import EXIT_FAILED
from tradewind.cli.output import printable

_POLL_SECONDS = 0.5


def follow_backfill(cluster: Cluster, name: str, *, quiet: bool = False) -> dict[str, Any]:
    """Wait until a Backfill finishes, print its progress, and return the finished Backfill."""
    shown = ""
    try:
        while True:
            found = cluster.get("Backfill", name)
            state = found.get("status") or {}
            if state.get("phase") in ("Succeeded", "Failed"):
                return found
            text = _progress(state)
            if not quiet and text != shown:
                click.echo(f"{datetime.now():%H:%M:%S}  {text}", err=True)
            shown = text
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        hint = f"see `tradewind backfill status {name} -n {cluster.namespace}`"
        click.echo(f"\nthe Backfill continues; {hint}", err=True)
        raise click.exceptions.Exit(EXIT_FAILED) from None


def summary(backfill: Mapping[str, Any]) -> str:
    """Return the progress or the result of a Backfill, in one line."""
    state = backfill.get("status") or {}
    phase = str(state.get("phase") or "Pending")
    message = f": {printable(state['message'])}" if state.get("message") else ""
    return f"{paint(phase, PHASES.get(phase))}{message}"


def _progress(state: Mapping[str, Any]) -> str:
    phase = str(state.get("phase") or "Pending")
    painted = paint(f"{phase:8}", PHASES.get(phase), err=True)
    if "done" not in state:
        return f"{painted}  {printable(state.get('message') or '')}".rstrip()
    failed = f", {state['failed']} failed" if state.get("failed") else ""
    return f"{painted}  {state['done']} finished, {state.get('active', 0)} active{failed}"
