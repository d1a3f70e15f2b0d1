"""`tradewind pause`: hold back the schedule of a Dag, or one run."""

import click

from tradewind.cli.cluster import completions
from tradewind.cli.cluster.client import Cluster, cluster_options
from tradewind.cli.cluster.suspend import is_finished, kind_of, set_suspend


@click.command()
@click.argument("target", metavar="DAG|dagrun/RUN", shell_complete=completions.dags_and_runs)
@cluster_options
def pause(cluster: Cluster, target: str) -> None:
    """Pause the schedule of a Dag, or one run.

    A paused Dag gets no scheduled runs, but can still be triggered. A paused run starts no new tasks. Active runs of
    the Dag and running tasks of the run continue.
    """
    kind, name = kind_of(target)
    found = set_suspend(cluster, kind, name, "pause", suspend=True)
    if kind == "Dag":
        click.echo(f"{name} is paused")
    elif is_finished(found):
        click.echo(f"{name} is paused; it has finished, so this applies when it is rerun")
    else:
        click.echo(f"{name} is paused: no new tasks start; running tasks continue")
