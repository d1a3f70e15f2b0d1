"""Validation of user input: documents, params, times."""

import difflib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from tradewind.api import API_VERSION, GROUP
from tradewind.api.cron import time_zone
from tradewind.api.dag import DagSpec
from tradewind.api.kinds import FIELDS
from tradewind.api.validation import Problem, validate_backfill, validate_dag, validate_dag_run, validate_pool
from tradewind.cli.documents import Document
from tradewind.cli.errors import CliError

_CHECKS: dict[str, Callable[[dict[str, Any], DagSpec | None], list[Problem]]] = {
    "Dag": lambda manifest, _: _check_dag(manifest),
    "DagRun": lambda manifest, dag: validate_dag_run(manifest, dag)[1],
    "Pool": lambda manifest, _: validate_pool(manifest)[1],
    "Backfill": lambda manifest, dag: validate_backfill(manifest, dag)[1],
}


_TASK_FIELD = re.compile(r"spec\.tasks\[([^\]]*)\]\.(\w+)")
_SPEC_FIELD = re.compile(r"spec\.(\w+)")
_NEEDED_BY_OTHERS = frozenset({"tasks", "groups", "params", "taskDefaults", "podTemplate"})
"""Fields of a spec that others refer to: without them the others would look invalid."""
_SETS_KIND_OF_TASK = frozenset(
    {
        *FIELDS,
        "args",
        "image",
        "forEach",
        "group",
        "setup",
        "teardown",
        "branch",
    }
)
"""Fields that decide the kind of a task: without them the rest of it would look invalid."""
_SIMILAR = 0.8
"""Ratio from which the name of an API group counts as a misspelling of ours."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem, and the document it is in."""

    document: Document
    problem: Problem

    def __str__(self) -> str:
        document = self.document
        what = f"{document.kind or 'object'} {document.name}".strip()
        return f"{document.file}:{document.line_of(self.problem.field)}: {what}: {self.problem}"


def check_documents(documents: Sequence[Document], *, on_cluster: bool = True) -> list[Finding]:
    """Return all problems of the documents of our own kinds.

    On a cluster a DagRun has all params of the run, so they must be valid for its Dag if that is in the documents.
    """
    findings = []
    seen: dict[tuple[str, str, str], Document] = {}
    dags = _dags(documents) if on_cluster else {}
    for document in documents:
        spec = document.manifest.get("spec") if document.kind in ("DagRun", "Backfill") else None
        dag = dags.get(str(spec.get("dag"))) if isinstance(spec, dict) else None
        findings += [
            Finding(document, problem) for problem in _check(document, dag) if on_cluster or not problem.cluster_only
        ]
        if document.name and is_ours(document):
            metadata = document.manifest["metadata"]
            first = seen.setdefault((document.kind, str(metadata.get("namespace", "")), document.name), document)
            if first is not document:
                where = f"{first.file}:{first.line_of('metadata.name')}"
                message = f"there is another {document.kind} {document.name!r} in {where}"
                findings.append(Finding(document, Problem("DuplicateName", "metadata.name", message)))
    return findings


def _dags(documents: Iterable[Document]) -> dict[str, DagSpec]:
    """Return the specs of valid Dags by name, without Dags that share a name."""
    found: dict[str, DagSpec | None] = {}
    for document in documents:
        if document.kind == "Dag" and is_ours(document):
            dag = validate_dag(document.manifest)[0]
            found[document.name] = dag.spec if dag and document.name not in found else None
    return {name: spec for name, spec in found.items() if spec is not None}


def is_ours(document: Document) -> bool:
    """True if the document is of one of our kinds, or was meant to be: other projects have Pools and Backfills too."""
    if document.kind not in _CHECKS:
        return False
    version = document.manifest.get("apiVersion")
    group = version.partition("/")[0] if isinstance(version, str) else ""
    if not group or group == GROUP or document.kind in ("Dag", "DagRun"):
        return True
    return difflib.SequenceMatcher(None, group, GROUP).ratio() > _SIMILAR


def _check(document: Document, dag: DagSpec | None) -> list[Problem]:
    manifest = document.manifest
    if not isinstance(manifest, dict):
        return [Problem("InvalidSpec", "", "is not an object: a Dag file has apiVersion, kind, metadata and spec")]
    if is_ours(document):
        return _CHECKS[document.kind](manifest, dag)
    version = str(manifest.get("apiVersion", ""))
    if version == API_VERSION:
        kinds = ", ".join(_CHECKS)
        return [
            Problem("UnknownKind", "kind", f"{document.kind!r} is not a kind of {API_VERSION}; its kinds are {kinds}")
        ]
    if not document.kind or not version:
        missing = "kind" if not document.kind else "apiVersion"
        return [Problem("MissingField", missing, f"is required (a Dag has apiVersion: {API_VERSION} and kind: Dag)")]
    return []


