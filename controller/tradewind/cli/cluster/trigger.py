"""`tradewind trigger`: create a DagRun, and optionally follow it."""

from typing import Any

import click

from tradewind.api import API_VERSION
from tradewind.api.ownership import metadata_of_run
from tradewind.api.times import format_time
from tradewind.api.validation.params import check_params
from tradewind.cli.cluster import completions, progress
from tradewind.cli.cluster.client import Cluster, cluster_options
from tradewind.cli.errors import EXIT_FAILED, CliError
from tradewind.cli.given_runs import data_interval_option
from tradewind.cli.inputs import parse_interval, parse_moment, parse_params, zone_of
from tradewind.cli.output import Format, output_option, print_data


@click.command()
@click.argument("dag", shell_complete=completions.dags)
@click.option("-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="Value of a param. Can be repeated.")
@click.option(
    "--logical-date",
    metavar="TIME",
    help="Logical date of the run, e.g. 2026-01-31T06:00:00Z; without an offset in the Dag's time zone. Default: now.",
)
@data_interval_option
@click.option("--wait", is_flag=True, help="Wait until the run finishes; exit 1 if it failed.")
@click.option("-f", "--follow", is_flag=True, help="Like --wait, and print the progress.")
@cluster_options
@output_option("table", "json", "yaml")
@click.pass_context
def trigger(
    context: click.Context,
    cluster: Cluster,
    dag: str,
    params: tuple[str, ...],
    logical_date: str | None,
    data_interval: str | None,
    wait: bool,
    follow: bool,
    output: Format,
) -> None:
    """Start a run of a Dag now.

    Prints the name of the run. Exits 0 if the run was created or, with --wait or --follow, succeeded; 1 if it failed; 2
    if the Dag does not exist or a param is invalid.
    """
    found = cluster.get("Dag", dag)
    spec = _run_spec(found, params, logical_date, data_interval)
    # With its labels and owner the run needs no further write of the controller.
    metadata = {"generateName": f"{dag}-", **metadata_of_run(cluster.namespace, dag, found["metadata"]["uid"])}
    manifest = {"apiVersion": API_VERSION, "kind": "DagRun", "metadata": metadata, "spec": spec}
    run = cluster.create("DagRun", manifest)
    name = run["metadata"]["name"]
    if output == "table":
        click.echo(name)
    if wait or follow:
        run = progress.follow(cluster, name, quiet=not follow)
        click.echo(progress.summary(run), err=output != "table")
    if output != "table":
        print_data(run, output)
    if (wait or follow) and run["status"]["phase"] != "Succeeded":
        context.exit(EXIT_FAILED)


def _run_spec(
    dag: dict[str, Any], texts: tuple[str, ...], logical_date: str | None, data_interval: str | None
) -> dict[str, Any]:
    """Return the spec of the new DagRun. Raises CliError for a Dag that is not accepted and for invalid params."""
    name = dag["metadata"]["name"]
    for condition in (dag.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Accepted" and condition["status"] == "False":
            raise CliError(f"Dag {name!r} is not accepted: {condition['message']}")
    schemas = dag["spec"].get("params") or {}
    given = parse_params(texts, schemas)
    problems = check_params(schemas, given)
    if problems:
        listed = [f"--param {problem.field.removeprefix('spec.params.')}: {problem.message}" for problem in problems]
        raise CliError("\n       ".join(listed))
    spec: dict[str, Any] = {"dag": name}
    zone = zone_of(dag["spec"])
    if logical_date:
        spec["logicalDate"] = format_time(parse_moment(logical_date, zone))
    if data_interval:
        start, end = parse_interval(data_interval, zone)
        spec["dataInterval"] = {"start": format_time(start), "end": format_time(end)}
    if given:
        spec["params"] = given
    return spec
