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
@click.option("--wait", is_flag=True, help="Wait until the run finishes, which is after its teardowns.")
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
    """Stop a run: its Pods are stopped, and its unfinished tasks are skipped.

    Teardowns of successful setups still run; a second stop stops them too. Exits 0 if the request was applied, 1 if it
    was rejected, 2 if it is invalid.
    """
    if no_wait and wait:
        raise CliError("--no-wait cannot be combined with --wait")
    fields = {"type": "Stop", "message": message}
    _, found = send(context, cluster, run, fields, dry_run=dry_run, no_wait=no_wait, output=output)
    if wait:
        found = progress.follow(cluster, run, quiet=True)
        click.echo(progress.summary(found), err=output != "table")
    print_run(found, output)
