"""`tradewind backfill create`: create a Backfill, or list the runs it would create."""

import itertools
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

import click

from tradewind.api import API_VERSION
from tradewind.api.backfill import BackfillSpec
from tradewind.api.dag import DagSpec
from tradewind.api.names import MAX_LABEL
from tradewind.api.times import format_time, parse_time
from tradewind.api.validation import Problem, validate_backfill
from tradewind.api.validation.shape import parse
from tradewind.cli.cluster import completions
from tradewind.cli.cluster.backfill.progress import follow_backfill, summary
from tradewind.cli.cluster.client import Cluster, lazy_cluster_options
from tradewind.cli.dag_files import read_dag_files
from tradewind.cli.errors import EXIT_FAILED, CliError
from tradewind.cli.inputs import parse_moment, parse_params, zone_of
from tradewind.cli.output import Format, local_time, output_option, print_data, print_table
from tradewind.engine.schedule.backfill import (
    ExistingRun,
    Step,
    check_ticks,
    outline,
    outlook,
    pinned,
    ticks_in,
    unpinned,
)
from tradewind.engine.timetables import Tick

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DAY = timedelta(days=1)
_JUST_AFTER = timedelta(microseconds=1)
_GENERATED = "-x7k2p"
"""As long as the suffix that the API server adds to a generateName."""
_OPTIONS = {"spec.dag": "DAG", "spec.from": "--from", "spec.to": "--to", "spec.reverse": "--reverse"}


