"""The command line: `python -m localkube COMMAND --name NAME`."""

from pathlib import Path
from typing import cast

import click

from localkube import images, python_image, tools
from localkube.build import build_project
from localkube.cluster import Cluster
from localkube.errors import LocalkubeError
from localkube.layout import PROFILES, Profile
from localkube.progress import Progress

_name = click.option("--name", default="tradewind", show_default=True, help="The cluster's name.")
_profile = click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default="real",
    show_default=True,
    help="real: containers on one node (needs root). kwok: fake nodes, nothing is executed.",
)
_path = click.Path(path_type=Path)


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
    """Start a cluster, unless it is running."""
    Cluster(name, profile=cast(Profile, profile), nodes=nodes).up()


@main.command()
@_name
@click.option("--force", is_flag=True, help="Also remove objects with this name that belong to no known cluster.")
def down(name: str, force: bool) -> None:
    """Delete a cluster with its data, processes, network and mounts."""
    Cluster(name).down(force=force)


@main.command()
@_name
def kubeconfig(name: str) -> None:
    """Print the path of a cluster's kubeconfig: export KUBECONFIG=$(… kubeconfig)."""
    path = Cluster(name).kubeconfig
    if not path.exists():
        raise LocalkubeError(f"no cluster named {name!r}; `up` creates it")
    click.echo(path)


@main.command()
@_name
def status(name: str) -> None:
    """Show a cluster's components, their health and its nodes; exit with 1 if one is unhealthy."""
    cluster = Cluster(name)
    found = cluster.status()
    if not found:
        raise LocalkubeError(f"no cluster named {name!r} whose components localkube runs")
    for component in found:
        health = "healthy" if component.healthy else "UNHEALTHY" if component.pid else "NOT RUNNING"
        click.echo(f"{component.name:<24} {health:<12} {component.pid or '-':>8}  {component.log}")
    for node, ready in cluster.nodes().items():
        click.echo(f"node {node:<19} {'Ready' if ready else 'NOT READY'}")
    click.echo(f"kubeconfig               {cluster.kubeconfig}")
    if not all(component.healthy for component in found):
        raise SystemExit(1)


@main.command("load-image")
@_name
@click.argument("image")
def load_image(name: str, image: str) -> None:
    """Load IMAGE into a cluster: an archive (x.tar), or `python` for the Python base image."""
    cluster = Cluster(name)
    if image == "python":
        cluster.ensure_python_image()
    else:
        cluster.load_image(Path(image).absolute())


@main.command("build-images")
def build_images() -> None:
    """Create the base images (pause, busybox, python) and print the paths of their archives."""
    progress = Progress()
    for archive in [*images.small_images(progress), python_image.ensure(progress)]:
        click.echo(archive)


@main.command("build-project")
@click.option("--file", "dockerfile", type=_path, default="Dockerfile", show_default=True, help="The Dockerfile.")
@click.option("--context", type=_path, default=".", show_default=True, help="The build context.")
@click.option("--tag", required=True, help="The image's name, e.g. tradewind:dev.")
@click.option("--output", type=_path, required=True, help="The archive to write, for load-image.")
def build(dockerfile: Path, context: Path, tag: str, output: Path) -> None:
    """Build a Dockerfile into an image archive, without Docker.

    FROM may name busybox or python:3.11-slim (the Python of this machine's Debian).
    """
    build_project(dockerfile.absolute(), context.absolute(), tag, output, Progress())


@main.command()
@click.argument("name", type=click.Choice(tools.NAMES))
def tool(name: str) -> None:
    """Print the path of a tool (kubectl, helm, …), built first if necessary."""
    click.echo(tools.ensure(name))


if __name__ == "__main__":
    main()
