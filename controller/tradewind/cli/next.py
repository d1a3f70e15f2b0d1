"""`tradewind next`: the next runs of a schedule, computed without a cluster."""

from datetime import UTC, datetime
from itertools import islice

import click
from croniter import CroniterError

from tradewind.api.times import format_time
from tradewind.cli.dag_files import dag_file_options, read_dag_files
from tradewind.cli.errors import CliError
from tradewind.cli.inputs import parse_moment, zone_of
from tradewind.cli.output import Format, local_time, output_option, print_data, print_table
from tradewind.engine.schedule.due import upcoming
from tradewind.engine.timetables import Tick

MOST = 100_000


@click.command("next")
@dag_file_options
@click.option("--after", metavar="TIME", help="Show runs after this time, e.g. 2026-01-31T06:00:00Z. Default: now.")
@click.option("--count", type=click.IntRange(0, MOST), default=5, show_default=True, help="Number of runs.")
@output_option("table", "json", "yaml")
def next_runs(
    files: tuple[str, ...], recursive: bool, dag_name: str | None, after: str | None, count: int, output: Format
) -> None:
    """Show the next scheduled runs of a Dag.

    Times are in UTC; for a Dag in another time zone the first column has the local time. A TIME without an offset is in
    the time zone of the Dag.

    startDate, endDate and timeZone apply as on a cluster; suspend and existing runs are ignored. A Dag without
    startDate counts as created at the time of --after. For @continuous only one run is known: it starts at --after, as
    if the previous run finished then.

    With several Dags, JSON and YAML output is an object with the list of each Dag under its name.
    """
    dags = read_dag_files(files, dag_name, recursive=recursive).dags
    now = datetime.now(UTC).replace(microsecond=0)
    zones = {name: zone_of(dag.spec) for name, dag in dags.items()}
    begin = {name: parse_moment(after, zone) if after else now for name, zone in zones.items()}
    try:
        ticks = {name: list(islice(upcoming(dag.spec, begin[name]), count)) for name, dag in dags.items()}
    except (OverflowError, CroniterError) as error:
        raise CliError(f"--after {after}: out of range; years are 1 to 9999") from error
    if output != "table":
        found = {name: [_run(tick) for tick in its_ticks] for name, its_ticks in ticks.items()}
        print_data(found if len(found) > 1 else next(iter(found.values())), output)
        return
    columns = ["LOGICAL DATE", "DATA INTERVAL START", "DATA INTERVAL END", "RUN AFTER"]
    rows = [[name, *_run(tick).values()] for name, its_ticks in ticks.items() for tick in its_ticks]
    named = {str(zone) for name, zone in zones.items() if ticks[name]}
    if named - {"UTC"}:
        columns.insert(0, named.pop().upper() if len(named) == 1 else "LOCAL TIME")
        moments = [local_time(tick.logical_date, zones[name]) for name in ticks for tick in ticks[name]]
        rows = [[row[0], moment, *row[1:]] for row, moment in zip(rows, moments, strict=True)]
    for name in [name for name, its_ticks in ticks.items() if not its_ticks]:
        why = "no schedule" if not dags[name].spec.all_schedules else "no more scheduled runs"
        click.echo(f"{name} has {why}", err=True)
    if len(dags) == 1:
        rows = [row[1:] for row in rows]
    else:
        columns = ["DAG", *columns]
    if rows:
        print_table(columns, rows)


def _run(tick: Tick) -> dict[str, str]:
    date = format_time(tick.logical_date)
    return {
        "logicalDate": date,
        "dataIntervalStart": format_time(tick.interval_start),
        "dataIntervalEnd": date,
        "runAfter": date,
    }
