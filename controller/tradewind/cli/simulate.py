"""`tradewind simulate`: read the files, simulate the runs with the engine in virtual time, and print the result."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import click
import yaml

from tradewind.api.resolve import ResolvedDag, resolve
from tradewind.cli.dag_files import DagFiles, dag_file_options, read_dag_files
from tradewind.cli.documents import read_documents
from tradewind.cli.errors import NEXT_LINE, CliError
from tradewind.cli.gantt import print_gantt
from tradewind.cli.given_runs import RunOptions, data_interval_option, report_ignored_fields, runs_to_create
from tradewind.cli.output import Format, output_option, print_data
from tradewind.cli.variables import variables_option
from tradewind.engine.run.states import TaskState
from tradewind.engine.simulation import DagToRun, Outcomes, SimulatedRun, read_outcomes
from tradewind.engine.simulation import simulate as simulate_runs

START = datetime(2026, 1, 1, tzinfo=UTC)
_NO_OUTPUT = re.compile(r"'([^']+)' has no output to take items from")


@click.command()
@dag_file_options
@click.option(
    "--outcomes",
    "outcomes_file",
    type=click.Path(),
    metavar="FILE",
    help="Results of tries. Default: each try succeeds after 1s.",
)
@click.option("-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="Value of a param. Can be repeated.")
@variables_option
@click.option(
    "--logical-date",
    metavar="TIME",
    help="Logical date of the run, which is also when it starts. Default: 2026-01-01T00:00:00Z.",
)
@data_interval_option
@click.option("--pool", "pools", multiple=True, metavar="NAME=SLOTS", help="Slots of a pool. Can be repeated.")
@output_option("table", "json", "yaml")
def simulate(
    files: tuple[str, ...],
    recursive: bool,
    dag_name: str | None,
    outcomes_file: str | None,
    params: tuple[str, ...],
    variables: tuple[str, ...],
    logical_date: str | None,
    data_interval: str | None,
    pools: tuple[str, ...],
    output: Format,
) -> None:
    """Simulate a run of a Dag in virtual time: when tasks run, which are retried, which are skipped.

    The scheduler is the one of the cluster. No task is executed, templates are rendered only where they affect
    scheduling (forEach, waitFor), and months pass in milliseconds. The outcomes file is YAML with a list for each task
    and an entry for each try: Succeeded, Failed, Skipped or Lost, or an object such as {exitCode: 3, duration: 2m} or
    {duration: 40s, output: {rows: 7}}. Tries beyond the list succeed after 1s. Pools in the files apply; --pool
    overrides them.

    A DagRun in the files sets params, logical date and data interval of a run. TIME without an offset is in the time
    zone of the Dag. With several Dags or DagRuns each run starts at its logical date, and all share the pools; JSON and
    YAML output is then an object with each result under the name of its DagRun, or of its Dag if there is no DagRun.

    Exits 0 if the simulation ran, whatever the state of the run, and 2 if a file or option is invalid.
    """
    inputs = read_dag_files(files, dag_name, variables, recursive=recursive)
    resolved = {name: resolve(dag.spec) for name, dag in inputs.dags.items()}
    wanted = runs_to_create(inputs, RunOptions(params, logical_date, data_interval), START)
    report_ignored_fields(inputs)
    outcomes = _outcomes(outcomes_file, resolved)
    try:
        runs = simulate_runs(
            [
                DagToRun(
                    each.dag, resolved[each.dag], each.logical_date, each.params, each.interval, each.name, each.type
                )
                for each in wanted
            ],
            outcomes=outcomes,
            pools=_pools(inputs, pools),
            variables=inputs.variables,
        )
    except OverflowError as error:
        latest = max(each.logical_date for each in wanted)
        raise CliError(f"the run starts at {latest:%Y-%m-%d} and would not finish before the year 10000") from error
    for text in dict.fromkeys(text for run in runs for text in _assumed(run, outcomes)):
        click.echo(f"note: {text}", err=True)
    if output == "table":
        for each, run in zip(wanted, runs, strict=True):
            print_gantt(run, each.label)
        return
    results = {each.label: run.to_dict() for each, run in zip(wanted, runs, strict=True)}
    print_data(results if len(results) > 1 else next(iter(results.values())), output)


def _assumed(run: SimulatedRun, outcomes: Outcomes) -> Iterator[str]:
    """Notes on outputs that the outcomes do not give and that a cluster would need."""
    for node in run.state.nodes:
        task, name = node.task, f"{run.state.info.dag}/{node.task.name}"
        if (
            task.branch
            and node.tally().get(TaskState.SUCCEEDED)
            and not outcomes.says_output(run.state.info.dag, task.name)
        ):
            yield (
                f"branch {name} has no output, so all its downstream tasks run; on a cluster it would fail. "
                f"Set its output with --outcomes, as in {{{task.name}: [{{output: NAME}}]}}"
            )
        missing = _NO_OUTPUT.search(node.whole.message or "")
        if node.whole.reason == "InvalidForEach" and missing is not None:
            yield (
                f"{name} is mapped over the output of {missing[1]}, which has none: set it with "
                f"--outcomes, as in {{{missing[1]}: [{{output: [1, 2]}}]}}"
            )


def _outcomes(file: str | None, dags: Mapping[str, ResolvedDag]) -> Outcomes:
    """Return the outcomes in a file. Raises CliError that lists all problems, with file and line."""
    if file is None:
        return read_outcomes(None, dags)[0]
    documents, unreadable = read_documents([file])
    if unreadable:
        raise CliError(NEXT_LINE.join(unreadable))
    if not documents:
        return read_outcomes(None, dags)[0]
    if len(documents) > 1:
        raise CliError(f"{file} has {len(documents)} documents; an outcomes file has one")
    document = documents[0]
    outcomes, problems = read_outcomes(document.manifest, dags)
    if problems:
        raise CliError(
            NEXT_LINE.join(
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


def _pools(inputs: DagFiles, texts: Sequence[str]) -> dict[str, int]:
    """Return slots by pool. Raises CliError for an option that is not `name=slots`."""
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
