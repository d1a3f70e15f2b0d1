"""`tradewind run`: read and validate the files, run the Dag, and print the result."""

import os
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from tradewind.api import API_VERSION
from tradewind.api.dag import Dag
from tradewind.api.duration import parse_duration
from tradewind.api.names import run_name
from tradewind.api.resolve import ResolvedDag, resolve
from tradewind.api.times import format_time
from tradewind.api.variables import Variables
from tradewind.cli import colours
from tradewind.cli.connections import Connections, read_connections
from tradewind.cli.dag_files import DagFiles, dag_file_options, read_dag_files
from tradewind.cli.documents import Document
from tradewind.cli.errors import EXIT_FAILED, EXIT_SIGNAL, NEXT_LINE, CliError
from tradewind.cli.given_runs import GivenRun, RunOptions, data_interval_option, report_ignored_fields, runs_to_create
from tradewind.cli.local import locks
from tradewind.cli.local.display import display_for
from tradewind.cli.local.environment import Environment, Sources
from tradewind.cli.local.folder import RunFolder, mark_killed
from tradewind.cli.local.runner import LocalRun
from tradewind.cli.local.screen import Screen
from tradewind.cli.output import Format, output_option, print_data
from tradewind.cli.variables import variables_option
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.run.state import RunState
from tradewind.engine.run.states import RunPhase
from tradewind.engine.schedule.due import max_active_runs
from tradewind.engine.scheduler import Scheduler
from tradewind.engine.status.run_status import run_status

_POLL_SECONDS = 0.2
"""Seconds between two attempts to get a slot of maxActiveRuns."""


@dataclass(frozen=True, slots=True)
class _Settings:
    """The settings of all runs of a command."""

    inputs: DagFiles
    sources: Sources
    connections: Connections
    folder: Path
    max_parallel: int
    logs: bool
    here: bool
    no_retries: bool
    retry_delay: timedelta | None

    def resolve(self, dag: Dag) -> ResolvedDag:
        """Return a Dag with the retries of these settings."""
        resolved = resolve(dag.spec)
        changes: dict[str, Any] = {"limit": 0} if self.no_retries else {}
        if self.retry_delay is not None:
            changes |= {"delay": self.retry_delay, "backoff": None}
        tasks = (replace(task, retries=replace(task.retries, **changes)) for task in resolved.tasks)
        return replace(resolved, tasks=tuple(tasks)) if changes else resolved


@click.command()
@dag_file_options
@click.option("-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="Value of a param. Can be repeated.")
@variables_option
@click.option(
    "--connections",
    "connections_file",
    type=click.Path(),
    metavar="FILE",
    help="Connections of tasks: Secrets, or {name: {KEY: value}}, in YAML or JSON. Connections that it does not have "
    "come from the environment: KEY of my-db is the variable MY_DB_KEY.",
)
@click.option(
    "--logical-date",
    metavar="TIME",
    help="Logical date of the run, e.g. 2026-01-31T06:00:00Z; without an offset in the Dag's time zone. Default: now.",
)
@data_interval_option
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".tradewind"),
    show_default=True,
    help="Folder for logs, status and volumes.",
)
@click.option("--here", is_flag=True, help="Run tasks in the current folder instead of an empty one for each try.")
@click.option("--no-retries", is_flag=True, help="Never retry, overriding the Dag.")
@click.option("--retry-delay", metavar="DURATION", help="Delay before each retry, e.g. 0s. Default: that of the Dag.")
@click.option(
    "--max-parallel", type=click.IntRange(1), metavar="N", help="Maximum of running tasks. Default: that of the Dag."
)
@click.option("--logs", is_flag=True, help="Print the log of each try when it finishes.")
@output_option("table", "json", "yaml")
@click.pass_context
def run(
    context: click.Context,
    files: tuple[str, ...],
    recursive: bool,
    params: tuple[str, ...],
    variables: tuple[str, ...],
    connections_file: str | None,
    logical_date: str | None,
    data_interval: str | None,
    dag_name: str | None,
    folder: Path,
    here: bool,
    no_retries: bool,
    retry_delay: str | None,
    max_parallel: int | None,
    logs: bool,
    output: Format,
) -> None:
    """Run a Dag on this machine, with the scheduler of the cluster and with tasks as local processes.

    Images are not used: a task's command or script runs with the programs of this machine, and `python3` is the Python
    that runs tradewind. Each try starts in an empty folder of its own. If its workingDir is in a volume, it starts
    there; volumes are folders under FOLDER/volumes. Pools in the files apply; ConfigMaps and Secrets in them are the
    sources of env, envFrom, variables and connections.

    A DagRun in the files sets params, logical date and data interval; several DagRuns run one after the other. The
    maxActiveRuns of a Dag applies to all its runs in the same FOLDER.

    Exits 0 if the run succeeded, 1 if it failed, 2 if a file or option is invalid, 130 if it was stopped by Ctrl-C (128
    plus the number of the signal).
    """
    inputs = _choose(read_dag_files(files, dag_name, variables, recursive=recursive))
    now = datetime.now(UTC).replace(microsecond=0)
    wanted = runs_to_create(inputs, RunOptions(params, logical_date, data_interval), now)
    sources = Sources.of(inputs.others)
    settings = _Settings(
        inputs=inputs,
        sources=sources,
        connections=read_connections(connections_file, sources.secrets),
        folder=folder,
        max_parallel=max_parallel or 0,
        logs=logs,
        here=here,
        no_retries=no_retries,
        retry_delay=_duration(retry_delay),
    )
    _check_connections(settings)
    report_ignored_fields(inputs)
    _finish_killed(folder)
    screen = Screen(sys.stderr if output != "table" else sys.stdout)
    local_runs: dict[str, LocalRun] = {}
    for each in wanted:
        local_runs[each.label] = local = _run(settings, each, screen, err=output != "table")
        if local.stopped_by is not None:
            break
    screen.finish()
    if output != "table":
        statuses = {label: run_status(local.state) for label, local in local_runs.items()}
        print_data(statuses if len(wanted) > 1 else next(iter(statuses.values())), output)
    context.exit(_exit_code(list(local_runs.values()), screen))


