"""Variables of commands that need no cluster: ConfigMaps in the files, and `--var configmap.key=value`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import click

from tradewind.api.names import LABEL_VARIABLES
from tradewind.api.validation import Problem
from tradewind.api.variables import MAX_BYTES, look_up, spelling, variable_uses, why_missing
from tradewind.cli.documents import Document
from tradewind.cli.errors import CliError
from tradewind.cli.inputs import Finding

F = TypeVar("F", bound=Callable[..., Any])
GivenVariables = dict[str, dict[str, str]]
"""The data of each ConfigMap, by its name."""
_LABEL = f"metadata.labels.{LABEL_VARIABLES}"
_NOT_TEMPLATES = {"name", "description", "image", "podTemplate"}


def variables_option(command: F) -> F:
    """`--var`."""
    return click.option(
        "--var",
        "variables",
        multiple=True,
        metavar="CONFIGMAP.KEY=VALUE",
        help="Value of {{ vars.CONFIGMAP.KEY }}; overrides ConfigMaps in the files. Can be repeated.",
    )(command)


def read_variables(documents: Iterable[Document], texts: Sequence[str]) -> tuple[GivenVariables, list[Finding]]:
    """Return the variables in labelled ConfigMaps and in options, and the problems of those ConfigMaps.

    Raises CliError for an option that is not `configmap.key=value`.
    """
    given: GivenVariables = {}
    findings = []
    for document in documents:
        if document.kind == "ConfigMap" and _label(document) is not None:
            problems = list(_problems(document))
            findings += [Finding(document, problem) for problem in problems]
            given[document.name] = {str(key): str(value) for key, value in _data(document).items()}
    options: set[tuple[str, str]] = set()
    for text in texts:
        place, equals, value = text.partition("=")
        name, _, key = place.partition(".")
        if not (equals and name and key):
            raise CliError(f"--var {text!r} is not configmap.key=value, as in --var settings.region=eu")
        name = spelling(given, name)
        data = given.setdefault(name, {})
        key = spelling(data, key)
        if (name, key) in options:
            raise CliError(f"--var {place} is given twice")
        options.add((name, key))
        data[key] = value
    return given, findings


def check_variables(documents: Sequence[Document], given: GivenVariables) -> list[Finding]:
    """Return a finding for each variable that a Dag uses and its ConfigMap in `documents` lacks.

    A ConfigMap that is not in `documents` may be on the cluster. An undefined variable with a default is fine.
    """
    unlabelled = {each.name: each for each in documents if each.kind == "ConfigMap" and _label(each) is None}
    findings = []
    for document in documents:
        if document.kind != "Dag" or not isinstance(document.manifest.get("spec"), dict):
            continue
        for field, text in _templates(document.manifest["spec"]):
            for use in variable_uses(text):
                if use.optional or look_up(given, use.config_map, use.key) is not None:
                    continue
                if spelling(given, use.config_map) in given:
                    why = why_missing(given, use.config_map, use.key, None)
                elif (name := spelling(unlabelled, use.config_map)) in unlabelled:
                    where = unlabelled[name]
                    why = (
                        f"templates cannot read the ConfigMap {name!r} ({where.file}:{where.line_of('metadata')}): it "
                        f'needs the label {LABEL_VARIABLES}: "true"'
                    )
                else:
                    continue
                message = f"there is no {use}: {why}"
                findings.append(Finding(document, Problem("InvalidTemplate", field, message)))
    return findings


def _label(document: Document) -> object:
    """Return the value of the label; None if it does not mark the ConfigMap as variables."""
    metadata = document.manifest.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    value = labels.get(LABEL_VARIABLES) if isinstance(labels, dict) else None
    return value if value in ("true", True) else None


def _problems(document: Document) -> Iterator[Problem]:
    if _label(document) is True:
        yield Problem("InvalidSpec", _LABEL, 'must be a string: write "true" in quotes')
    if not document.name:
        yield Problem("MissingField", "metadata.name", "is required: templates refer to the ConfigMap by it")
    if not isinstance(document.manifest.get("data") or {}, dict):
        yield Problem("InvalidSpec", "data", "must be an object with a string for each key")
        return
    for key, value in _data(document).items():
        if not isinstance(value, str):
            yield Problem("InvalidSpec", f"data.{key}", "must be a string: put the value in quotes")
    if sum(len(f"{key}{value}".encode()) for key, value in _data(document).items()) > MAX_BYTES:
        yield Problem("InvalidSpec", "data", f"is larger than {MAX_BYTES} bytes, the limit for variables; split it")


def _data(document: Document) -> dict[Any, Any]:
    data = document.manifest.get("data")
    return data if isinstance(data, dict) else {}


def _templates(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each string of the tasks that may be a template, with its field."""
    for name in ("taskDefaults", "groups", "tasks"):
        yield from _texts(spec.get(name), f"spec.{name}")


def _texts(value: Any, field: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, dict):
        for name, part in value.items():
            if name not in _NOT_TEMPLATES:
                yield from _texts(part, f"{field}.{name}")
    elif isinstance(value, list):
        for position, part in enumerate(value):
            named = part.get("name") if isinstance(part, dict) else None
            inner = part.get("value") if named and set(part) == {"name", "value"} else part
            yield from _texts(inner, f"{field}[{named or position}]")
