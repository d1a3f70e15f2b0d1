"""Validation of the shape of a manifest: pydantic's errors in the terms of the YAML file."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tradewind.api.duration import PATTERN as DURATION_PATTERN
from tradewind.api.model import DNS_LABEL, DNS_SUBDOMAIN, IDENTIFIER
from tradewind.api.run_request import TASK_OR_INSTANCE
from tradewind.api.validation.problem import Problem
from tradewind.api.validation.spelling import did_you_mean, how_to_write, near_name

M = TypeVar("M", bound=BaseModel)

MAX_DEPTH = 100
"""The maximum nesting depth of lists and objects. The API server accepts thousands of levels, the code here does
not."""


def parse(model: type[M], manifest: Mapping[str, Any]) -> tuple[M | None, list[Problem]]:
    """Return `manifest` as a `model`, or the problems that prevent it."""
    if not isinstance(manifest, Mapping):
        return None, [Problem("InvalidSpec", "", f"must be an object, not {kind_of(manifest)}")]
    try:
        return model.model_validate(manifest), []
    except ValidationError as error:
        return None, [_problem(model, dict(detail), manifest) for detail in error.errors()]


def check_name(kind: str, manifest: Mapping[str, Any], longest: int) -> list[Problem]:
    """Check a name. It becomes part of Pod names and labels, so the limit is lower than that of Kubernetes."""
    metadata = manifest.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if not name:
        if isinstance(metadata, Mapping) and metadata.get("generateName"):
            return []
        return [Problem("InvalidName", "metadata.name", f"a {kind} needs a name")]
    if not isinstance(name, str) or not re.fullmatch(DNS_LABEL, name):
        message = f"{name!r} must be lower-case letters, digits and '-', and begin and end with a letter or digit"
        return [Problem("InvalidName", "metadata.name", message)]
    if len(name) > longest:
        message = f"{name!r} has {len(name)} characters; the limit is {longest}, as runs and Pods are named after it"
        return [Problem("NameTooLong", "metadata.name", message)]
    return []


def path_of(location: tuple[int | str, ...], manifest: Any = None) -> str:
    """`("spec", "tasks", 1, "name")` → `spec.tasks[extract].name`: items are named if they have a name."""
    path, here = "", manifest
    for part in location:
        if isinstance(part, int):
            here = here[part] if isinstance(here, list) and part < len(here) else None
            name = here.get("name") if isinstance(here, dict) else None
            path += f"[{name if isinstance(name, str) else part}]"
        else:
            here = here.get(part) if isinstance(here, dict) else None
            path += f".{part}" if path else part
    return path


def nested_deeper(value: Any, depth: int) -> bool:
    """True if lists and objects are nested deeper than `depth` levels."""
    level = [value]
    for _ in range(depth + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, list | Mapping)
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
        ]
    return bool(level)


def find_nul(value: Any) -> tuple[int | str, ...] | None:
    """Return the path of a text with a NUL character, if any."""
    left: list[tuple[tuple[int | str, ...], Any]] = [((), value)]
    while left:
        path, here = left.pop()
        if isinstance(here, str) and "\0" in here:
            return path
        if isinstance(here, list):
            left += [((*path, place), item) for place, item in enumerate(here)]
        elif isinstance(here, Mapping):
            if any("\0" in str(key) for key in here):
                return path
            left += [((*path, str(key)), item) for key, item in here.items()]
    return None


def _problem(model: type[BaseModel], detail: dict[str, Any], manifest: Any) -> Problem:
    location = tuple(detail["loc"])
    # Unions add the name of their branch to the path, which does not exist in a YAML file.
    kind = detail["type"]
    unknown = location[-1:] if kind == "extra_forbidden" else ()  # its name may contain brackets
    known = location[: len(location) - len(unknown)]
    location = tuple(part for part in known if not (isinstance(part, str) and re.search(r"[\[\]()]", part))) + unknown
    field, given = path_of(location, manifest), detail.get("input")
    context = detail.get("ctx") or {}
    if kind == "extra_forbidden":
        names = _names_at(model, tuple(part if isinstance(part, str) else 0 for part in location[:-1]))
        return Problem("UnknownField", field, "unknown field" + did_you_mean(str(location[-1]), names))
    if kind == "missing":
        return Problem("MissingField", field, "is required")
    if kind == "string_pattern_mismatch":
        want = _PATTERNS.get(str(context.get("pattern")), f"must match {context.get('pattern')}")
        return Problem("InvalidSpec", field, f"{given!r} {want}")
    if kind == "literal_error":
        wanted = str(context.get("expected"))
        near = near_name(str(given), re.findall(r"'([^']*)'", wanted))
        hint = f"; did you mean {near}?" if near else ""
        return Problem("InvalidSpec", field, f"{_short(given)} must be {wanted}{hint}")
    if kind in _WANTED:
        hint = how_to_write(str(location[-1]) if location else "", given, _WANTED[kind])
        return Problem("InvalidSpec", field, f"must be {_WANTED[kind]}, not {kind_of(given)}{hint}")
    if kind in _LIMITS:
        size = f"{len(given)}" if isinstance(given, list | dict | str) else ""
        return Problem("InvalidSpec", field, _LIMITS[kind].format(**context, given=_short(given), size=size))
    message = str(detail["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    shown = "" if isinstance(given, dict | list) or repr(given) in message else f" (it is {_short(given)})"
    return Problem("InvalidSpec", field, message + shown)


_PATTERNS = {
    DNS_LABEL: "must be lower-case letters, digits and '-', and begin and end with a letter or digit",
    DNS_SUBDOMAIN: "must be lower-case letters, digits, '-' and '.', and begin and end with a letter or digit",
    IDENTIFIER: "must be letters, digits and '_', and not begin with a digit",
    TASK_OR_INSTANCE: "must be a task, a group, or one instance of a mapped task: load or load[3]",
    DURATION_PATTERN: "is not a duration: write a number and a unit (ms, s, m, h, d), as in 90s or 1h30m",
}
_WANTED = {
    "string_type": "a string",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "datetime_type": "a time, as in 2026-01-31T06:00:00Z",
    "datetime_parsing": "a time, as in 2026-01-31T06:00:00Z",
    "datetime_from_date_parsing": "a time, as in 2026-01-31T06:00:00Z",
}
_LIMITS = {
    "too_short": "has {actual_length} items; the minimum is {min_length}",
    "too_long": "has {size} items; the limit is {max_length}",
    "string_too_short": "must not be empty",
    "string_too_long": "has {size} characters; the limit is {max_length}",
    "greater_than_equal": "{given} must be at least {ge}",
    "less_than_equal": "{given} must be at most {le}",
    "int_parsing_size": "{given} is too large a number",
}


def kind_of(value: Any) -> str:
    """Return a description of a value: `the string 'x'`, `a list`."""
    if value is None:
        return "empty"
    for types, name in (
        (bool, f"{str(value).lower()}"),
        (str, f"the string {_short(value)}"),
        (int | float, f"the number {value}"),
        (list, "a list"),
        (dict, "an object"),
    ):
        if isinstance(value, types):
            return name
    return type(value).__name__


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


@lru_cache
def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema of a model. It is cached: generating it takes milliseconds, and a manifest may have
    thousands of unknown fields."""
    return model.model_json_schema(by_alias=True)


@lru_cache(maxsize=256)
def _names_at(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[str, ...]:
    """Return the fields of the object at a location; every item of a list is 0."""
    schema = _schema_of(model)
    definitions, here = schema.get("$defs", {}), schema
    for part in location:
        here = _descend(here, part, definitions)
    return tuple(_dereference(here, definitions).get("properties", {}))


def _dereference(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    for option in schema.get("anyOf", []):
        if option.get("type") != "null":
            return _dereference(option, definitions)
    if "$ref" in schema:
        return dict(definitions[schema["$ref"].rsplit("/", 1)[-1]])
    return schema


def _descend(schema: dict[str, Any], part: int | str, definitions: dict[str, Any]) -> dict[str, Any]:
    here = _dereference(schema, definitions)
    if isinstance(part, int):
        return dict(here.get("items", {}))
    extra = here.get("additionalProperties")
    return dict(here.get("properties", {}).get(part) or (extra if isinstance(extra, dict) else {}))
