"""`tradewind backfill list`: the Backfills of a namespace."""

from typing import Any

import click

from tradewind.cli.cluster import completions, progress
from tradewind.cli.cluster.client import Cluster, cluster_options
from tradewind.cli.output import Format, output_option, print_data, print_table


@click.command("list")
@click.argument("dag", required=False, shell_complete=completions.dags)
@click.option("-A", "--all-namespaces", is_flag=True, help="List the Backfills of all namespaces.")
@cluster_options
@output_option("table", "json", "yaml")
def list_backfills(cluster: Cluster, dag: str | None, all_namespaces: bool, output: Format) -> None:
    """List the Backfills of a Dag, or of all Dags, newest first."""
    found = cluster.list_all("Backfill", everywhere=all_namespaces, fields=f"spec.dag={dag}" if dag else None)
    found.sort(key=lambda each: str(each["metadata"].get("creationTimestamp")), reverse=True)
    if output != "table":
        print_data(found, output)
    elif not found:
        click.echo(f"no Backfills{f' of {dag}' if dag else ''} found", err=True)
    else:
        columns = ["BACKFILL", "DAG", "FROM", "TO", "PHASE", "DONE", "FAILED", "AGE", "MESSAGE"]
        rows = [_row(each) for each in found]
        if all_namespaces:
            columns = ["NAMESPACE", *columns]
            rows = [[each["metadata"]["namespace"], *row] for each, row in zip(found, rows, strict=True)]
        print_table(columns, rows)


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
