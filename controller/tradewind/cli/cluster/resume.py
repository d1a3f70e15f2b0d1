"""`tradewind resume`: the counterpart of `tradewind pause`."""

import click

from tradewind.cli.cluster import completions
from tradewind.cli.cluster.client import Cluster, cluster_options
from tradewind.cli.cluster.suspend import is_finished, kind_of, set_suspend


@click.command()
@click.argument("target", metavar="DAG|dagrun/RUN", shell_complete=completions.dags_and_runs)
@cluster_options
def resume(cluster: Cluster, target: str) -> None:
    """Resume the schedule of a paused Dag, or a paused run.

    The field `catchup` of a Dag decides if missed runs are created.
    """
    kind, name = kind_of(target)
    # Remove the field instead of setting it to false, so that the object is as before the pause.
    found = set_suspend(cluster, kind, name, "resume", suspend=None)
    if kind == "Dag" and (found["spec"].get("schedule") or found["spec"].get("schedules")):
        click.echo(f"{name} is resumed")
    elif kind == "Dag":
        click.echo(f"{name} is resumed; it has no schedule, so it runs only when triggered")
    elif is_finished(found):
        click.echo(f"{name} is resumed; it has finished")
    else:
        click.echo(f"{name} is resumed")
