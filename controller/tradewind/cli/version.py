"""`tradewind version`: the version of this program and of its API."""

import platform
from importlib.metadata import version as version_of

import click

from tradewind.api import API_VERSION
from tradewind.cli.output import Format, output_option, print_data


@click.command()
@output_option("table", "json", "yaml")
def version(output: Format) -> None:
    """Print the version of tradewind and of its API."""
    facts = {"version": version_of("tradewind"), "apiVersion": API_VERSION, "python": platform.python_version()}
    if output != "table":
        print_data(facts, output)
        return
    click.echo(f"tradewind {facts['version']} ({facts['apiVersion']}, Python {facts['python']})")
