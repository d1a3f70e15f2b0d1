"""Whether params are declared well and given well. Each param is a JSON Schema."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend
from pydantic_core import SchemaError as PatternError
from pydantic_core import SchemaValidator, core_schema
from pydantic_core import ValidationError as NoMatch
from referencing import Registry

from tradewind.api.validation.problem import Problem
from tradewind.api.validation.shape import MAX_DEPTH, nested_deeper

MAX_PARAMS_BYTES = 256 * 1024
"""As JSON, of all params of a run: templates are rendered from them for every try."""
MAX_PATTERN = 1000
"""Characters, with repetitions written out."""
MAX_PATTERNS = 20
"""Of one param. Each may take a tenth of a second to be read, and 10 MiB."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_REPEATED = ("unevaluatedItems", "unevaluatedProperties")
_TOKEN = re.compile(r"\\[pPx]\{\w*\}|\\.|\[(?:\\.|[^\]\\])*\]|\{(?P<least>\d+)(?:,(?P<most>\d*))?\}|.", re.DOTALL)
_NO_ATOMS = "|^$*+?()"
_DATA = ("default", "const", "enum", "examples")
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
        except RecursionError:
            problems.append(Problem("InvalidParams", field, "is not a JSON Schema that can be checked: too deep"))
            continue
        refused = [Problem("InvalidParams", field, message) for message in _refused(schema)]
        problems += refused
        if not refused and "default" in schema:
            problems += _check_value(f"{field}.default", schema["default"], schema)
    if not problems:
        problems += _check_size("spec.params", with_defaults(schemas, {}), "the defaults have")
    return problems


def check_params(schemas: Mapping[str, Any], given: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the params of a run of a Dag that declares `schemas`."""
    if nested_deeper(given, MAX_DEPTH):
        return [Problem("InvalidParams", "spec.params", f"are nested deeper than {MAX_DEPTH} levels")]
    problems = _check_size("spec.params", given, "have")
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


def _check_size(field: str, values: Any, have: str) -> list[Problem]:
    if nested_deeper(values, MAX_DEPTH):
        return [Problem("InvalidParams", field, f"{have} more than {MAX_DEPTH} levels inside each other")]
    size = len(json.dumps(values, default=str).encode())
    if size <= MAX_PARAMS_BYTES:
        return []
    return [Problem("InvalidParams", field, f"{have} {size} bytes, at most {MAX_PARAMS_BYTES} may be")]


def _check_value(field: str, value: Any, schema: Any) -> list[Problem]:
    # The Dag may have been accepted before these were refused.
    if message := next(_refused(schema), None):
        return [Problem("InvalidParams", field, message)]
    try:
        errors = list(_Validator(schema, registry=Registry()).iter_errors(value))
    except Exception as error:  # numbers too large to compute with, schemas too deep
        message = f"cannot be checked against its schema: {type(error).__name__}"
        return [Problem("InvalidParams", field, message)]
    return [
        Problem("InvalidParams", ".".join([field, *map(str, error.absolute_path)]), error.message) for error in errors
    ]


# Patterns -------------------------------------------------------------------------------------------------------------
# Whoever may create a Dag chooses them, and Python's `re` can be kept busy for ever by `(a+)+$`. pydantic's engine,
# Rust's, takes time that grows with the text, and has no look-around and no backreferences for that reason.


@lru_cache(maxsize=32)
def _matcher(pattern: str) -> SchemaValidator:
    """Raises PatternError."""
    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))


def _has(pattern: str, text: str) -> bool:
    """Whether `pattern` is found anywhere in `text`."""
    try:
        _matcher(pattern).validate_python(text)
    except NoMatch:
        return False
    return True


def _refused(schema: Any) -> Iterator[str]:
    """What a schema may not say, though JSON Schema lets it."""
    left, count = [schema], 0
    while left:
        here = left.pop()
        if isinstance(here, list):
            left += here
        if not isinstance(here, Mapping):
            continue
        for keyword in _REFERENCES:
            if isinstance(here.get(keyword), str):
                yield f"may not refer to other schemas ({keyword})"
        for keyword in _REPEATED:
            if keyword in here:
                yield f"may not use {keyword}: say additionalProperties, or items"
        dialect = here.get("$schema")
        if isinstance(dialect, str) and dialect.rstrip("#") != DIALECT:
            yield f"$schema: only {DIALECT} is known"
        patterns = [here["pattern"]] if isinstance(here.get("pattern"), str) else []
        if isinstance(here.get("patternProperties"), Mapping):
            patterns += here["patternProperties"]
        count += len(patterns)
        if count > MAX_PATTERNS:
            yield f"has more than {MAX_PATTERNS} patterns"
            return
        yield from (message for pattern in patterns if (message := _unusable(pattern)))
        left += [below for keyword, below in here.items() if keyword not in _DATA]


def _unusable(pattern: str) -> str | None:
    size = _size(pattern)
    if size > MAX_PATTERN:
        return f"the pattern {pattern[:80]!r} is too large: written out it has {size} characters, {MAX_PATTERN} may be"
    try:
        _matcher(pattern)
    except (PatternError, ValueError) as error:
        why = str(error).strip().splitlines()[-1].strip()
        return f"the pattern {pattern[:80]!r} cannot be used: {why} (RE2 syntax: no look-around, no backreferences)"
    return None


def _size(pattern: str) -> int:
    """How long a pattern is with what is in braces written out: `(ab{3}){2}` is 8. The time that it takes grows with
    this times the length of the text."""
    sums, last = [0], 1
    for token in _TOKEN.finditer(pattern):
        if token[0] == "(":
            sums.append(0)
        elif token[0] == ")" and len(sums) > 1:
            last = max(1, sums.pop())
            sums[-1] += last
        elif token["most"] or token["least"]:
            times = int((token["most"] or token["least"])[:9])
            sums[-1] += last * (times - 1)
            last *= times
        elif token[0] not in _NO_ATOMS:
            last = 1
            sums[-1] += 1
    return max(len(pattern), sum(sums))


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not _has(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    for pattern, below in patterns.items():
        for name, value in instance.items():
            if _has(pattern, name):
                yield from validator.descend(value, below, path=name, schema_path=pattern)


def _additional_properties(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    extras = [name for name in instance if name not in named and not any(_has(each, name) for each in patterns)]
    if validator.is_type(allowed, "object"):
        for name in extras:
            yield from validator.descend(instance[name], allowed, path=name)
    elif not allowed and extras:
        shown = ", ".join(map(repr, sorted(extras)[:10]))
        yield ValidationError(f"has properties that are not declared: {shown}")


_Validator = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    },
)
