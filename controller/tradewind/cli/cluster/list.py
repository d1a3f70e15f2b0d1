"""`tradewind list`: the Dags of a namespace."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from tradewind.cli.cluster import progress
from tradewind.cli.cluster.client import Cluster, cluster_options
from tradewind.cli.output import Format, output_option, print_data, print_table

_OVERDUE = timedelta(minutes=1)
_MOST_NAMED = 5


@click.command("list")
@click.option("-A", "--all-namespaces", is_flag=True, help="List the Dags of all namespaces.")
@cluster_options
@output_option("table", "json", "yaml")
def list_dags(cluster: Cluster, all_namespaces: bool, output: Format) -> None:
    """List the Dags."""
    dags = cluster.list_all("Dag", everywhere=all_namespaces)
    if output != "table":
        print_data(dags, output)
    elif not dags:
        where = "in any namespace" if all_namespaces else f"in namespace {cluster.namespace!r}"
        click.echo(f"no Dags found {where}", err=True)
    else:
        columns = ["DAG", "SCHEDULE", "STATE", "ACTIVE", "LAST", "NEXT", "OWNER"]
        rows = [_row(dag) for dag in dags]
        if all_namespaces:
            columns = ["NAMESPACE", *columns]
            rows = [[dag["metadata"]["namespace"], *row] for dag, row in zip(dags, rows, strict=True)]
        print_table(columns, rows)
        overdue = [dag["metadata"]["name"] for dag in dags if _is_overdue(dag)]
        if overdue:
            shown = ", ".join(overdue[:_MOST_NAMED]) + (" and others" if len(overdue) > _MOST_NAMED else "")
            click.echo(f"the next run of {shown} is overdue; is the controller running?", err=True)


def _is_overdue(dag: dict[str, Any]) -> bool:
    """True if the next run is late and no active run can be the cause."""
    status = dag.get("status") or {}
    due = progress.moment(status.get("nextScheduleTime"))
    waits = dag["spec"].get("suspend") or status.get("activeRuns")
    return bool(due and not waits and datetime.now(UTC) - due > _OVERDUE)


def _row(dag: dict[str, Any]) -> list[str]:
    spec, status = dag["spec"], dag.get("status") or {}
    accepted = next((each for each in status.get("conditions") or () if each["type"] == "Accepted"), None)
    state = "paused" if spec.get("suspend") else "ready"
    if spec.get("suspend") and any(each["reason"] == "TooManyFailedRuns" for each in status.get("conditions") or ()):
        state = "paused (TooManyFailedRuns)"
    if accepted is None:
        state = "not reconciled yet"
    elif accepted["status"] != "True":
        state = f"not accepted ({accepted['reason']})"
    elif _is_overdue(dag):
        state = "overdue"
    return [
        dag["metadata"]["name"],
        str(status.get("schedule") or spec.get("schedule") or "-"),
        state,
        str(status.get("activeRuns") or 0),
        str(status.get("lastRunPhase") or "-"),
        str(status.get("nextScheduleTime") or "-"),
        str(spec.get("owner") or "-"),
    ]
