"""Whether params are declared well and given well. Each param is a JSON Schema."""

import re
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from tradewind.api.validation.problem import Problem
from tradewind.api.validation.shape import MAX_DEPTH, nested_deeper

_IDENTIFIER = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def check_param_schemas(schemas: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with a Dag's `params`."""
    problems = []
    for name, schema in schemas.items():
        field = f"spec.params.{name}"
        if not _IDENTIFIER.fullmatch(name):
            problems.append(Problem("InvalidParams", field, "a param's name has letters, digits and '_' only"))
            continue
        if not isinstance(schema, dict):
            message = f"must be a JSON Schema, for example {{type: string, default: {schema!r}}}"
            problems.append(Problem("InvalidParams", field, message))
            continue
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            problems.append(Problem("InvalidParams", field, f"is not a JSON Schema: {error.message}"))
            continue
        if "$ref" in schema or "$dynamicRef" in schema:
            problems.append(Problem("InvalidParams", field, "may not refer to other schemas ($ref)"))
        elif "default" in schema:
            problems += _check_value(f"{field}.default", schema["default"], schema)
    return problems


def check_params(schemas: Mapping[str, Any], given: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the params of a run of a Dag that declares `schemas`."""
    if nested_deeper(given, MAX_DEPTH):
        return [Problem("InvalidParams", "spec.params", f"are nested deeper than {MAX_DEPTH} levels")]
    problems = []
    for name, value in given.items():
        if name not in schemas:
            known = f"it has {', '.join(schemas)}" if schemas else "it has no params"
            problems.append(Problem("InvalidParams", f"spec.params.{name}", f"the Dag has no such param; {known}"))
        else:
            problems += _check_value(f"spec.params.{name}", value, schemas[name])
    for name, schema in schemas.items():
        if name not in given and "default" not in schema:
            problems.append(Problem("InvalidParams", f"spec.params.{name}", "must be given: it has no default"))
    return problems


def with_defaults(schemas: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The params of a run: those given, else their defaults."""
    defaults = {name: schema["default"] for name, schema in schemas.items() if "default" in schema}
    return {**defaults, **given}


def _check_value(field: str, value: Any, schema: Mapping[str, Any]) -> list[Problem]:
    errors = Draft202012Validator(schema).iter_errors(value)
    return [
        Problem("InvalidParams", ".".join([field, *map(str, error.absolute_path)]), error.message) for error in errors
    ]
