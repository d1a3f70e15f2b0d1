"""`tradewind stop`: stop a run."""

import click

from tradewind.cli.cluster import completions, progress
from tradewind.cli.cluster.client import Cluster, cluster_options
from tradewind.cli.cluster.request_command import print_run, request_options, send
from tradewind.cli.errors import CliError
from tradewind.cli.output import Format, output_option


@click.command()
@click.argument("run", shell_complete=completions.runs)
@request_options
@click.option("--wait", is_flag=True, help="Wait for the end of the run: its teardowns still run.")
@cluster_options
@output_option("table", "json", "yaml")
@click.pass_context
def stop(
    context: click.Context,
    cluster: Cluster,
    run: str,
    message: str | None,
    dry_run: bool,
    no_wait: bool,
    wait: bool,
    output: Format,
) -> None:
    """End a run: its Pods are deleted, what has not begun is skipped.

    Teardowns of what was set up still run; asked a second time, they end too. Exits 0 when it was done, 1 when it was
    refused, 2 when it cannot be asked for.
    """
    if no_wait and wait:
        raise CliError("--no-wait does not go with --wait")
    fields = {"type": "Stop", "message": message}
    _, found = send(context, cluster, run, fields, dry_run=dry_run, no_wait=no_wait, output=output)
    if wait:
        found = progress.follow(cluster, run, quiet=True)
        click.echo(progress.summary(found), err=output != "table")
    print_run(found, output)
