"""`tradewind backfill delete`."""

import click

from tradewind.cli.cluster import completions
from tradewind.cli.cluster.client import Cluster, cluster_options


@click.command()
@click.argument("backfill", shell_complete=completions.backfills)
@cluster_options
def delete(cluster: Cluster, backfill: str) -> None:
    """Delete a Backfill: it creates no more runs; runs that have started continue."""
    cluster.delete("Backfill", backfill)
    click.echo(f"{backfill} is deleted; runs that have started continue")