def _exit_code(local_runs: Sequence[LocalRun], screen: Screen) -> int:
    last = local_runs[-1]
    if last.stopped_by is not None:
        return EXIT_SIGNAL + last.stopped_by
    if any(local.state.phase is not RunPhase.SUCCEEDED for local in local_runs):
        return EXIT_FAILED
    return screen.exit_code


def _choose(inputs: DagFiles) -> DagFiles:
    """Select the Dags of the DagRuns. Raises CliError if there are several Dags but no DagRun."""
    if len(inputs.dags) == 1:
        return inputs
    named = {run.spec.dag for run in inputs.runs}
    if not named:
        names = ", ".join(inputs.dags)
        raise CliError(f"the files have {len(inputs.dags)} Dags ({names}): select one with --dag")
    return replace(inputs, dags={name: dag for name, dag in inputs.dags.items() if name in named})


def _check_connections(settings: _Settings) -> None:
    missing = [
        str(finding)
        for name, dag in settings.inputs.dags.items()
        for finding in settings.connections.missing(settings.inputs.documents[name], resolve(dag.spec), os.environ)
    ]
    if missing:
        raise CliError(NEXT_LINE.join(missing))


def _duration(text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise CliError(f"--retry-delay {text}: {error}") from error


def _finish_killed(folder: Path) -> None:
    """Mark runs as Failed whose process was killed before it could write their final status."""
    with suppress(OSError):
        for name in mark_killed(folder):
            click.echo(f"note: the process of {name} was killed while it was running; it is Failed now", err=True)


def _run(settings: _Settings, given: GivenRun, screen: Screen, *, err: bool) -> LocalRun:
    """Execute one run."""
    dag = settings.inputs.dags[given.dag]
    namespace = dag.metadata.namespace or "default"
    try:
        slot = _wait_for_slot(locks.Slots(settings.folder, namespace, given.dag, max_active_runs(dag.spec)), dag)
        place = RunFolder.make(settings.folder, given.name or run_name(given.dag, given.logical_date))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise CliError(f"cannot write to --folder {settings.folder}: {why}") from error
    created = datetime.now(UTC)
    info = RunInfo(
        namespace=namespace,
        name=place.name,
        uid=str(uuid.uuid4()),
        dag=given.dag,
        type=given.type,
        logical_date=given.logical_date,
        interval_start=given.interval[0],
        interval_end=given.interval[1],
        params=given.params,
    )
    scheduler = Scheduler(parallelism=settings.max_parallel)
    for pool in settings.inputs.pools:
        scheduler.set_pool(info.namespace, pool.metadata.name, pool.spec.slots)
    variables = Variables(settings.inputs.variables)
    state = RunState(info, settings.resolve(dag), scheduler.slots, variables=lambda: variables)
    dag_folder = _folder_of(settings.inputs.documents[given.dag])
    local = LocalRun(
        scheduler,
        state,
        folder=place,
        environment=Environment(info, settings.sources, dag_folder, settings.connections),
        display=display_for(screen, colours=colours.wanted(err=err)),
        screen=screen,
        here=Path.cwd() if settings.here else None,
        show_logs=settings.logs,
        dag_run=lambda: _dag_run(state, given, created),
    )
    try:
        local.execute()
    finally:
        locks.release(slot)
    return local


def _wait_for_slot(slots: locks.Slots, dag: Dag) -> int:
    """Wait for a slot of maxActiveRuns, and return it. Raises OSError."""
    noted = False
    while (slot := slots.take()) is None:
        if not noted:
            noted = True
            name, limit = dag.metadata.name, max_active_runs(dag.spec)
            why = f"waiting for maxActiveRuns of Dag {name} ({limit}): another `tradewind run` runs it"
            click.echo(f"note: {why}", err=True)
        time.sleep(_POLL_SECONDS)
    return slot


def _folder_of(document: Document) -> Path | None:
    path = Path(document.file)
    return path.absolute().parent if path.exists() else None


def _dag_run(state: RunState, given: GivenRun, created: datetime) -> dict[str, Any]:
    """Return the run as a DagRun, as it would be on a cluster."""
    info = state.info
    spec: dict[str, Any] = {
        "dag": info.dag,
        "type": info.type,
        "logicalDate": format_time(info.logical_date),
        "dataInterval": {"start": format_time(info.interval_start), "end": format_time(info.interval_end)},
    }
    if given.given:
        spec["params"] = dict(given.given)
    return {
        "apiVersion": API_VERSION,
        "kind": "DagRun",
        "metadata": {
            "name": info.name,
            "namespace": info.namespace,
            "uid": info.uid,
            "creationTimestamp": format_time(created.replace(microsecond=0)),
        },
        "spec": spec,
        "status": run_status(state),
    }
