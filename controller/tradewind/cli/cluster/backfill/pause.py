"""`tradewind backfill pause`."""

import click

from tradewind.cli.cluster import completions
from tradewind.cli.cluster.client import Cluster, cluster_options


@click.command()
@click.argument("backfill", shell_complete=completions.backfills)
@cluster_options
def pause(cluster: Cluster, backfill: str) -> None:
    """Pause a Backfill: it creates no more runs; existing runs continue."""
    cluster.patch("Backfill", backfill, {"spec": {"suspend": True}})
    click.echo(f"{backfill} is paused")
