"""`tradewind backfill resume`."""

import click

from tradewind.cli.cluster import completions
from tradewind.cli.cluster.client import Cluster, cluster_options


@click.command()
@click.argument("backfill", shell_complete=completions.backfills)
@cluster_options
def resume(cluster: Cluster, backfill: str) -> None:
    """Resume a paused Backfill."""
    cluster.patch("Backfill", backfill, {"spec": {"suspend": False}})
    click.echo(f"{backfill} is resumed")
