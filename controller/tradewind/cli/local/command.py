"""`tradewind run`: read the files, check everything, run the Dag, and say how it went."""

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from tradewind.api import API_VERSION
from tradewind.api.dag import Dag
from tradewind.api.pool import Pool
from tradewind.api.resolve import resolve
from tradewind.api.validation import with_defaults
from tradewind.api.validation.params import check_params
from tradewind.api.variables import Variables
from tradewind.cli import colours
from tradewind.cli.connections import Connections, read_connections
from tradewind.cli.documents import Document, read_documents
from tradewind.cli.errors import EXIT_FAILED, CliError
from tradewind.cli.inputs import check_documents, parse_moment, parse_params
from tradewind.cli.local.display import display_for
from tradewind.cli.local.environment import Environment, Sources
from tradewind.cli.local.folder import RunFolder
from tradewind.cli.local.runner import LocalRun
from tradewind.cli.output import Format, output_option, print_data
from tradewind.cli.variables import GivenVariables, check_variables, read_variables, variables_option
from tradewind.engine.run import RunState
from tradewind.engine.run_info import RunInfo
from tradewind.engine.scheduler import Scheduler
from tradewind.engine.states import RunPhase
from tradewind.engine.task_instance import format_time


@dataclass(frozen=True, slots=True)
class _Inputs:
    dag: Dag
    document: Document
    pools: list[Pool]
    sources: Sources
    variables: GivenVariables
    connections: Connections


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
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
    "--logical-date", metavar="TIME", help="The moment the run is for, as 2026-01-31T06:00:00Z. Default: now."
)
@click.option("--dag", "dag_name", metavar="NAME", help="Which Dag to run, where the files have several.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".tradewind"),
    show_default=True,
    help="Where logs, status and volumes are kept.",
)
@click.option(
    "--max-parallel", type=click.IntRange(1), metavar="N", help="Most tasks at once. Default: as the Dag says."
)
@click.option("--logs", is_flag=True, help="Show the log of every try when it has ended.")
@output_option("table", "json", "yaml")
@click.pass_context
def run(
    context: click.Context,
    files: tuple[str, ...],
    params: tuple[str, ...],
    variables: tuple[str, ...],
    connections_file: str | None,
    logical_date: str | None,
    dag_name: str | None,
    folder: Path,
    max_parallel: int | None,
    logs: bool,
    output: Format,
) -> None:
    """Run a Dag on this machine, with the scheduler of the cluster and local processes as tasks.

    Images are not used: a task's command or script runs with the programs of this machine, and `python3` is the Python
    that runs tradewind. Pools in the files count; ConfigMaps and Secrets in them feed env, envFrom, variables and
    connections. A working directory in a volume becomes a folder under FOLDER/volumes.

    Exits 0 when the run succeeded, 1 when it failed, 2 when something in the files or options is wrong.
    """
    inputs = _read(files, dag_name, variables, connections_file)
    moment = datetime.now(UTC).replace(microsecond=0)
    logical = parse_moment(logical_date) if logical_date else moment
    given, complete = _params(inputs, params)
    try:
        place = RunFolder.make(folder, inputs.dag.metadata.name, moment)
    except OSError as error:
        raise CliError(f"cannot write to --folder {folder}: {(error.strerror or str(error)).lower()}") from error
    info = RunInfo(
        namespace=inputs.dag.metadata.namespace or "default",
        name=place.name,
        uid=str(uuid.uuid4()),
        dag=inputs.dag.metadata.name,
        type="Manual",
        logical_date=logical,
        interval_start=logical,
        interval_end=logical,
        params=complete,
    )
    scheduler = Scheduler(parallelism=max_parallel or 0)
    for pool in inputs.pools:
        scheduler.set_pool(info.namespace, pool.metadata.name, pool.spec.slots)
    state = RunState(info, resolve(inputs.dag.spec), scheduler.slots, variables=lambda: Variables(inputs.variables))
    LocalRun(
        scheduler,
        state,
        folder=place,
        environment=Environment(info, inputs.sources, _folder_of(inputs.document), inputs.connections),
        display=display_for(_console(output)),
        here=Path.cwd(),
        show_logs=logs,
        dag_run=lambda: _dag_run(state, given, moment),
    ).execute()
    if output != "table":
        print_data(state.status(), output)
    if state.phase is not RunPhase.SUCCEEDED:
        context.exit(EXIT_FAILED)


def _read(
    files: Sequence[str], dag_name: str | None, variables: Sequence[str], connections_file: str | None
) -> _Inputs:
    """The Dag to run and all that comes with it. Raises CliError that lists everything wrong."""
    documents, unreadable = read_documents(files)
    if unreadable:
        raise CliError("\n       ".join(unreadable))
    dags = [document for document in documents if document.kind == "Dag"]
    if dag_name is not None:
        dags = [document for document in dags if document.name == dag_name]
        if not dags:
            raise CliError(f"there is no Dag {dag_name!r} in {', '.join(files)}")
    others = [document for document in documents if document.kind != "Dag"]
    given, findings = read_variables(others, variables)
    findings = [
        *check_documents([*dags, *others], on_cluster=False),
        *findings,
        *check_variables([*dags, *others], given),
    ]
    if findings:
        raise CliError("\n       ".join(map(str, findings)))
    if len(dags) != 1:
        if not dags:
            raise CliError(f"there is no Dag in {', '.join(files)}")
        names = ", ".join(document.name for document in dags)
        raise CliError(f"there are {len(dags)} Dags ({names}): choose one with --dag")
    dag, sources = Dag.model_validate(dags[0].manifest), Sources.of(others)
    connections = read_connections(connections_file, sources.secrets)
    missing = [str(finding) for finding in connections.missing(dags[0], resolve(dag.spec), os.environ)]
    if missing:
        raise CliError("\n       ".join(missing))
    return _Inputs(
        dag=dag,
        document=dags[0],
        pools=[Pool.model_validate(document.manifest) for document in others if document.kind == "Pool"],
        sources=sources,
        variables=given,
        connections=connections,
    )


def _params(inputs: _Inputs, texts: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The params as given, and with their defaults. Raises CliError for those that the Dag does not take."""
    schemas = inputs.dag.spec.params or {}
    given = parse_params(texts, schemas)
    problems = check_params(schemas, given)
    if problems:
        listed = [f"--param {problem.field.removeprefix('spec.params.')}: {problem.message}" for problem in problems]
        raise CliError("\n       ".join(listed))
    return given, with_defaults(schemas, given)


def _folder_of(document: Document) -> Path | None:
    path = Path(document.file)
    return path.absolute().parent if path.exists() else None


def _console(output: Format) -> Console:
    stderr = output != "table"
    return Console(stderr=stderr, no_color=not colours.wanted(err=stderr), highlight=False)


def _dag_run(state: RunState, params: dict[str, Any], created: datetime) -> dict[str, Any]:
    """The DagRun as it would be on the cluster."""
    info = state.info
    spec: dict[str, Any] = {"dag": info.dag, "type": info.type, "logicalDate": format_time(info.logical_date)}
    if params:
        spec["params"] = params
    return {
        "apiVersion": API_VERSION,
        "kind": "DagRun",
        "metadata": {
            "name": info.name,
            "namespace": info.namespace,
            "uid": info.uid,
            "creationTimestamp": format_time(created),
        },
        "spec": spec,
        "status": state.status(),
    }