def _check_dag(manifest: dict[str, Any]) -> list[Problem]:
    dag, problems = validate_dag(manifest)
    return problems if dag is not None else problems + _hidden_by(problems, manifest)


def _hidden_by(problems: Sequence[Problem], manifest: dict[str, Any]) -> list[Problem]:
    """Return further problems of a Dag that cannot be parsed, found by omitting the fields that have a wrong shape."""
    spec = manifest.get("spec")
    tasks = spec.get("tasks") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        return []
    left = {**manifest, "apiVersion": API_VERSION, "spec": {**spec, "tasks": [dict(task) for task in tasks]}}
    places = {str(task.get("name", number)): task for number, task in enumerate(left["spec"]["tasks"])}
    broken = []
    for problem in problems:
        of_task, of_spec = _TASK_FIELD.match(problem.field), _SPEC_FIELD.match(problem.field)
        if of_task and of_task[2] != "name" and of_task[1] in places:
            places[of_task[1]].pop(of_task[2], None)
            broken.append(f"spec.tasks[{of_task[1]}]" + ("." if of_task[2] in _SETS_KIND_OF_TASK else f".{of_task[2]}"))
        elif of_spec and of_spec[1] not in _NEEDED_BY_OTHERS:
            left["spec"].pop(of_spec[1], None)
            broken.append(problem.field)
        elif not problem.field.startswith(("apiVersion", "metadata.")):
            return []
    found, others = validate_dag(left)
    return [each for each in others if found and not each.field.startswith((*broken, "metadata."))]


def parse_params(given: Sequence[str], schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Parse `("rows=5", "region=eu")` into values by name, each of the type in its schema.

    Values are JSON, but a param of type string takes the text as it is. Raises CliError for text that is not
    `name=value`.
    """
    params: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise CliError(f"--param {text!r} is not name=value, as in --param region=eu")
        if name in params:
            raise CliError(f"--param {name} is given twice")
        if not value.isprintable() and any("\ud800" <= each <= "\udfff" for each in value):
            raise CliError(f"--param {name}: its value is not valid UTF-8")
        params[name] = _typed(value, schemas.get(name))
    return params


def _typed(value: str, schema: Any) -> Any:
    declared = schema.get("type") if isinstance(schema, Mapping) else None
    types = [declared] if isinstance(declared, str) else list(declared or ())
    if types == ["string"]:
        return value
    try:
        parsed = json.loads(value, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        return value
    return value if isinstance(parsed, str) is False and "string" in types and _type(parsed) not in types else parsed


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is too large a number")
    return number


def _type(value: Any) -> str:
    if value is None:
        return "null"
    for kinds, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (list, "array"), (dict, "object")):
        if isinstance(value, kinds):
            return name
    return "string"


def zone_of(dag: DagSpec | Mapping[str, Any]) -> ZoneInfo:
    """Return the time zone of a Dag's spec, which is that of all times without an offset."""
    name = dag.get("timeZone") if isinstance(dag, Mapping) else dag.time_zone
    try:
        return time_zone(name or "UTC")
    except ValueError as error:
        raise CliError(f"the Dag's timeZone: {error}") from error


def parse_moment(text: str, zone: tzinfo) -> datetime:
    """Parse `2026-01-31` or an RFC 3339 time, and return it in UTC; without an offset it is in `zone`, the Dag's.

    Raises CliError if the text is not a time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise CliError(f"{text!r} is not a time: write 2026-01-31 or 2026-01-31T06:00:00Z") from error
    try:
        found = (moment.replace(tzinfo=zone) if moment.tzinfo is None else moment).astimezone(UTC)
        found.astimezone(zone)
        return found
    except OverflowError as error:
        raise CliError(f"{text!r} is out of range: years are 1 to 9999") from error


def parse_interval(text: str, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return start and end of `2026-01-30/2026-01-31`. Raises CliError if the text is not an interval."""
    first, slash, last = text.partition("/")
    if not slash:
        raise CliError(f"--data-interval {text!r} is not START/END, as in 2026-01-30/2026-01-31")
    start, end = parse_moment(first.strip(), zone), parse_moment(last.strip(), zone)
    if start > end:
        raise CliError(f"--data-interval {text}: its start is after its end")
    return start, end
