"""Label and field selectors: parsing, and what they select."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from tests.apiserver.kinds import Kind
from tests.apiserver.refusals import bad_request

Json = dict[str, Any]
Matches = Callable[[Json], bool]

_SET = re.compile(r"\s*(\S+)\s+(in|notin)\s+\(([^)]*)\)\s*")
_EQUALITY = re.compile(r"\s*([^=!\s]+)\s*(==|=|!=)\s*([^=!\s]*)\s*")
_COMMA = re.compile(r",(?![^(]*\))")


@lru_cache(maxsize=4096)
def selection(kind: Kind, labels: str, fields: str) -> Matches:
    """Whether an object is selected by both. Refusal (400) for a selector that the server does not understand."""
    tests = [_label_test(part) for part in _COMMA.split(labels) if part.strip()]
    tests += [_field_test(kind, part, labels, fields) for part in fields.split(",") if part.strip()]
    if not tests:
        return lambda document: True
    if len(tests) == 1:
        return tests[0]
    return lambda document: all(test(document) for test in tests)


def _labels(document: Json) -> Mapping[str, str]:
    return document["metadata"].get("labels") or {}


def _label_test(part: str) -> Matches:
    if found := _SET.fullmatch(part):
        key, operator, listed = found.groups()
        values = {value.strip() for value in listed.split(",")}
        if operator == "in":
            return lambda document: _labels(document).get(key) in values
        return lambda document: _labels(document).get(key) not in values
    if found := _EQUALITY.fullmatch(part):
        key, operator, value = found.groups()
        if operator == "!=":
            return lambda document: _labels(document).get(key) != value
        return lambda document: _labels(document).get(key) == value
    key = part.strip()
    if key.startswith("!"):
        absent = key[1:].strip()
        return lambda document: absent not in _labels(document)
    if re.search(r"[\s=!()]", key):
        raise bad_request(f"unable to parse requirement: found {part!r}")
    return lambda document: key in _labels(document)


def _field_test(kind: Kind, part: str, labels: str, fields: str) -> Matches:
    found = _EQUALITY.fullmatch(part)
    if found is None:
        raise bad_request(f"invalid selector: {fields!r}; can't understand {part!r}")
    path, operator, value = found.groups()
    if path not in kind.fields:
        raise bad_request(
            f'Unable to find "{kind.group_resource}" that match label selector "{labels}", '
            f'field selector "{fields}": field label not supported: {path}'
        )
    steps = tuple(path.split("."))
    if operator == "!=":
        return lambda document: _field(document, steps) != value
    return lambda document: _field(document, steps) == value


def _field(document: Json, steps: tuple[str, ...]) -> str:
    value: Any = document
    for step in steps:
        value = value.get(step) if isinstance(value, dict) else None
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
