"""`tradewind backfill status`: a Backfill and its progress."""

import click

from tradewind.cli.cluster import completions
from tradewind.cli.cluster.backfill.progress import follow_backfill, summary
from tradewind.cli.cluster.client import Cluster, cluster_options
from tradewind.cli.output import Format, output_option, print_data


@click.command()
@click.argument("backfill", shell_complete=completions.backfills)
@click.option("--follow", is_flag=True, help="Wait until the Backfill finishes, and print the progress.")
@cluster_options
@output_option("table", "json", "yaml")
def status(cluster: Cluster, backfill: str, follow: bool, output: Format) -> None:
    """Show a Backfill and its progress."""
    found = follow_backfill(cluster, backfill) if follow else cluster.get("Backfill", backfill)
    if output != "table":
        print_data(found, output)
        return
    spec, state = found["spec"], found.get("status") or {}
    click.echo(f"{found['metadata']['name']} (Dag {spec['dag']}): {summary(found)}")
    numbers = [
        f"{state[name]} {name}" for name in ("created", "active", "succeeded", "failed", "skipped") if name in state
    ]
    facts = {
        "from": spec["from"],
        "to": spec["to"],
        "ticks": state.get("total"),
        "runs": ", ".join(numbers),
        "started": state.get("startedAt"),
        "finished": state.get("finishedAt"),
        "failed": ", ".join(state.get("failedRuns") or ()),
    }
    for name, value in facts.items():
        if value:
            click.echo(f"  {name:9} {value}")
