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
    """Set the state of tasks, or of a whole run.

    TASK is a task, a group, or `task[3]` for one instance of a mapped task. Without TASK, set the state of the run.
    Running tries of these tasks are stopped. Tasks that did not run because these tasks failed can then run. Exits 0 if
    the request was applied, 1 if it was rejected, 2 if it is invalid.
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
        raise CliError("--upstream and --downstream need a TASK")
    _, found = send(context, cluster, run, fields, dry_run=dry_run, no_wait=no_wait, output=output)
    print_run(found, output)
