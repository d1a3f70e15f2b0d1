"""`tradewind pause`: hold back the schedule of a Dag, or one run."""

import click

from tradewind.cli.cluster import completions
from tradewind.cli.cluster.client import Cluster, cluster_options
from tradewind.cli.cluster.suspend import is_finished, kind_of, set_suspend


@click.command()
@click.argument("target", metavar="DAG|dagrun/RUN", shell_complete=completions.dags_and_runs)
@cluster_options
def pause(cluster: Cluster, target: str) -> None:
    """Hold back the scheduled runs of a Dag, or the tasks of one run.

    What has started goes on. A Dag that is paused can still be triggered.
    """
    kind, name = kind_of(target)
    found = set_suspend(cluster, kind, name, "pause", suspend=True)
    if kind == "Dag":
        click.echo(f"{name} is paused")
    elif is_finished(found):
        click.echo(f"{name} has ended: when it is run again, it is paused")
    else:
        click.echo(f"{name} is paused: what runs of it goes on, nothing else starts")
