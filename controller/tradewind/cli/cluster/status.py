"""`tradewind status`: a run, task by task."""

import json

import click

from tradewind.cli.cluster import completions, progress
from tradewind.cli.cluster.client import Cluster, NotFoundError, cluster_options
from tradewind.cli.cluster.requests import as_command, record_row
from tradewind.cli.errors import CliError
from tradewind.cli.output import Format, output_option, print_data, print_table

_MOST_REQUESTS = 10


@click.command()
@click.argument("run", shell_complete=completions.runs)
@click.option("-f", "--follow", is_flag=True, help="Wait until the run finishes, and print the progress.")
@cluster_options
@output_option("table", "json", "yaml")
def status(cluster: Cluster, run: str, follow: bool, output: Format) -> None:
    """Show a run and each of its tasks."""
    try:
        found = progress.follow(cluster, run) if follow else cluster.get("DagRun", run)
    except NotFoundError as error:
        raise CliError(f"{error.message}{_newest_run(cluster, run)}") from None
    if output != "table":
        print_data(found, output)
        return
    state = found.get("status") or {}
    click.echo(f"{found['metadata']['name']} (Dag {found['spec']['dag']}): {progress.summary(found)}")
    pending = found["spec"].get("request")
    paused = found["spec"].get("suspend")
    facts = {
        "paused": f"no new tasks start until `tradewind resume dagrun/{run}`" if paused else None,
        "request": f"{as_command(pending)} (pending)" if pending else None,
        "logical date": state.get("logicalDate"),
        "params": json.dumps(state["params"], ensure_ascii=False) if state.get("params") else None,
        "started": state.get("startedAt"),
        "finished": state.get("finishedAt"),
    }
    for name, value in facts.items():
        if value:
            click.echo(f"  {name:13} {value}")
    if state.get("tasks"):
        click.echo()
        print_table(
            ["TASK", "STATE", "TRY", "DURATION", "MESSAGE"],
            [row for task in state["tasks"] for row in progress.task_rows(task)],
        )
    requests = state.get("requests") or ()
    if requests:
        click.echo()
        latest = [record_row(each) for each in requests[-_MOST_REQUESTS:]]
        print_table(["REQUEST", "BY", "TIME", "RESULT", "MESSAGE"], latest)
    if len(requests) > _MOST_REQUESTS:
        click.echo(f"and {len(requests) - _MOST_REQUESTS} earlier requests; see -o yaml")


def _newest_run(cluster: Cluster, dag: str) -> str:
    """Return a hint for the user who gave the name of a Dag instead of a run."""
    try:
        cluster.get("Dag", dag)
        runs = cluster.list_all("DagRun", fields=f"spec.dag={dag}")
    except CliError:
        return ""
    newest = max(runs, key=lambda run: str(run["metadata"].get("creationTimestamp")), default=None)
    if newest is None:
        return f"; {dag!r} is a Dag without runs: tradewind trigger {dag}"
    return f"; {dag!r} is a Dag; its newest run: tradewind status {newest['metadata']['name']}"