@click.command()
@click.argument("dag", required=False, shell_complete=completions.dags)
@click.option("--from", "start", required=True, metavar="TIME", help="Start of the time span, inclusive.")
@click.option("--to", "end", required=True, metavar="TIME", help="End of the time span, inclusive.")
@click.option(
    "--reprocess",
    type=click.Choice(["None", "Failed", "Completed"], case_sensitive=False),
    default="None",
    show_default=True,
    help="Which existing runs to run again.",
)
@click.option(
    "--max-active-runs",
    type=click.IntRange(1, 1000),
    default=10,
    show_default=True,
    help="Maximum of active runs.",
)
@click.option("--reverse", is_flag=True, help="Start with the newest run.")
@click.option("-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="Value of a param. Can be repeated.")
@click.option("--name", help="Name of the Backfill. Default: the Dag's name with a random suffix.")
@click.option("--dry-run", is_flag=True, help="Create nothing; list the ticks, and what would happen for each.")
@click.option(
    "-f", "--filename", "files", multiple=True, metavar="FILE", help="With --dry-run: read the Dag from a file."
)
@click.option("--wait", is_flag=True, help="Wait until the Backfill finishes; exit 1 if a run failed.")
@click.option("--follow", is_flag=True, help="Like --wait, and print the progress.")
@lazy_cluster_options
@output_option("table", "json", "yaml")
@click.pass_context
def create(
    context: click.Context,
    connect: Callable[[], Cluster],
    dag: str | None,
    start: str,
    end: str,
    reprocess: str,
    max_active_runs: int,
    reverse: bool,
    params: tuple[str, ...],
    name: str | None,
    dry_run: bool,
    files: tuple[str, ...],
    wait: bool,
    follow: bool,
    output: Format,
) -> None:
    """Create runs of a Dag for past ticks of its schedule.

    TIME is 2026-01-31 (midnight) or 2026-01-31T06:00; without an offset it is in the time zone of the Dag. Prints the
    name of the Backfill. Exits 0 if it was created or, with --wait or --follow, if all its runs succeeded; 1 if a run
    failed; 2 if the Backfill is invalid.
    """
    if files:
        if not dry_run:
            raise CliError("-f needs --dry-run: a Backfill uses the Dag on the cluster")
        dag, dag_spec, created_at = _dag_of_files(files, dag, start)
        runs: list[dict[str, Any]] = []
        cluster = None
    else:
        if dag is None:
            raise CliError("name the Dag: tradewind backfill create DAG --from TIME --to TIME")
        cluster = connect()
        dag_spec, created_at = _dag_on(cluster, dag)
        runs = cluster.list_all("DagRun", fields=f"spec.dag={dag}") if dry_run else []
    manifest = {
        "apiVersion": API_VERSION,
        "kind": "Backfill",
        "metadata": {"name": name} if name else {"generateName": f"{dag[: MAX_LABEL - len(_GENERATED)]}-"},
        "spec": _spec(dag, dag_spec, start, end, params)
        | {"reprocess": reprocess, "maxActiveRuns": max_active_runs, "reverse": reverse},
    }
    spec, ticks = _check(manifest, dag_spec, created_at)
    _note_last_day(dag_spec, created_at, spec, end)
    if cluster is None or dry_run:
        _print_outline(dag, outline(dag, spec, ticks, _existing(runs).get), zone_of(dag_spec), output)
        return
    created = cluster.create("Backfill", manifest)
    name = str(created["metadata"]["name"])
    if output == "table":
        click.echo(name)
    if wait or follow:
        created = follow_backfill(cluster, name, quiet=not follow)
        click.echo(summary(created), err=output != "table")
    if output != "table":
        print_data(created, output)
    if (wait or follow) and created["status"]["phase"] != "Succeeded":
        context.exit(EXIT_FAILED)


def _dag_of_files(files: Sequence[str], name: str | None, start: str) -> tuple[str, DagSpec, datetime]:
    """Return the Dag in the files. Its creation time is --from, since `every` counts from there."""
    dags = read_dag_files(files, name).dags
    if len(dags) > 1:
        raise CliError(f"several Dags in {', '.join(files)}: name one of {', '.join(dags)}")
    [(found, dag)] = dags.items()
    return found, dag.spec, parse_moment(start, zone_of(dag.spec))


def _dag_on(cluster: Cluster, name: str) -> tuple[DagSpec, datetime]:
    """Return the Dag on the cluster and its creation time. Raises CliError if it is not accepted."""
    found = cluster.get("Dag", name)
    for condition in (found.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Accepted" and condition["status"] == "False":
            raise CliError(f"Dag {name!r} is not accepted: {condition['message']}")
    spec, problems = parse(DagSpec, found["spec"])
    if spec is None:
        raise CliError("\n       ".join(f"Dag {name!r}: spec.{problem}" for problem in problems))
    return spec, parse_time(found["metadata"].get("creationTimestamp")) or datetime.now(UTC)


def _spec(dag: str, dag_spec: DagSpec, start: str, end: str, params: Sequence[str]) -> dict[str, Any]:
    zone = zone_of(dag_spec)
    spec: dict[str, Any] = {
        "dag": dag,
        "from": format_time(parse_moment(start, zone)),
        "to": format_time(parse_moment(end, zone)),
    }
    given = parse_params(params, dag_spec.params or {})
    return spec | ({"params": given} if given else {})


def _check(manifest: dict[str, Any], dag: DagSpec, created_at: datetime) -> tuple[BackfillSpec, list[Tick]]:
    """Return the Backfill and its ticks. Raises CliError that lists all problems, in terms of the options."""
    backfill, problems = validate_backfill(manifest, dag, now=datetime.now(UTC))
    ticks: list[Tick] = []
    if backfill is not None and not problems:
        pinned_dag = pinned(dag, created_at)
        ticks = list(ticks_in(unpinned(pinned_dag), backfill.spec))
        problems = check_ticks(ticks, backfill.spec, pinned_dag)
    if backfill is None or problems:
        raise CliError("\n       ".join(map(_in_options, problems)))
    return backfill.spec, ticks


def _in_options(problem: Problem) -> str:
    if problem.field.startswith("spec.params."):
        return f"--param {problem.field.removeprefix('spec.params.')}: {problem.message}"
    option = _OPTIONS.get(problem.field, "" if problem.field == "spec" else problem.field)
    return f"{option}: {problem.message}" if option else problem.message


def _existing(runs: Sequence[dict[str, Any]]) -> dict[str, ExistingRun]:
    return {run["metadata"]["name"]: ExistingRun((run.get("status") or {}).get("phase") or "Queued") for run in runs}


def _print_outline(dag: str, steps: Sequence[Step], zone: tzinfo, output: Format) -> None:
    if output != "table":
        actions = [step.action.value for step in steps]
        counts = {action.lower(): actions.count(action) for action in ("Create", "Rerun", "Skip")}
        numbers = {"total": len(steps), **counts}
        print_data({"dag": dag, **numbers, "ticks": [step.to_dict() for step in steps]}, output)
        return
    columns = ["LOGICAL DATE", "RUN", "ACTION", "REASON"]
    rows = [[format_time(step.tick.logical_date), step.run, step.action.value, step.reason] for step in steps]
    if str(zone) != "UTC":
        columns.insert(0, str(zone).upper())
        rows = [[local_time(step.tick.logical_date, zone), *row] for step, row in zip(steps, rows, strict=True)]
    print_table(columns, rows)
    click.echo(f"{_span(steps, zone)}: {outlook(steps)}", err=True)


def _span(steps: Sequence[Step], zone: tzinfo) -> str:
    """Return the number of ticks, and their days."""
    days = sorted({step.tick.logical_date.astimezone(zone).date() for step in steps})
    ticks = f"{len(steps)} tick{'' if len(steps) == 1 else 's'}"
    if len(days) == 1:
        return f"{ticks} on {days[0]}"
    return f"{ticks} on {len(days)} days, from {days[0]} to {days[-1]}"


def _note_last_day(dag: DagSpec, created_at: datetime, spec: BackfillSpec, end: str) -> None:
    """Print a note if --to is a date, which means its midnight, and the ticks of that day are excluded."""
    if not _DATE.fullmatch(end) or spec.to + _DAY > datetime.now(UTC):
        return
    rest = spec.model_copy(update={"from_": spec.to + _JUST_AFTER, "to": spec.to + _DAY})
    excluded = list(itertools.islice(ticks_in(unpinned(pinned(dag, created_at)), rest), 2))
    if excluded and excluded[0].logical_date < spec.to + _DAY:
        following = date.fromisoformat(end) + _DAY
        click.echo(
            f"note: --to {end} is midnight, so ticks later on that day are excluded; --to {following} includes them",
            err=True,
        )
