"""The runs that `run` and `simulate` are to make: what the options say comes first, then a DagRun among the files, then
what the controller would take."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any, Literal, TypeVar

import click

from tradewind.api.dag import Dag
from tradewind.api.dagrun import DagRun
from tradewind.api.names import run_name
from tradewind.api.validation import with_defaults
from tradewind.api.validation.params import check_params
from tradewind.cli.dag_files import DagFiles
from tradewind.cli.errors import NEXT_LINE, CliError
from tradewind.cli.inputs import parse_interval, parse_moment, parse_params, zone_of
from tradewind.engine.schedule.data_interval import inferred_interval
from tradewind.engine.timetables import timetable_of

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class GivenRun:
    """A run to make."""

    dag: str
    logical_date: datetime
    interval: tuple[datetime, datetime]
    """Start and end of its data interval."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Its params, as given."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """With the defaults of the Dag."""
    name: str = ""
    """As the DagRun says; empty where there is none, or it leaves the name to the cluster."""
    type: Literal["Manual", "Scheduled", "Backfill"] = "Manual"
    label: str = ""
    """What tells it from the other runs of a command: the name of the DagRun, or of the Dag where there is none."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line says of every run."""

    params: Sequence[str] = ()
    logical_date: str | None = None
    data_interval: str | None = None


def data_interval_option(command: F) -> F:
    """`--data-interval`."""
    return click.option(
        "--data-interval",
        metavar="START/END",
        help="The span of data the run is about, as 2026-01-30/2026-01-31. Default: that of its tick, else of the last "
        "tick before it.",
    )(command)


def runs_to_make(inputs: DagFiles, options: RunOptions, default: datetime) -> list[GivenRun]:
    """The DagRuns among the files, and a run of each Dag that has none there. `default` is the logical date of what
    does not say its own. Raises CliError that lists everything wrong with params."""
    wanted: list[tuple[str, DagRun | None]] = []
    for dag in inputs.dags:
        asked = [run for run in inputs.runs if run.spec.dag == dag]
        wanted += [(dag, run) for run in asked] or [(dag, None)]
    _check_zones(inputs.dags, options)
    _check_names(inputs.dags, options.params)
    runs, problems = [], []
    for dag, asked_run in wanted:
        run, wrong = _run(inputs.dags[dag], asked_run, options, default, alone=len(inputs.dags) == 1)
        runs.append(run)
        of_dag = f" of Dag {dag}" if len(inputs.dags) > 1 else ""
        problems += [text.replace("%", of_dag, 1) for text in wrong]
    if problems:
        raise CliError(NEXT_LINE.join(dict.fromkeys(problems)))
    _check_labels(runs)
    return runs


def say_what_is_ignored(inputs: DagFiles) -> None:
    """Tell of what DagRuns ask for and only a cluster has."""
    for run in inputs.runs:
        for name, value in (
            ("revision", run.spec.revision),
            ("suspend", run.spec.suspend),
            ("request", run.spec.request),
        ):
            if value:
                why = "the run goes by the Dag in the files" if name == "revision" else "it is for a cluster"
                click.echo(f"note: spec.{name} of DagRun {run.metadata.name} is ignored: {why}", err=True)


def _run(
    dag: Dag, asked: DagRun | None, options: RunOptions, default: datetime, *, alone: bool
) -> tuple[GivenRun, list[str]]:
    """A run, and what is wrong with its params; `%` stands for which Dag is meant."""
    spec, zone = asked.spec if asked else None, zone_of(dag.spec)
    schemas = dag.spec.params or {}
    texts = [text for text in options.params if alone or _name(text) in schemas]
    given = {**((spec.params if spec else None) or {}), **parse_params(texts, schemas)}
    named = {_name(text) for text in texts}
    source = f"DagRun {asked.metadata.name}: spec.params." if asked else "--param "
    wrong = []
    for problem in check_params(schemas, given):
        name = problem.field.removeprefix("spec.params.")
        wrong.append(f"{'--param ' if name in named else source}{name}%: {problem.message}")
    logical = parse_moment(options.logical_date, zone) if options.logical_date else None
    interval = parse_interval(options.data_interval, zone) if options.data_interval else None
    if spec is not None:
        if interval is None and spec.data_interval is not None and logical is None:
            interval = spec.data_interval.start, spec.data_interval.end
        logical = logical or spec.logical_date
    logical = logical or default
    run = GivenRun(
        dag=dag.metadata.name,
        logical_date=logical,
        # What `every` counts from is not known: a Dag without startDate is taken to be made for this run.
        interval=interval or inferred_interval(timetable_of(dag.spec, logical), logical),
        given=given,
        params={} if wrong else with_defaults(schemas, given),
        name=asked.metadata.name if asked else "",
        type=spec.type if spec else "Manual",
        label=asked.metadata.name or run_name(dag.metadata.name, logical) if asked else dag.metadata.name,
    )
    return run, wrong


def _check_zones(dags: Mapping[str, Dag], options: RunOptions) -> None:
    zones: dict[str, tzinfo] = {}
    for dag in dags.values():
        zones.setdefault(str(zone_of(dag.spec)), zone_of(dag.spec))
    if len(zones) < 2:
        return
    for option, text in (("--logical-date", options.logical_date), ("--data-interval", options.data_interval)):
        parse = parse_moment if option == "--logical-date" else parse_interval
        if text and len({parse(text, zone) for zone in zones.values()}) > 1:
            raise CliError(
                f"{option} {text}: the Dags have several time zones ({', '.join(zones)}): choose one Dag with --dag, "
                "or give an offset, as in 2026-01-31T06:00:00Z"
            )


def _check_names(dags: Mapping[str, Dag], texts: Sequence[str]) -> None:
    """Of several Dags each takes the params that it has."""
    if len(dags) > 1:
        for text in texts:
            if not any(_name(text) in (dag.spec.params or {}) for dag in dags.values()):
                raise CliError(f"--param {_name(text)}: no Dag has such a param")


def _check_labels(runs: Sequence[GivenRun]) -> None:
    labels = [run.label for run in runs]
    for label in labels:
        if labels.count(label) > 1:
            raise CliError(f"there are two runs called {label!r}: give the DagRuns other names")


def _name(text: str) -> str:
    return text.partition("=")[0]
