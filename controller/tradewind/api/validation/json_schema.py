"""JSON Schemas of params: jsonschema validates schemas and values, and each of its keywords is counted as work.

Keywords whose cost has no limit are not supported (references, unevaluated…) or replaced: patterns use another engine,
unique items a set.
"""

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend
from jsonschema_specifications import REGISTRY as SPECIFICATIONS  # type: ignore[import-untyped]
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tradewind.api.validation.patterns import matches, pattern_error
from tradewind.api.validation.work import TooMuchWork, Work

MAX_PATTERNS = 20
"""The maximum number of patterns of one param."""
MAX_ERRORS = 20
"""The maximum number of errors of one value; more are not useful."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_REPEATED = ("unevaluatedItems", "unevaluatedProperties")
_DATA = ("default", "const", "enum", "examples")
_ERROR = 20
"""Units of work for an error, in addition to its message: anyOf keeps all of them."""
_COMPARED_IN_A_UNIT = 50
"""The number of texts that one unit of work can compare with another text."""
_MESSAGE_IN_A_UNIT = 50
"""Characters of a message per unit of work: jsonschema writes the whole value into each message."""

_work: ContextVar[Work] = ContextVar("_work")


def schema_error(schema: Mapping[str, Any], work: Work) -> str | None:
    """Return why `schema` is not a JSON Schema, or None if it is one. Raises TooMuchWork."""
    _work.set(work)
    error = best_match(islice(_META_VALIDATOR.iter_errors(schema), 1))
    if error is None:
        return None
    where = ".".join(map(str, error.absolute_path))
    return f"is not a JSON Schema: {where and where + ': '}{error.message}"


def unsupported_features(schema: Any, work: Work) -> Iterator[str]:
    """Yield messages for features of JSON Schema that are not supported. Raises TooMuchWork."""
    left, count = [schema], 0
    while left:
        here = left.pop()
        if isinstance(here, list):
            left += here
        if not isinstance(here, Mapping):
            continue
        work.spend(1)
        for keyword in _REFERENCES:
            if isinstance(here.get(keyword), str):
                yield f"must not refer to other schemas ({keyword})"
        for keyword in _REPEATED:
            if keyword in here:
                yield f"must not use {keyword}: use additionalProperties or items"
        dialect = here.get("$schema")
        if isinstance(dialect, str) and here is not schema:
            # jsonschema would continue there with its own validator, without counting work, and with Python's `re`.
            yield "$schema is allowed only at the top level"
        elif isinstance(dialect, str) and dialect.rstrip("#") != DIALECT:
            yield f"$schema: only {DIALECT} is supported"
        patterns = [here["pattern"]] if isinstance(here.get("pattern"), str) else []
        if isinstance(here.get("patternProperties"), Mapping):
            patterns += here["patternProperties"]
        count += len(patterns)
        if count > MAX_PATTERNS:
            yield f"has more than {MAX_PATTERNS} patterns"
            return
        yield from (message for pattern in patterns if (message := pattern_error(pattern, work)))
        left += [below for keyword, below in here.items() if keyword not in _DATA]


def errors_of(value: Any, schema: Any, work: Work) -> list[tuple[list[str | int], str]]:
    """Return the first MAX_ERRORS errors of `value`, as path and message. Raises TooMuchWork, and any exception of
    computing with extreme numbers."""
    _work.set(work)
    found = islice(_Validator(schema, registry=Registry()).iter_errors(value), MAX_ERRORS)
    return [(list(error.absolute_path), error.message) for error in found]


# Keywords -------------------------------------------------------------------------------------------------------------


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not matches(pattern, instance, _work.get()):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    for pattern, below in patterns.items():
        for name, value in instance.items():
            if matches(pattern, name, _work.get()):
                yield from validator.descend(value, below, path=name, schema_path=pattern)


def _additional_properties(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    work = _work.get()
    extras = [
        name for name in instance if name not in named and not any(matches(each, name, work) for each in patterns)
    ]
    if validator.is_type(allowed, "object"):
        for name in extras:
            yield from validator.descend(instance[name], allowed, path=name)
    elif not allowed and extras:
        shown = ", ".join(map(repr, sorted(extras)[:10]))
        yield ValidationError(f"has undeclared properties: {shown}")


def _unique_items(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not wanted or not validator.is_type(instance, "array"):
        return
    first: dict[str, int] = {}
    for position, item in enumerate(instance):
        before = first.setdefault(_canonical(item, _work.get()), position)
        if before != position:
            yield ValidationError(f"items must be unique: those at {before} and {position} are equal")
            return


def _canonical(value: Any, work: Work) -> str:
    """Return a text that is the same for values that are equal in JSON Schema: 1 equals 1.0, and true does not equal
    1."""
    work.spend(1)
    if isinstance(value, list):
        return "[" + ",".join([_canonical(item, work) for item in value]) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(sorted([f"{key!r}:{_canonical(item, work)}" for key, item in value.items()])) + "}"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return repr(value)


def _enum(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str):
        # The usual case: a long list of names, for each item of an even longer list.
        _work.get().spend(len(allowed) // _COMPARED_IN_A_UNIT)
        if instance not in allowed:
            yield ValidationError(f"{instance!r} is not one of {allowed!r}")
        return
    _work.get().spend(len(allowed) * _nodes(instance))
    yield from _KEYWORDS["enum"](validator, allowed, instance, schema)


def _const(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    _work.get().spend(_nodes(instance))
    yield from _KEYWORDS["const"](validator, wanted, instance, schema)


def _nodes(value: Any) -> int:
    """Return the number of nested values; a comparison takes no more steps."""
    if isinstance(value, list):
        return 1 + sum(map(_nodes, value))
    if isinstance(value, Mapping):
        return 1 + sum(map(_nodes, value.values()))
    return 1


# Counting -------------------------------------------------------------------------------------------------------------

_KEYWORDS: Mapping[str, Callable[..., Any]] = Draft202012Validator.VALIDATORS
_COUNTED_THERE = ("const", "enum")
"""Keywords that count their own work, because the length of their value does not show it."""
_WALKS = ("items", "contains", "propertyNames", "patternProperties", "additionalProperties", "prefixItems")


def _counted(keyword: str, check: Callable[..., Any]) -> Callable[..., Iterator[ValidationError]]:
    walks, counts = keyword in _WALKS, keyword not in _COUNTED_THERE

    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        work = _work.get()
        steps = 2 + (len(value) if counts and isinstance(value, list | dict) else 0)
        work.spend(steps + len(instance) if walks and isinstance(instance, list | dict) else steps)
        for error in check(validator, value, instance, schema) or ():
            work.spend(_ERROR + len(error.message) // _MESSAGE_IN_A_UNIT)
            yield error

    return counted


_OURS = {
    "additionalProperties": _additional_properties,
    "const": _const,
    "enum": _enum,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "uniqueItems": _unique_items,
}
_Validator = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {keyword: _counted(keyword, check) for keyword, check in {**_KEYWORDS, **_OURS}.items()},
)


def _without_dialect(uri: str) -> Any:
    """Return a part of the meta-schema without its dialect, so that our validator also checks its subschemas."""
    return {key: value for key, value in SPECIFICATIONS.contents(uri).items() if key != "$schema"}


_META_REGISTRY = (
    Registry()
    .with_resources(
        (uri, DRAFT202012.create_resource(_without_dialect(uri))) for uri in SPECIFICATIONS if "2020-12" in uri
    )
    .crawl()
)
_META_VALIDATOR = _Validator(_without_dialect(DIALECT), registry=_META_REGISTRY)
__all__ = ["DIALECT", "MAX_ERRORS", "MAX_PATTERNS", "TooMuchWork", "errors_of", "schema_error", "unsupported_features"]
