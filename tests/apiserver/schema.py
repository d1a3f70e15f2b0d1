"""Structural schemas of custom resources: unknown fields pruned, defaults filled in, the rest checked.

Of CEL rules only those that limit a name or forbid a change are understood, in the words our CRDs put them; the others
are not enforced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from tests.apiserver.kinds import Kind
from tests.apiserver.refusals import Problem

Json = dict[str, Any]
Check = Callable[[Any, str, list[Problem]], Any]
"""(value, path, problems found so far) → the value as it is stored."""

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_UNCHANGED = re.compile(r"has\((?:self|dyn\(self\))\.(\w+)\) == has\((?:oldSelf|dyn\(oldSelf\))\.\1\)")
_UNCHANGED_ONCE_SET = re.compile(r"!has\(self\.(\w+)\) \|\| !has\(oldSelf\.\1\) \|\| self\.\1 == oldSelf\.\1")
_NAME_SIZE = re.compile(r"self\.metadata\.name\.size\(\) <= (\d+)")


def checked(kind: Kind, document: Json, old: Json | None) -> tuple[Json, list[Problem]]:
    """The document as it is stored, and what is wrong with it."""
    assert kind.schema is not None
    problems: list[Problem] = []
    metadata, rest = document["metadata"], {**document}
    del rest["metadata"]
    stored = _compiled(kind)(rest, "", problems)
    document = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **stored}
    if problems and _has_rules(kind.schema):
        why = "some validation rules were not checked because the object was invalid; "
        text = f"Invalid value: null: {why}correct the existing errors to complete validation"
        problems.append(Problem("<nil>", text))
    elif not problems:
        problems += _broken_rules(kind, document, old)
    return document, problems


@lru_cache(maxsize=256)
def _compiled(kind: Kind) -> Check:
    assert kind.schema is not None
    properties = {name: field for name, field in kind.schema["properties"].items() if name != "metadata"}
    return _compile({**kind.schema, "properties": properties})


def _compile(schema: Mapping[str, Any]) -> Check:
    kind = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        check = _scalar(schema, (int, str), "integer or string")
    elif kind == "object":
        check = _object(schema)
    elif kind == "array":
        check = _array(schema)
    elif kind is None:
        return lambda value, path, problems: value
    else:
        check = _scalar(schema, _TYPES[kind], kind)
    return check


def _is_of(value: Any, types: tuple[type, ...]) -> bool:
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))


def _wrong_type(value: Any, path: str, expected: str) -> Problem:
    return Problem(
        path, f"Invalid value: {value!r}: {path} in body must be of type {expected}", "FieldValueTypeInvalid"
    )


def _scalar(schema: Mapping[str, Any], types: tuple[type, ...], expected: str) -> Check:
    allowed, pattern = schema.get("enum"), schema.get("pattern")
    compiled = re.compile(pattern) if pattern else None
    shortest, longest = schema.get("minLength"), schema.get("maxLength")
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    is_time = schema.get("format") == "date-time"

    def check(value: Any, path: str, problems: list[Problem]) -> Any:
        if not _is_of(value, types):
            problems.append(_wrong_type(value, path, expected))
            return value
        if allowed is not None and value not in allowed:
            listed = ", ".join(f'"{choice}"' for choice in allowed)
            message = f'Unsupported value: "{value}": supported values: {listed}'
            problems.append(Problem(path, message, "FieldValueNotSupported"))
        if isinstance(value, str):
            if longest is not None and len(value) > longest:
                message = f"Too long: may not be more than {longest} bytes"
                problems.append(Problem(path, message, "FieldValueTooLong"))
            wrong = (shortest and len(value) < shortest) or (compiled and not compiled.search(value))
            if wrong or (is_time and not _is_time(value)):
                problems.append(Problem(path, f'Invalid value: "{value}"'))
        elif (lowest is not None and value < lowest) or (highest is not None and value > highest):
            problems.append(Problem(path, f"Invalid value: {value}"))
        return value

    return check


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _array(schema: Mapping[str, Any]) -> Check:
    item_check = _compile(schema.get("items", {}))
    fewest, most = schema.get("minItems", 0), schema.get("maxItems")
    keys = schema.get("x-kubernetes-list-map-keys")
    unique = schema.get("x-kubernetes-list-type") == "set"

    def check(value: Any, path: str, problems: list[Problem]) -> Any:
        if not isinstance(value, list):
            problems.append(_wrong_type(value, path, "array"))
            return value
        if len(value) < fewest or (most is not None and len(value) > most):
            problems.append(Problem(path, f"Invalid value: {len(value)} items"))
        stored = [item_check(item, f"{path}[{index}]", problems) for index, item in enumerate(value)]
        identities: list[Any] = []
        if keys:
            identities = [tuple(item.get(key) for key in keys) for item in stored if isinstance(item, dict)]
        elif unique:
            identities = stored
        for index, identity in enumerate(identities):
            if identity in identities[:index]:
                problems.append(Problem(f"{path}[{index}]", "Duplicate value", "FieldValueDuplicate"))
        return stored

    return check


def _object(schema: Mapping[str, Any]) -> Check:
    checks = {name: _compile(field) for name, field in schema.get("properties", {}).items()}
    defaults = {name: field["default"] for name, field in schema.get("properties", {}).items() if "default" in field}
    required = schema.get("required", ())
    free = schema.get("x-kubernetes-preserve-unknown-fields", False)
    other = _compile(schema["additionalProperties"]) if isinstance(schema.get("additionalProperties"), dict) else None
    fewest, most = schema.get("minProperties", 0), schema.get("maxProperties")

    def check(value: Any, path: str, problems: list[Problem]) -> Any:
        if not isinstance(value, dict):
            problems.append(_wrong_type(value, path, "object"))
            return value
        stored = {}
        prefix = f"{path}." if path else ""
        for name, field in value.items():
            known = checks.get(name, other)
            if known is not None:
                if field is not None or name not in checks:
                    stored[name] = known(field, prefix + name, problems)
            elif free:
                stored[name] = field
        for name, default in defaults.items():
            stored.setdefault(name, default)
        absent = [name for name in required if name not in stored]
        problems += [Problem(prefix + name, "Required value", "FieldValueRequired") for name in absent]
        if len(stored) < fewest or (most is not None and len(stored) > most):
            problems.append(Problem(path, f"Invalid value: {len(stored)} properties"))
        return stored

    return check


def _has_rules(schema: Mapping[str, Any]) -> bool:
    below = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    own = bool(schema.get("x-kubernetes-validations"))
    return own or any(_has_rules(each) for each in below if isinstance(each, dict))


def _is_broken(rule: str, before: Json, after: Json) -> bool:
    """Whether a change breaks a rule about fields that stay, or stay while they are there."""
    if found := _UNCHANGED_ONCE_SET.fullmatch(rule):
        name = found.group(1)
        return name in before and name in after and before[name] != after[name]
    return any(before.get(name) != after.get(name) for name in _UNCHANGED.findall(rule))


def _broken_rules(kind: Kind, document: Json, old: Json | None) -> list[Problem]:
    assert kind.schema is not None
    problems = []
    for rule in kind.schema.get("x-kubernetes-validations", ()):
        size = _NAME_SIZE.fullmatch(rule["rule"])
        if size and len(document["metadata"]["name"]) > int(size.group(1)):
            problems.append(Problem("<nil>", f"Invalid value: {rule['message']}"))
    for name, field in kind.schema["properties"].items():
        before, after = (old or {}).get(name), document.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            rules = field.get("x-kubernetes-validations", ())
            broken = [rule for rule in rules if _is_broken(rule["rule"], before, after)]
            problems += [Problem(name, f"Invalid value: {rule['message']}") for rule in broken]
    return problems
