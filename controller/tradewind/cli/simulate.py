"""`tradewind simulate`: read the files, let the engine play the runs in virtual time, and print what came of it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click
import yaml

from tradewind.api.dag import Dag
from tradewind.api.resolve import ResolvedDag, resolve
from tradewind.api.validation import with_defaults
from tradewind.api.validation.params import check_params
from tradewind.cli.dag_files import DagFiles, dag_file_options, read_dag_files
from tradewind.cli.documents import read_documents
from tradewind.cli.errors import CliError
from tradewind.cli.gantt import print_gantt
from tradewind.cli.inputs import parse_moment, parse_params
from tradewind.cli.output import Format, output_option, print_data
from tradewind.cli.variables import variables_option
from tradewind.engine.simulation import DagToRun, Outcomes, read_outcomes
from tradewind.engine.simulation import simulate as simulate_runs

START = datetime(2026, 1, 1, tzinfo=UTC)
_NEXT_LINE = "\n       "


@click.command()
@dag_file_options
@click.option(
    "--outcomes",
    "outcomes_file",
    type=click.Path(),
    metavar="FILE",
    help="How tries go; without it all succeed after 1s.",
)
@click.option("-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="Value of a param; may be repeated.")
@variables_option
@click.option(
    "--logical-date",
    metavar="TIME",
    help="The moment the run is for, and at which it starts. Default: 2026-01-01T00:00:00Z.",
)
@click.option("--pool", "pools", multiple=True, metavar="NAME=SLOTS", help="Slots of a pool; may be repeated.")
@output_option("table", "json", "yaml")
def simulate(
    files: tuple[str, ...],
    dag_name: str | None,
    outcomes_file: str | None,
    params: tuple[str, ...],
    variables: tuple[str, ...],
    logical_date: str | None,
    pools: tuple[str, ...],
    output: Format,
) -> None:
    """Play a run of a Dag in virtual time: what runs when, what is retried, what is skipped.

    The scheduler is that of the cluster; nothing is executed, templates are filled in only where they decide what
    happens (forEach, waitFor), and months pass in milliseconds. Outcomes are a YAML file with a list for each task, an
    entry for each try: Succeeded, Failed, Skipped or Lost, or an object such as {exitCode: 3, duration: 2m} or
    {duration: 40s, output: {rows: 7}}. Tries beyond the list succeed after 1s. Pools among the files count, those of
    --pool before them.

    With several Dags there is a run of each, all at once on the same pools; JSON and YAML then have an object with the
    result of each Dag under its name.

    Exits 0 when the simulation ran, however the run ended, and 2 when something in the files or options is wrong.
    """
    inputs = read_dag_files(files, dag_name, variables)
    moment = parse_moment(logical_date) if logical_date else START
    resolved = {name: resolve(dag.spec) for name, dag in inputs.dags.items()}
    given = _params(inputs.dags, params)
    try:
        runs = simulate_runs(
            [DagToRun(name, dag, given[name]) for name, dag in resolved.items()],
            outcomes=_outcomes(outcomes_file, resolved),
            pools=_pools(inputs, pools),
            logical_date=moment,
            variables=inputs.variables,
        )
    except OverflowError as error:
        raise CliError(f"the run would go on beyond the end of the calendar: it starts at {moment:%Y-%m-%d}") from error
    if output == "table":
        for run in runs:
            print_gantt(run)
        return
    results = {run.state.info.dag: run.to_dict() for run in runs}
    print_data(results if len(results) > 1 else next(iter(results.values())), output)


def _outcomes(file: str | None, dags: Mapping[str, ResolvedDag]) -> Outcomes:
    """The outcomes in a file. Raises CliError that lists everything wrong, with file and line."""
    if file is None:
        return read_outcomes(None, dags)[0]
    documents, unreadable = read_documents([file])
    if unreadable:
        raise CliError(_NEXT_LINE.join(unreadable))
    if not documents:
        return read_outcomes(None, dags)[0]
    if len(documents) > 1:
        raise CliError(f"{file} has {len(documents)} documents; outcomes are one")
    document = documents[0]
    outcomes, problems = read_outcomes(document.manifest, dags)
    if problems:
        raise CliError(
            _NEXT_LINE.join(
                f"{document.file}:{_line(document.root, each.path)}: {_place(each.path)}{each.message}"
                for each in problems
            )
        )
    return outcomes


def _line(node: yaml.Node, path: Sequence[str | int]) -> int:
    line = node.start_mark.line
    for part in path:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line
        elif isinstance(node, yaml.MappingNode):
            key, node = next(pair for pair in node.value if pair[0].value == part)
            line = key.start_mark.line
    return line + 1


def _place(path: Sequence[str | int]) -> str:
    """`("load", 1, "duration")` → `load[1].duration: `."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
    return f"{text}: " if text else ""


def _params(dags: Mapping[str, Dag], texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The params of each Dag, with their defaults. Where there are several Dags, each takes those that it has."""
    schemas = {name: dag.spec.params or {} for name, dag in dags.items()}
    if len(dags) > 1:
        for text in texts:
            if not any(_name(text) in known for known in schemas.values()):
                raise CliError(f"--param {_name(text)}: no Dag has such a param")
    complete, problems = {}, []
    for name, known in schemas.items():
        given = parse_params([text for text in texts if len(dags) == 1 or _name(text) in known], known)
        of_dag = f" of Dag {name}" if len(dags) > 1 else ""
        problems += [
            f"--param {problem.field.removeprefix('spec.params.')}{of_dag}: {problem.message}"
            for problem in check_params(known, given)
        ]
        complete[name] = with_defaults(known, given)
    if problems:
        raise CliError(_NEXT_LINE.join(problems))
    return complete


def _name(text: str) -> str:
    return text.partition("=")[0]


def _pools(inputs: DagFiles, texts: Sequence[str]) -> dict[str, int]:
    """Slots by pool. Raises CliError for an option that is not `name=slots`."""
    slots = {pool.metadata.name: pool.spec.slots for pool in inputs.pools}
    given: dict[str, int] = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            count = int(number)
        except ValueError:
            count = -2
        if not name or count < -1:
            raise CliError(f"--pool {text!r} is not name=slots, as in --pool warehouse=4 (-1 for no limit)")
        if name in given:
            raise CliError(f"--pool {name} is given twice")
        given[name] = count
    return slots | given
