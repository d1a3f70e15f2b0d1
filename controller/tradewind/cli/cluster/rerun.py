"""`tradewind rerun`: run tasks of a run again."""

import click

from tradewind.cli.cluster import completions, progress
from tradewind.cli.cluster.client import Cluster, cluster_options
from tradewind.cli.cluster.request_command import print_run, request_options, send, task_options
from tradewind.cli.errors import EXIT_FAILED, CliError
from tradewind.cli.output import Format, output_option


@click.command()
@click.argument("run", shell_complete=completions.runs)
@task_options
@click.option("--latest", is_flag=True, help="Use the current Dag instead of the one that the run started with.")
@request_options
@click.option("--wait", is_flag=True, help="Wait until the run finishes; exit 1 if it failed.")
@click.option("-f", "--follow", is_flag=True, help="Like --wait, and print the progress.")
@cluster_options
@output_option("table", "json", "yaml")
@click.pass_context
def rerun(
    context: click.Context,
    cluster: Cluster,
    run: str,
    tasks: tuple[str, ...],
    only_failed: bool,
    upstream: bool,
    downstream: bool,
    latest: bool,
    message: str | None,
    dry_run: bool,
    no_wait: bool,
    wait: bool,
    follow: bool,
    output: Format,
) -> None:
    """Run tasks of a run again, before or after the run finishes.

    TASK is a task, a group, or `task[3]` for one instance of a mapped task. Default: all tasks. Earlier tries are kept,
    and each task gets its full number of retries again. Exits 0 if the request was applied or, with --wait or --follow,
    if the run then succeeded; 1 if it was rejected, or the run failed; 2 if it is invalid.
    """
    fields = {
        "type": "Rerun",
        "tasks": list(dict.fromkeys(tasks)),
        "onlyFailed": only_failed,
        "upstream": upstream,
        "downstream": downstream,
        "revision": "Latest" if latest else None,
        "message": message,
    }
    if no_wait and (wait or follow):
        raise CliError("--no-wait cannot be combined with --wait or --follow")
    before, found = send(context, cluster, run, fields, dry_run=dry_run, no_wait=no_wait, output=output)
    if wait or follow:
        found = progress.follow(cluster, run, quiet=not follow, since=before)
        click.echo(progress.summary(found), err=output != "table")
    print_run(found, output)
    if (wait or follow) and found["status"]["phase"] != "Succeeded":
        context.exit(EXIT_FAILED)
