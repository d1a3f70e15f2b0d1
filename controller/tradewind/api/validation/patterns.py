"""Regular expressions of JSON Schemas. Anyone who may create a Dag can choose them, and `(a+)+$` keeps Python's `re`
busy forever. pydantic's engine (Rust's) takes linear time and therefore has no look-around and no backreferences. The
cost of compiling and matching a pattern is known in advance."""

import re
from functools import lru_cache

from pydantic_core import SchemaError as PatternError
from pydantic_core import SchemaValidator, core_schema
from pydantic_core import ValidationError as NoMatch

from tradewind.api.validation.work import MAX_AT_ONCE, TooMuchWork, Work

MAX_PATTERN = 1000
"""The maximum number of characters of a pattern with repetitions expanded."""

_TOKEN = re.compile(r"\\[pPx]\{\w*\}|\\.|\[(?:\\.|[^\]\\])*\]|\{(?P<least>\d+)(?:,(?P<most>\d*))?\}|.", re.DOTALL)
_NO_ATOMS = "|^$*+?()"
_UNICODE_CLASS = re.compile(r"\\[wWpP]")
_IGNORES_CASE = re.compile(r"\(\?[a-zA-Z]*i")

# Units of work, measured: the cost of compiling one character of an expanded pattern.
_PLAIN, _CLASS, _CLASS_OF_ANY_CASE = 8, 200, 1500
_LOOKED_AT_IN_A_UNIT = 64
"""Characters of a pattern times characters of a text, per unit of work."""


def pattern_error(pattern: str, work: Work) -> str | None:
    """Return why a pattern cannot be used, or None if it can. Raises TooMuchWork."""
    size, cost = _measure(pattern)
    if size > MAX_PATTERN:
        expanded = f"{size} characters with repetitions expanded; the limit is {MAX_PATTERN}"
        return f"the pattern {pattern[:80]!r} is too large: {expanded}"
    _spend(work, cost)
    try:
        _matcher(pattern)
    except (PatternError, ValueError) as error:
        why = str(error).strip().splitlines()[-1].strip()
        return f"the pattern {pattern[:80]!r} cannot be used: {why} (RE2 syntax: no look-around, no backreferences)"
    return None


def matches(pattern: str, text: str, work: Work) -> bool:
    """True if a valid pattern matches anywhere in `text`. Raises TooMuchWork."""
    _spend(work, 1 + _measure(pattern)[0] * len(text) // _LOOKED_AT_IN_A_UNIT)
    try:
        _matcher(pattern).validate_python(text)
    except NoMatch:
        return False
    return True


def _spend(work: Work, cost: int) -> None:
    if cost > MAX_AT_ONCE:
        raise TooMuchWork
    work.spend(cost)


# Each entry may take 10 MiB.
@lru_cache(maxsize=8)
def _matcher(pattern: str) -> SchemaValidator:
    """Compile a pattern. Raises PatternError."""
    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))


@lru_cache(maxsize=64)
def _measure(pattern: str) -> tuple[int, int]:
    """Return the length of a pattern with repetitions expanded (`(ab{3}){2}` is 8), and the units of work to compile
    it."""
    any_case = bool(_IGNORES_CASE.search(pattern))
    sums, last = [(0, 0)], (1, _PLAIN)
    for token in _TOKEN.finditer(pattern):
        if token[0] == "(":
            sums.append((0, 0))
        elif token[0] == ")" and len(sums) > 1:
            size, cost = sums.pop()
            last = max(1, size), max(_PLAIN, cost)
            sums[-1] = _plus(sums[-1], last)
        elif token["most"] or token["least"]:
            times = int((token["most"] or token["least"])[:9])
            sums[-1] = _plus(sums[-1], _times(last, times - 1))
            last = _times(last, times)
        elif token[0] not in _NO_ATOMS:
            last = 1, _cost(token[0], any_case)
            sums[-1] = _plus(sums[-1], last)
    return max(len(pattern), sum(size for size, _ in sums)), sum(cost for _, cost in sums)


def _cost(token: str, any_case: bool) -> int:
    if any_case and token[0] == "[" and ("\\" in token or not token.isascii()):
        return _CLASS_OF_ANY_CASE
    return _CLASS if _UNICODE_CLASS.search(token) else _PLAIN


def _plus(one: tuple[int, int], two: tuple[int, int]) -> tuple[int, int]:
    return one[0] + two[0], one[1] + two[1]


def _times(one: tuple[int, int], times: int) -> tuple[int, int]:
    return one[0] * times, one[1] * times
