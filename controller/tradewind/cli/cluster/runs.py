"""`tradewind runs`: the runs of a namespace."""

from typing import Any

import click

from tradewind.cli.cluster import completions, progress
from tradewind.cli.cluster.client import Cluster, cluster_options
from tradewind.cli.output import Format, output_option, print_data, print_table


@click.command()
@click.argument("dag", required=False, shell_complete=completions.dags)
@click.option("-A", "--all-namespaces", is_flag=True, help="List the runs of all namespaces.")
@cluster_options
@output_option("table", "json", "yaml")
def runs(cluster: Cluster, dag: str | None, all_namespaces: bool, output: Format) -> None:
    """List the runs of a Dag, or of all Dags, newest first."""
    if dag is not None and not all_namespaces:
        cluster.get("Dag", dag)  # fails for a wrong name, which would otherwise look like a Dag without runs
    found = cluster.list_all("DagRun", everywhere=all_namespaces, fields=f"spec.dag={dag}" if dag else None)
    found.sort(key=lambda run: str(run["metadata"].get("creationTimestamp")), reverse=True)
    if output != "table":
        print_data(found, output)
    elif not found:
        click.echo(f"no runs{f' of {dag}' if dag else ''} found", err=True)
    else:
        columns = ["RUN", "DAG", "PHASE", "DONE", "LOGICAL DATE", "DURATION", "AGE", "MESSAGE"]
        rows = [_row(run) for run in found]
        if all_namespaces:
            columns = ["NAMESPACE", *columns]
            rows = [[run["metadata"]["namespace"], *row] for run, row in zip(found, rows, strict=True)]
        print_table(columns, rows)


def _row(run: dict[str, Any]) -> list[str]:
    state = run.get("status") or {}
    return [
        run["metadata"]["name"],
        run["spec"]["dag"],
        str(state.get("phase") or "-"),
        str(state.get("done") or "-"),
        str(state.get("logicalDate") or run["spec"].get("logicalDate") or "-"),
        str(state.get("duration") or "-"),
        progress.age(run),
        str(state.get("message") or ""),
    ]
