"""Validation of params: their JSON Schemas, and the values that a run gives."""

import json
import re
from collections.abc import Mapping
from typing import Any

from tradewind.api.validation.json_schema import errors_of, schema_error, unsupported_features
from tradewind.api.validation.problem import Problem
from tradewind.api.validation.shape import MAX_DEPTH, nested_deeper
from tradewind.api.validation.work import MAX_WORK, TooMuchWork, Work

MAX_PARAMS_BYTES = 256 * 1024
"""The maximum size of all params of a run as JSON: every try renders its templates from them."""
MAX_SCHEMA_BYTES = 16 * 1024
"""The maximum size of the schema of one param as JSON, without its default."""
_IDENTIFIER = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def check_param_schemas(schemas: Mapping[str, Any], work: Work | None = None) -> list[Problem]:
    """Return the problems of a Dag's `params`. Raises TooMuchWork if `work` is given and exceeded."""
    work, limited = work or Work(MAX_WORK), work is not None
    problems = []
    for name, schema in schemas.items():
        field = f"spec.params.{name}"
        try:
            problems += _check_schema(field, name, schema, work)
        except TooMuchWork:
            if limited:
                raise
            return [*problems, Problem("InvalidParams", field, _TOO_MUCH)]
    if not problems:
        problems += _check_size("spec.params", with_defaults(schemas, {}), "the defaults are")
    return problems


def check_params(schemas: Mapping[str, Any], given: Mapping[str, Any], work: Work | None = None) -> list[Problem]:
    """Return the problems of a run's params, for a Dag that declares `schemas`. Raises TooMuchWork if `work` is given
    and exceeded."""
    work, limited = work or Work(MAX_WORK), work is not None
    if nested_deeper(given, MAX_DEPTH):
        return [Problem("InvalidParams", "spec.params", f"are nested deeper than {MAX_DEPTH} levels")]
    if problems := _check_size("spec.params", given, "are"):
        return problems
    for name, value in given.items():
        field = f"spec.params.{name}"
        if name not in schemas:
            known = f"its params are {', '.join(schemas)}" if schemas else "it has none"
            problems.append(Problem("InvalidParams", field, f"the Dag has no such param; {known}"))
            continue
        try:
            problems += _check_value(field, value, schemas[name], work)
        except TooMuchWork:
            if limited:
                raise
            return [*problems, Problem("InvalidParams", field, _TOO_MUCH)]
    for name, schema in schemas.items():
        if name not in given and "default" not in schema:
            problems.append(Problem("InvalidParams", f"spec.params.{name}", "is required: it has no default"))
    return problems


def with_defaults(schemas: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the params of a run: the given values, and defaults for the others."""
    defaults = {name: schema["default"] for name, schema in schemas.items() if "default" in schema}
    return {**defaults, **given}


def _check_schema(field: str, name: str, schema: Any, work: Work) -> list[Problem]:
    if not _IDENTIFIER.fullmatch(name):
        return [Problem("InvalidParams", field, "the name must be letters, digits and '_', and not begin with a digit")]
    if not isinstance(schema, dict):
        message = f"must be a JSON Schema, for example {{type: string, default: {repr(schema)[:80]}}}"
        return [Problem("InvalidParams", field, message)]
    if nested_deeper(schema, MAX_DEPTH):
        return [Problem("InvalidParams", field, f"is nested deeper than {MAX_DEPTH} levels")]
    size = len(json.dumps({**schema, "default": None}, default=str).encode())
    if size > MAX_SCHEMA_BYTES:
        message = f"its schema is {size} bytes without the default; the limit is {MAX_SCHEMA_BYTES}"
        return [Problem("InvalidParams", field, message)]
    try:
        why = schema_error(schema, work)
    except RecursionError:
        why = "is not a supported JSON Schema: it is nested too deeply"
    if why:
        return [Problem("InvalidParams", field, why)]
    problems = [Problem("InvalidParams", field, message) for message in unsupported_features(schema, work)]
    if not problems and "default" in schema:
        return _check_value(f"{field}.default", schema["default"], schema, work)
    return problems


def _check_size(field: str, values: Any, are: str) -> list[Problem]:
    if nested_deeper(values, MAX_DEPTH):
        return [Problem("InvalidParams", field, f"{are} nested deeper than {MAX_DEPTH} levels")]
    size = len(json.dumps(values, default=str).encode())
    if size <= MAX_PARAMS_BYTES:
        return []
    return [Problem("InvalidParams", field, f"{are} {size} bytes; the limit is {MAX_PARAMS_BYTES}")]


def _check_value(field: str, value: Any, schema: Any, work: Work) -> list[Problem]:
    # The Dag may have been accepted before these features were rejected.
    if message := next(unsupported_features(schema, work), None):
        return [Problem("InvalidParams", field, message)]
    try:
        errors = errors_of(value, schema, work)
    except TooMuchWork:
        raise
    except Exception as error:  # numbers too large to compute with, schemas too deep
        message = f"cannot be checked against its schema: {type(error).__name__}"
        return [Problem("InvalidParams", field, message)]
    return [Problem("InvalidParams", ".".join([field, *map(str, path)]), message) for path, message in errors]


_TOO_MUCH = "is too expensive to check: simplify the schema, or use a smaller value"
