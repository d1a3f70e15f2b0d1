"""The runs that `run` and `simulate` create. Options take precedence over a DagRun in the files, and that over the
controller's defaults."""

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
    """A run to create."""

    dag: str
    logical_date: datetime
    interval: tuple[datetime, datetime]
    """Start and end of its data interval."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Its params, without defaults."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Its params, with the defaults of the Dag."""
    name: str = ""
    """Name of the DagRun; empty without a DagRun, or if it has a generateName."""
    type: Literal["Manual", "Scheduled", "Backfill"] = "Manual"
    label: str = ""
    """Unique among the runs of a command: the name of the DagRun, or of the Dag if there is no DagRun."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options that apply to every run."""

    params: Sequence[str] = ()
    logical_date: str | None = None
    data_interval: str | None = None


def data_interval_option(command: F) -> F:
    """`--data-interval`."""
    return click.option(
        "--data-interval",
        metavar="START/END",
        help="Time span of the data that the run processes, e.g. 2026-01-30/2026-01-31. Default: the interval of its "
        "tick, or of the last tick before it.",
    )(command)


def runs_to_create(inputs: DagFiles, options: RunOptions, default: datetime) -> list[GivenRun]:
    """Return the DagRuns in the files, and one run of each Dag without a DagRun.

    `default` is the logical date of runs that set none. Raises CliError that lists all invalid params.
    """
    wanted: list[tuple[str, DagRun | None]] = []
    for dag in inputs.dags:
        dag_runs = [run for run in inputs.runs if run.spec.dag == dag]
        wanted += [(dag, run) for run in dag_runs] or [(dag, None)]
    _check_zones(inputs.dags, options)
    _check_names(inputs.dags, options.params)
    runs, problems = [], []
    for dag, dag_run in wanted:
        run, wrong = _run(inputs.dags[dag], dag_run, options, default, alone=len(inputs.dags) == 1)
        runs.append(run)
        of_dag = f" of Dag {dag}" if len(inputs.dags) > 1 else ""
        problems += [text.replace("%", of_dag, 1) for text in wrong]
    if problems:
        raise CliError(NEXT_LINE.join(dict.fromkeys(problems)))
    _check_labels(runs)
    return runs


def report_ignored_fields(inputs: DagFiles) -> None:
    """Print a note for each field of a DagRun that only a cluster supports."""
    for run in inputs.runs:
        for name, value in (
            ("revision", run.spec.revision),
            ("suspend", run.spec.suspend),
            ("request", run.spec.request),
        ):
            if value:
                why = "the run uses the Dag in the files" if name == "revision" else "it needs a cluster"
                click.echo(f"note: spec.{name} of DagRun {run.metadata.name} is ignored: {why}", err=True)


def _run(
    dag: Dag, dag_run: DagRun | None, options: RunOptions, default: datetime, *, alone: bool
) -> tuple[GivenRun, list[str]]:
    """Return a run, and the problems of its params; `%` in them is the place for the name of the Dag."""
    spec, zone = dag_run.spec if dag_run else None, zone_of(dag.spec)
    schemas = dag.spec.params or {}
    texts = [text for text in options.params if alone or _name(text) in schemas]
    given = {**((spec.params if spec else None) or {}), **parse_params(texts, schemas)}
    named = {_name(text) for text in texts}
    source = f"DagRun {dag_run.metadata.name}: spec.params." if dag_run else "--param "
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
        # `every` counts from startDate; a Dag without one counts from the logical date of this run.
        interval=interval or inferred_interval(timetable_of(dag.spec, logical), logical),
        given=given,
        params={} if wrong else with_defaults(schemas, given),
        name=dag_run.metadata.name if dag_run else "",
        type=spec.type if spec else "Manual",
        label=dag_run.metadata.name or run_name(dag.metadata.name, logical) if dag_run else dag.metadata.name,
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
                f"{option} {text}: the Dags have different time zones ({', '.join(zones)}): select one Dag with --dag, "
                "or add an offset, as in 2026-01-31T06:00:00Z"
            )


def _check_names(dags: Mapping[str, Dag], texts: Sequence[str]) -> None:
    """With several Dags, each takes the params that it declares; at least one must declare each."""
    if len(dags) > 1:
        for text in texts:
            if not any(_name(text) in (dag.spec.params or {}) for dag in dags.values()):
                raise CliError(f"--param {_name(text)}: no Dag has this param")


def _check_labels(runs: Sequence[GivenRun]) -> None:
    labels = [run.label for run in runs]
    for label in labels:
        if labels.count(label) > 1:
            raise CliError(f"two runs are named {label!r}: give the DagRuns different names")


def _name(text: str) -> str:
    return text.partition("=")[0]
