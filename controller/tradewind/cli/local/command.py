"""`tradewind run`: read the files, check everything, run the Dag, and say how it went."""

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

_LOOK_EVERY = 0.2
"""Seconds between two looks for a slot of maxActiveRuns."""


@dataclass(frozen=True, slots=True)
class _Machine:
    """Where runs are made, and how."""

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
        """A Dag as it runs here."""
        resolved = resolve(dag.spec)
        changes: dict[str, Any] = {"limit": 0} if self.no_retries else {}
        if self.retry_delay is not None:
            changes |= {"delay": self.retry_delay, "backoff": None}
        tasks = (replace(task, retries=replace(task.retries, **changes)) for task in resolved.tasks)
        return replace(resolved, tasks=tuple(tasks)) if changes else resolved


@click.command()
@dag_file_options
@click.option("-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="Value of a param; may be repeated.")
@variables_option
@click.option(
    "--connections",
    "connections_file",
    type=click.Path(),
    metavar="FILE",
    help="Connections of tasks: Secrets, or {name: {KEY: value}}, in YAML or JSON. Without it, and where it says "
    "nothing, they come from the environment: KEY of my-db is the variable MY_DB_KEY.",
)
@click.option(
    "--logical-date",
    metavar="TIME",
    help="The moment the run is for, as 2026-01-31T06:00:00Z; without an offset in the Dag's time zone. Default: now.",
)
@data_interval_option
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".tradewind"),
    show_default=True,
    help="Where logs, status and volumes are kept.",
)
@click.option("--here", is_flag=True, help="Run tasks in the folder you are in, not each try in an empty one.")
@click.option("--no-retries", is_flag=True, help="Retry nothing, whatever the Dag says.")
@click.option("--retry-delay", metavar="DURATION", help="Time before each retry, as 0s. Default: as the Dag says.")
@click.option(
    "--max-parallel", type=click.IntRange(1), metavar="N", help="Most tasks at once. Default: as the Dag says."
)
@click.option("--logs", is_flag=True, help="Show the log of every try when it has ended.")
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
    """Run a Dag on this machine, with the scheduler of the cluster and local processes as tasks.

    Images are not used: a task's command or script runs with the programs of this machine, and `python3` is the Python
    that runs tradewind. Each try starts in an empty folder of its own, or in its working directory where that is in a
    volume, which is a folder under FOLDER/volumes. Pools in the files count; ConfigMaps and Secrets in them feed env,
    envFrom, variables and connections.

    A DagRun among the files says params, logical date and data interval; several of them run in turn. Runs of the same
    Dag in the same FOLDER wait for each other as its maxActiveRuns says.

    Exits 0 when the run succeeded, 1 when it failed, 2 when something in the files or options is wrong, 130 when it was
    stopped by Ctrl-C (128 and the number of the signal).
    """
    inputs = _choose(read_dag_files(files, dag_name, variables, recursive=recursive))
    now = datetime.now(UTC).replace(microsecond=0)
    wanted = runs_to_create(inputs, RunOptions(params, logical_date, data_interval), now)
    sources = Sources.of(inputs.others)
    machine = _Machine(
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
    _check_connections(machine)
    report_ignored_fields(inputs)
    _end_killed(folder)
    screen = Screen(sys.stderr if output != "table" else sys.stdout)
    made: dict[str, LocalRun] = {}
    for each in wanted:
        made[each.label] = local = _run(machine, each, screen, err=output != "table")
        if local.stopped_by is not None:
            break
    screen.finish()
    if output != "table":
        statuses = {label: run_status(local.state) for label, local in made.items()}
        print_data(statuses if len(wanted) > 1 else next(iter(statuses.values())), output)
    context.exit(_exit_code(list(made.values()), screen))


def _exit_code(made: Sequence[LocalRun], screen: Screen) -> int:
    last = made[-1]
    if last.stopped_by is not None:
        return EXIT_SIGNAL + last.stopped_by
    if any(local.state.phase is not RunPhase.SUCCEEDED for local in made):
        return EXIT_FAILED
    return screen.exit_code


def _choose(inputs: DagFiles) -> DagFiles:
    """Of several Dags those that the DagRuns name. Raises CliError where that does not choose."""
    if len(inputs.dags) == 1:
        return inputs
    named = {run.spec.dag for run in inputs.runs}
    if not named:
        names = ", ".join(inputs.dags)
        raise CliError(f"there are {len(inputs.dags)} Dags ({names}): choose one with --dag")
    return replace(inputs, dags={name: dag for name, dag in inputs.dags.items() if name in named})


def _check_connections(machine: _Machine) -> None:
    missing = [
        str(finding)
        for name, dag in machine.inputs.dags.items()
        for finding in machine.connections.missing(machine.inputs.documents[name], resolve(dag.spec), os.environ)
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


def _end_killed(folder: Path) -> None:
    """Runs whose process was killed had no time to write how they ended."""
    with suppress(OSError):
        for name in mark_killed(folder):
            click.echo(f"note: {name} was still running when its process was killed; it is Failed now", err=True)


def _run(machine: _Machine, asked: GivenRun, screen: Screen, *, err: bool) -> LocalRun:
    """Make one run and see it through."""
    dag = machine.inputs.dags[asked.dag]
    namespace = dag.metadata.namespace or "default"
    try:
        slot = _wait_for_slot(locks.Slots(machine.folder, namespace, asked.dag, max_active_runs(dag.spec)), dag)
        place = RunFolder.make(machine.folder, asked.name or run_name(asked.dag, asked.logical_date))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise CliError(f"cannot write to --folder {machine.folder}: {why}") from error
    created = datetime.now(UTC)
    info = RunInfo(
        namespace=namespace,
        name=place.name,
        uid=str(uuid.uuid4()),
        dag=asked.dag,
        type=asked.type,
        logical_date=asked.logical_date,
        interval_start=asked.interval[0],
        interval_end=asked.interval[1],
        params=asked.params,
    )
    scheduler = Scheduler(parallelism=machine.max_parallel)
    for pool in machine.inputs.pools:
        scheduler.set_pool(info.namespace, pool.metadata.name, pool.spec.slots)
    variables = Variables(machine.inputs.variables)
    state = RunState(info, machine.resolve(dag), scheduler.slots, variables=lambda: variables)
    dag_folder = _folder_of(machine.inputs.documents[asked.dag])
    local = LocalRun(
        scheduler,
        state,
        folder=place,
        environment=Environment(info, machine.sources, dag_folder, machine.connections),
        display=display_for(screen, colours=colours.wanted(err=err)),
        screen=screen,
        here=Path.cwd() if machine.here else None,
        show_logs=machine.logs,
        dag_run=lambda: _dag_run(state, asked, created),
    )
    try:
        local.execute()
    finally:
        locks.release(slot)
    return local


def _wait_for_slot(slots: locks.Slots, dag: Dag) -> int:
    """A slot of maxActiveRuns, when there is one. Raises OSError."""
    told = False
    while (slot := slots.take()) is None:
        if not told:
            told = True
            name, limit = dag.metadata.name, max_active_runs(dag.spec)
            why = f"waiting for maxActiveRuns of the Dag {name} ({limit}): another `tradewind run` is running it"
            click.echo(f"note: {why}", err=True)
        time.sleep(_LOOK_EVERY)
    return slot


def _folder_of(document: Document) -> Path | None:
    path = Path(document.file)
    return path.absolute().parent if path.exists() else None


def _dag_run(state: RunState, asked: GivenRun, created: datetime) -> dict[str, Any]:
    """The DagRun as it would be on the cluster."""
    info = state.info
    spec: dict[str, Any] = {
        "dag": info.dag,
        "type": info.type,
        "logicalDate": format_time(info.logical_date),
        "dataInterval": {"start": format_time(info.interval_start), "end": format_time(info.interval_end)},
    }
    if asked.given:
        spec["params"] = dict(asked.given)
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
