"""Validation of Dags, DagRuns, Pools and Backfills, with the fix for each problem.

The admission webhook, the controller (condition Accepted) and the CLI call these functions, so they all give the same
reasons and messages. Invalid input raises nothing: every problem is returned. One file per subject.

shape.py         the shape of a manifest, in the terms of its YAML file
spelling.py      the nearest valid name or value
known.py         known names, and the message for an unknown one
problem.py       a problem
work.py          a limit on the work of a validation

tasks.py         tasks one by one
kinds/           what a task does, by its kind
durations.py     time limits
dependencies.py  edges between tasks and groups
order.py         the graph of dependencies
groups.py        groups
setups.py        setup and teardown
branches.py      branch and shortCircuit
mapping.py       forEach
templates.py     templates
connections.py   connections
pod_template.py  podTemplate
params.py        params and their schemas
json_schema.py   JSON Schema, with each keyword counted as work
patterns.py      regular expressions of schemas
schedule.py      schedules and dates
backfill.py      Backfills
requests.py      requests on runs
shards.py        the label of shards
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tradewind.api.backfill import Backfill
from tradewind.api.dag import Dag, DagSpec
from tradewind.api.dagrun import DagRun
from tradewind.api.groups import Groups
from tradewind.api.names import MAX_DAG_NAME, MAX_LABEL
from tradewind.api.pool import Pool
from tradewind.api.validation.backfill import check_against_dag, check_span
from tradewind.api.validation.branches import check_branches
from tradewind.api.validation.connections import check_connections
from tradewind.api.validation.dependencies import check_dependencies
from tradewind.api.validation.durations import check_duration
from tradewind.api.validation.groups import check_groups
from tradewind.api.validation.mapping import check_mapping
from tradewind.api.validation.params import check_param_schemas, check_params, with_defaults
from tradewind.api.validation.pod_template import check_pod_template
from tradewind.api.validation.problem import Problem, summary
from tradewind.api.validation.requests import check_request, check_requester
from tradewind.api.validation.schedule import check_schedule
from tradewind.api.validation.setups import check_setups
from tradewind.api.validation.shape import MAX_DEPTH, check_name, find_nul, nested_deeper, parse, path_of
from tradewind.api.validation.tasks import check_tasks
from tradewind.api.validation.templates import check_templates
from tradewind.api.validation.work import Work

LAST_YEAR = 9000
"""The last year of a start date: a later schedule would run out of years in which to search for ticks."""
MAX_SPEC_BYTES = 900 * 1024
"""The maximum size of a spec: etcd accepts 1.5 MiB in one request, and an object has more than its spec."""
__all__ = [
    "MAX_DEPTH",
    "MAX_SPEC_BYTES",
    "Problem",
    "check_request",
    "check_requester",
    "summary",
    "validate_backfill",
    "validate_dag",
    "validate_dag_run",
    "validate_dag_spec",
    "validate_pool",
    "with_defaults",
]


def validate_dag(manifest: Mapping[str, Any], work: Work | None = None) -> tuple[Dag | None, list[Problem]]:
    """Return the Dag in `manifest` and all its problems. The Dag is None if it cannot be parsed. Raises TooMuchWork if
    `work` is given and exceeded."""
    if problem := _unreadable(manifest, work):
        return None, [problem]
    dag, problems = parse(Dag, manifest)
    problems += check_name("Dag", manifest, MAX_DAG_NAME)
    if dag is not None:
        problems += validate_dag_spec(dag.spec, work)
    return dag, problems


def validate_dag_spec(spec: DagSpec, work: Work | None = None) -> list[Problem]:
    """Return the problems of a spec that has a valid shape. Raises TooMuchWork if `work` is given and exceeded; it
    counts the cost of params."""
    groups = Groups(spec)
    if spec.start_date and spec.start_date.year > LAST_YEAR:
        return [Problem("InvalidSchedule", "spec.startDate", f"is after the year {LAST_YEAR}")]
    return [
        *check_schedule(spec),
        *check_param_schemas(spec.params or {}, work),
        *check_tasks(spec),
        *check_groups(spec, groups),
        *check_dependencies(spec, groups),
        *check_mapping(spec, groups),
        *check_branches(spec, groups),
        *check_setups(spec),
        *check_templates(spec, groups),
        *check_connections(spec),
        *check_pod_template(spec.pod_template, "spec.podTemplate"),
        *check_duration(spec.run_timeout, "spec.runTimeout"),
        *check_duration(spec.starting_deadline, "spec.startingDeadline"),
    ]


def validate_dag_run(
    manifest: Mapping[str, Any], dag: DagSpec | None = None, work: Work | None = None
) -> tuple[DagRun | None, list[Problem]]:
    """Return the DagRun in `manifest` and its problems; params are checked only if the Dag is given. Raises TooMuchWork
    if `work` is given and exceeded."""
    if problem := _unreadable(manifest, work):
        return None, [problem]
    run, problems = parse(DagRun, manifest)
    problems += check_name("DagRun", manifest, MAX_LABEL)
    if run is not None:
        interval = run.spec.data_interval
        if interval and interval.start > interval.end:
            problems.append(Problem("InvalidSpec", "spec.dataInterval", "start is after end"))
        if run.spec.request:
            problems += check_request(run.spec.request, dag)
        if dag is not None:
            problems += check_params(dag.params or {}, run.spec.params or {}, work)
    return run, problems


def validate_pool(manifest: Mapping[str, Any]) -> tuple[Pool | None, list[Problem]]:
    """Return the Pool in `manifest` and its problems."""
    if problem := _unreadable(manifest):
        return None, [problem]
    pool, problems = parse(Pool, manifest)
    return pool, problems + check_name("Pool", manifest, MAX_LABEL)


def validate_backfill(
    manifest: Mapping[str, Any], dag: DagSpec | None = None, work: Work | None = None, *, now: datetime | None = None
) -> tuple[Backfill | None, list[Problem]]:
    """Return the Backfill in `manifest` and its problems. It is checked against its Dag only if that is given, and for
    dates in the future only if `now` (the creation time of the Backfill) is given. Raises TooMuchWork if `work` is
    given and exceeded."""
    if problem := _unreadable(manifest, work):
        return None, [problem]
    backfill, problems = parse(Backfill, manifest)
    problems += check_name("Backfill", manifest, MAX_LABEL)
    if backfill is not None:
        problems += check_span(backfill.spec, now)
        if dag is not None:
            problems += check_against_dag(backfill.spec, dag, work)
    return backfill, problems


def _unreadable(manifest: Mapping[str, Any], work: Work | None = None) -> Problem | None:
    """Return the problem that prevents any further validation: a manifest that could overflow the stack or the memory
    of what walks it, or that JSON or a program's arguments cannot represent."""
    for part in ("spec", "metadata"):
        if nested_deeper(manifest.get(part), MAX_DEPTH):
            return Problem("TooLarge", part, f"is nested deeper than {MAX_DEPTH} levels")
    spec = manifest.get("spec")
    try:
        text = json.dumps(spec, default=str, ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except UnicodeEncodeError:
        return Problem("InvalidSpec", "spec", "contains a lone surrogate (such as \\ud800), which is not valid Unicode")
    except ValueError:
        return Problem(
            "InvalidSpec", "spec", "contains a number that JSON cannot represent (.nan, .inf, or too many digits)"
        )
    if size > MAX_SPEC_BYTES:
        message = f"is {size} bytes; the limit is {MAX_SPEC_BYTES}: move scripts into an image"
        return Problem("TooLarge", "spec", message)
    if work is not None:
        work.spend(size)
    if "\\u0000" in text and (path := find_nul(spec)) is not None:
        return Problem(
            "InvalidSpec",
            path_of(("spec", *path), manifest),
            "contains a NUL character, which program arguments cannot contain",
        )
    return None
