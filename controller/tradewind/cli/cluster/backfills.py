"""`tradewind backfill list`, `status`, `pause`, `resume` and `delete`: the Backfills of a namespace."""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from tradewind.cli.cluster import completions, progress
from tradewind.cli.cluster.client import Cluster, cluster_options
from tradewind.cli.colours import PHASES, paint
from tradewind.cli.errors import EXIT_FAILED
from tradewind.cli.output import Format, output_option, print_data, print_table, printable

_POLL_SECONDS = 0.5


@click.command("list")
@click.argument("dag", required=False, shell_complete=completions.dags)
@click.option("-A", "--all-namespaces", is_flag=True, help="The Backfills of all namespaces.")
@cluster_options
@output_option("table", "json", "yaml")
def list_backfills(cluster: Cluster, dag: str | None, all_namespaces: bool, output: Format) -> None:
    """List the Backfills of a Dag, or of all Dags; newest first."""
    found = cluster.list_all("Backfill", everywhere=all_namespaces, fields=f"spec.dag={dag}" if dag else None)
    found.sort(key=lambda each: str(each["metadata"].get("creationTimestamp")), reverse=True)
    if output != "table":
        print_data(found, output)
    elif not found:
        click.echo(f"there are no Backfills{f' of {dag}' if dag else ''}", err=True)
    else:
        columns = ["BACKFILL", "DAG", "FROM", "TO", "PHASE", "DONE", "FAILED", "AGE", "MESSAGE"]
        rows = [_row(each) for each in found]
        if all_namespaces:
            columns = ["NAMESPACE", *columns]
            rows = [[each["metadata"]["namespace"], *row] for each, row in zip(found, rows, strict=True)]
        print_table(columns, rows)


@click.command()
@click.argument("backfill", shell_complete=completions.backfills)
@click.option("--follow", is_flag=True, help="Stay until it has ended, and show what happens.")
@cluster_options
@output_option("table", "json", "yaml")
def status(cluster: Cluster, backfill: str, follow: bool, output: Format) -> None:
    """Show a Backfill and how far it is."""
    found = follow_backfill(cluster, backfill) if follow else cluster.get("Backfill", backfill)
    if output != "table":
        print_data(found, output)
        return
    spec, state = found["spec"], found.get("status") or {}
    click.echo(f"{found['metadata']['name']} (Dag {spec['dag']}): {summary(found)}")
    numbers = [
        f"{state[name]} {name}" for name in ("created", "active", "succeeded", "failed", "skipped") if name in state
    ]
    facts = {
        "from": spec["from"],
        "to": spec["to"],
        "ticks": state.get("total"),
        "runs": ", ".join(numbers),
        "started": state.get("startedAt"),
        "finished": state.get("finishedAt"),
        "failed": ", ".join(state.get("failedRuns") or ()),
    }
    for name, value in facts.items():
        if value:
            click.echo(f"  {name:9} {value}")


@click.command()
@click.argument("backfill", shell_complete=completions.backfills)
@cluster_options
def pause(cluster: Cluster, backfill: str) -> None:
    """Make no further runs; those that were made go on."""
    cluster.patch("Backfill", backfill, {"spec": {"suspend": True}})
    click.echo(f"{backfill} is paused")


@click.command()
@click.argument("backfill", shell_complete=completions.backfills)
@cluster_options
def resume(cluster: Cluster, backfill: str) -> None:
    """Let a paused Backfill make runs again."""
    cluster.patch("Backfill", backfill, {"spec": {"suspend": False}})
    click.echo(f"{backfill} goes on")


@click.command()
@click.argument("backfill", shell_complete=completions.backfills)
@cluster_options
def delete(cluster: Cluster, backfill: str) -> None:
    """Stop a Backfill and forget it: its runs that have started go on."""
    cluster.delete("Backfill", backfill)
    click.echo(f"{backfill} is deleted; its runs that have started go on")


def follow_backfill(cluster: Cluster, name: str, *, quiet: bool = False) -> dict[str, Any]:
    """Wait for the end of a Backfill, and say what changes on the way. The finished Backfill is returned."""
    said = ""
    try:
        while True:
            found = cluster.get("Backfill", name)
            state = found.get("status") or {}
            if state.get("phase") in ("Succeeded", "Failed"):
                return found
            text = _progress(state)
            if not quiet and text != said:
                click.echo(f"{datetime.now():%H:%M:%S}  {text}", err=True)
            said = text
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        hint = f"see `tradewind backfill status {name} -n {cluster.namespace}`"
        click.echo(f"\nthe Backfill goes on; {hint}", err=True)
        raise click.exceptions.Exit(EXIT_FAILED) from None


def summary(backfill: Mapping[str, Any]) -> str:
    """How far a Backfill is, or how it ended, in a line."""
    state = backfill.get("status") or {}
    phase = str(state.get("phase") or "Pending")
    message = f": {printable(state['message'])}" if state.get("message") else ""
    return f"{paint(phase, PHASES.get(phase))}{message}"


def _progress(state: Mapping[str, Any]) -> str:
    phase = str(state.get("phase") or "Pending")
    shown = paint(f"{phase:8}", PHASES.get(phase), err=True)
    if "done" not in state:
        return f"{shown}  {printable(state.get('message') or '')}".rstrip()
    failed = f", {state['failed']} failed" if state.get("failed") else ""
    return f"{shown}  {state['done']} done, {state.get('active', 0)} going on{failed}"


def _row(backfill: dict[str, Any]) -> list[str]:
    spec, state = backfill["spec"], backfill.get("status") or {}
    return [
        backfill["metadata"]["name"],
        spec["dag"],
        spec["from"],
        spec["to"],
        str(state.get("phase") or "-"),
        str(state.get("done") or "-"),
        str(state.get("failed", "-")),
        progress.age(backfill),
        str(state.get("message") or ""),
    ]
