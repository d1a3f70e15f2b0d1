"""`tradewind mark`: set the state of tasks, or of a run."""

import click

from tradewind.cli.cluster import completions
from tradewind.cli.cluster.client import Cluster, cluster_options
from tradewind.cli.cluster.request_command import print_run, request_options, send, task_options
from tradewind.cli.errors import CliError
from tradewind.cli.output import Format, output_option


@click.command()
@click.argument("run", shell_complete=completions.runs)
@task_options
@click.option(
    "--state",
    required=True,
    type=click.Choice(["Succeeded", "Failed", "Skipped"], case_sensitive=False),
    help="The state to set.",
)
@request_options
@cluster_options
@output_option("table", "json", "yaml")
@click.pass_context
def mark(
    context: click.Context,
    cluster: Cluster,
    run: str,
    tasks: tuple[str, ...],
    only_failed: bool,
    upstream: bool,
    downstream: bool,
    state: str,
    message: str | None,
    dry_run: bool,
    no_wait: bool,
    output: Format,
) -> None:
    """Set the state of tasks, or of a run as a whole.

    TASK is a task, a group, or `task[3]` for one instance of a mapped one; without any, the run as a whole is meant.
    What runs of them ends. What did not run because they failed gets its turn then. Exits 0 when it was done, 1 when it
    was refused, 2 when it cannot be asked for.
    """
    fields = {
        "type": "Mark",
        "tasks": list(dict.fromkeys(tasks)),
        "state": state,
        "onlyFailed": only_failed,
        "upstream": upstream,
        "downstream": downstream,
        "message": message,
    }
    if not tasks and (upstream or downstream):
        raise CliError("--upstream and --downstream need the name of a task")
    _, found = send(context, cluster, run, fields, dry_run=dry_run, no_wait=no_wait, output=output)
    print_run(found, output)
