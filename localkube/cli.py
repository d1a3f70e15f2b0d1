"""The command line: `python -m localkube COMMAND --name NAME`."""

from typing import cast

import click

from localkube.cluster import Cluster
from localkube.errors import LocalkubeError
from localkube.layout import PROFILES, Profile

_name = click.option("--name", default="tradewind", show_default=True, help="The cluster's name.")
_profile = click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default="real",
    show_default=True,
    help="real: containers on one node (needs root). kwok: fake nodes, nothing is executed.",
)


class _Group(click.Group):
    """Shows a LocalkubeError as a message instead of a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except LocalkubeError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """A local Kubernetes cluster without a registry, and without Docker if there is none.

    Clusters live in $LOCALKUBE_HOME (~/.local/state/localkube), programs and
    images are cached in $LOCALKUBE_CACHE (~/.cache/localkube). The first `up`
    builds Kubernetes from source, which takes minutes; later ones take seconds.
    """


@main.command()
@_name
@_profile
@click.option("--nodes", default=1, show_default=True, help="Number of fake nodes (profile kwok).")
def up(name: str, profile: str, nodes: int) -> None:
    """Bring a cluster up, unless it is up already."""
    Cluster(name, profile=cast(Profile, profile), nodes=nodes).up()


@main.command()
@_name
@_profile
def down(name: str, profile: str) -> None:
    """Take a cluster down; its data, processes, network and mounts go with it."""
    Cluster(name, profile=cast(Profile, profile)).down()


@main.command()
@_name
def kubeconfig(name: str) -> None:
    """Print the path of a cluster's kubeconfig: export KUBECONFIG=$(… kubeconfig)."""
    path = Cluster(name).kubeconfig
    if not path.exists():
        raise LocalkubeError(f"there is no cluster {name!r}; `up` makes one")
    click.echo(path)


if __name__ == "__main__":
    main()
