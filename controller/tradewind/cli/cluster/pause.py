"""`tradewind pause` and `resume`: the schedule of a Dag, or one run."""

from typing import Any

import click

from tradewind.cli.cluster import completions
from tradewind.cli.cluster.client import Cluster, NotFoundError, cluster_options
from tradewind.cli.errors import CliError

_DAGS = ("dag", "dags")
_RUNS = ("dagrun", "dagruns", "dr", "run", "runs")
_FINISHED = ("Succeeded", "Failed")


@click.command()
@click.argument("target", metavar="DAG|dagrun/RUN", shell_complete=completions.dags_and_runs)
@cluster_options
def pause(cluster: Cluster, target: str) -> None:
    """Hold back the scheduled runs of a Dag, or the tasks of one run.

    What has started goes on. A Dag that is paused can still be triggered.
    """
    kind, name = _kind_of(target)
    found = _suspend(cluster, kind, name, "pause", suspend=True)
    if kind == "Dag":
        click.echo(f"{name} is paused")
    elif _has_ended(found):
        click.echo(f"{name} has ended: when it is run again, it is paused")
    else:
        click.echo(f"{name} is paused: what runs of it goes on, nothing else starts")


@click.command()
@click.argument("target", metavar="DAG|dagrun/RUN", shell_complete=completions.dags_and_runs)
@cluster_options
def resume(cluster: Cluster, target: str) -> None:
    """Let a paused Dag run by its schedule again, or a paused run go on.

    The `catchup` of a Dag decides about the runs that were missed.
    """
    kind, name = _kind_of(target)
    # Taken out, not set to false: as if nobody had ever paused it.
    found = _suspend(cluster, kind, name, "resume", suspend=None)
    if kind == "Dag" and (found["spec"].get("schedule") or found["spec"].get("schedules")):
        click.echo(f"{name} runs by its schedule again")
    elif kind == "Dag":
        click.echo(f"{name} is not paused any more; it has no schedule, so it runs when it is triggered")
    elif _has_ended(found):
        click.echo(f"{name} is not paused any more; it has ended")
    else:
        click.echo(f"{name} goes on")


def _has_ended(run: dict[str, Any]) -> bool:
    return (run.get("status") or {}).get("phase") in _FINISHED


def _kind_of(target: str) -> tuple[str, str]:
    """`("DagRun", "r")` of `dagrun/r`, as `kubectl get -o name` writes it too."""
    written, slash, name = target.rpartition("/")
    kind = written.lower().removesuffix(".tradewind.dev")
    if not slash or kind in _DAGS:
        return "Dag", name
    if kind in _RUNS and name:
        return "DagRun", name
    raise CliError(f"{target!r} is neither a Dag nor a run: write DAG, or dagrun/RUN")


def _suspend(cluster: Cluster, kind: str, name: str, verb: str, *, suspend: bool | None) -> dict[str, Any]:
    try:
        return cluster.patch(kind, name, {"spec": {"suspend": suspend}})
    except NotFoundError as error:
        if kind != "Dag":
            raise
        try:
            cluster.get("DagRun", name)
        except CliError:
            raise error from None
        raise CliError(f"{error.message}, but a run: tradewind {verb} dagrun/{name}") from None
