"""Templates: `{{ … }}` in command, args, env and script, run by minijinja so that they reach nothing but given values.

A template comes from whoever may create a Dag and is rendered inside the controller, so besides minijinja's
sandbox and fuel everything that multiplies data is bounded: no `*`, no assignments or macros (which double
a string per line), the filters that can grow their input check the size of what they return, what has been printed is
counted, and `template_tags` refuses what is too long or too deep to be parsed. Values are Python's own dicts and lists,
so nothing may be called on them: `tasks.clear()` would change the run.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import minijinja

from tradewind.api.template_filters import FILTERS, check_literals, from_json, to_base64
from tradewind.api.template_tags import QUOTED, TagError, check_size, tags

MAX_RENDERED = 128 * 1024
"""Bytes that one rendered value may have: Linux takes no longer single argument or variable."""
FUEL = 20_000
"""Steps that a template may take."""
_LITTLE = 1_500_000
"""Steps times bytes of what a step may go through: a few hundredths of a second."""
_NO_FUEL = "engine ran out of fuel: too many steps, or too much in each; make it simpler, or the values smaller"
_UNIQUE_WORK = 200_000
"""Items that the filter `unique` looks at in one rendering: it is the slowest of all for what fuel it takes."""
_PARSED = 512 * 1024
"""Characters that the filter `fromjson` reads in one rendering."""
_REMEMBERED = 4096
"""Characters of a template up to which it is remembered that it has been checked."""
_STATEMENTS = {"if", "elif", "else", "endif", "for", "endfor"}
_FILTERS = frozenset(
    {
        *("abs", "bool", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items", "join"),
        *("keys", "last", "length", "list", "lower", "max", "min", "replace", "reverse", "round", "sort", "split"),
        *("string", "sum", "title", "tojson", "trim", "unique", "upper", "values"),
        *FILTERS,
    }
)
_ALIASES = frozenset({"count", "d"})
"""Other names of `length` and `default`."""

_EASY = re.compile(r"[\w\s.'\"\[\]-]*")
_STRING = re.compile(QUOTED, re.DOTALL)
_SPACES = re.compile(r"\s+")
_FILTER = re.compile(r"\|\s*(\w+)")
_CALL = re.compile(r"(\||\bis\b(?:\s+not\b)?)?\s*((?<!\w)[^\W\d]\w*|\]|\)|')\s*\(")
_GROUPS = {"and", "or", "not", "in", "if", "else", "is"}
"""Words that a parenthesis may follow without being a call."""
_ONE_NAME = r"\s*(?:\.\s*\w+|\[(?:[^\[\]]|\[[^\[\]]*\])*\])"
_PARTIAL_VARIABLE = re.compile(r"(?<![\w.])vars\b(?!" + _ONE_NAME + _ONE_NAME + ")")
_CONSTANTS = re.compile(r"\[[\s'\d.,-]*\]")
"""A list that has nothing of the values in it."""
_IN = re.compile(r"\bin\b")
_LISTS = frozenset({"fromjson", "items", "keys", "list", "reverse", "sort", "split", "unique", "values"})
_AS_TEXT, _LIST_AS_TEXT = 2, 10
"""Characters that one may become where a list is written as text: one with a backslash, or a list of its own."""
_LITTLE_GROWTH = 8
"""So much costs no more than the other things that a step may do."""
_SUBSCRIPT = re.compile(r"\b(tasks|params)\s*\[\s*(['\"])([^'\"]*)\2\s*\]")

TOP_LEVEL = {
    "logicalDate": "the moment the run is for, RFC 3339",
    "ds": "the logical date as YYYY-MM-DD, in the Dag's time zone",
    "ts": "the logical date and time, RFC 3339, in the Dag's time zone",
    "dsNodash": "the same as YYYYMMDD",
    "tsNodash": "the same as YYYYMMDDTHHMMSS",
    "dataInterval": "start and end of the data interval, RFC 3339; startDs and endDs, its days in the Dag's time zone",
    "prevLogicalDate": "the logical date of the run before, RFC 3339",
    "prevDataIntervalStartSuccess": "start of the data interval of the last run that succeeded, RFC 3339",
    "prevDataIntervalEndSuccess": "end of the data interval of the last run that succeeded, RFC 3339",
    "prevStartDateSuccess": "when the last run that succeeded started, RFC 3339",
    "prevEndDateSuccess": "when the last run that succeeded ended, RFC 3339",
    "params": "the run's parameters",
    "run": "name and type of the run",
    "dag": "name of the Dag, and its namespace",
    "task": "name and try of the task, index where it is mapped",
    "tasks": "by name, the output of each task upstream",
    "item": "what this instance of a mapped task is for",
    "index": "which instance of a mapped task this is, from 0",
    "vars": "by ConfigMap and key, the variables of the namespace",
}
"""What a template may use; the names that begin with prev are undefined where there is no such run."""


class TemplateError(ValueError):
    """A template that cannot be read or rendered; the message says where."""


class OutOfFuel(TemplateError):  # noqa: N818
    """A template did more than it may."""


def _bounded(text: str) -> str:
    if len(text) > MAX_RENDERED:
        raise ValueError(f"more than {MAX_RENDERED} characters")
    return text


def _replace(value: object, old: str, new: str) -> str:
    text = str(value)
    if len(text) + text.count(old) * len(new) > MAX_RENDERED:
        raise ValueError(f"more than {MAX_RENDERED} characters")
    return text.replace(old, new)


def _join(value: Iterable[object], separator: str = "") -> str:
    parts: list[str] = []
    size = 0
    for item in value:
        text = str(item)
        size += len(text) + len(separator)
        if size > MAX_RENDERED:
            raise ValueError(f"more than {MAX_RENDERED} characters")
        parts.append(text)
    return separator.join(parts)


def _tojson(value: object) -> str:
    return _bounded(json.dumps(value, ensure_ascii=False))


def _keys(value: object) -> list[Any]:
    if not isinstance(value, Mapping):
        raise ValueError("keys: is not an object")
    return list(value)


def _values(value: object) -> list[Any]:
    if not isinstance(value, Mapping):
        raise ValueError("values: is not an object")
    return list(value.values())


class _Work:
    """What one rendering has done so far."""

    __slots__ = ("parsed", "printed", "unique")

    def __init__(self) -> None:
        self.printed = self.unique = self.parsed = 0


_work: ContextVar[_Work] = ContextVar("_work")


def _unique(value: Iterable[object]) -> list[Any]:
    """Without what was there before; of texts that differ in case only, the first."""
    items = list(value)
    work = _work.get()
    work.unique += len(items)
    if work.unique > _UNIQUE_WORK:
        raise ValueError(f"unique: more than {_UNIQUE_WORK} items in all")
    seen: dict[str, object] = {}
    for item in items:
        seen.setdefault(item.lower() if isinstance(item, str) else f"{type(item).__name__} {item!r}", item)
    return list(seen.values())


def _to_base64(value: object) -> str:
    return _bounded(to_base64(value))


def _from_json(value: object) -> Any:
    text = str(value)
    work = _work.get()
    work.parsed += len(text)
    if work.parsed > _PARSED:
        raise ValueError(f"fromjson: more than {_PARSED} characters in all")
    return from_json(text)


def _printed(value: object) -> object:
    """What is printed is counted, as it is printed: not only in the end, when a loop has filled the memory with it.

    It may not be a method of a dict, which is what `params.keys` means where there is no such param.
    """
    if callable(value):
        raise ValueError(f"there is no {getattr(value, '__name__', value)!r} in it")
    work = _work.get()
    work.printed += len(value) if isinstance(value, str) else len(str(value))
    if work.printed > MAX_RENDERED:
        raise ValueError(f"more than {MAX_RENDERED} characters")
    return value


def _environment() -> minijinja.Environment:
    environment = minijinja.Environment(
        undefined_behavior="strict",
        fuel=FUEL,
        auto_escape_callback=lambda _: False,
        keep_trailing_newline=True,
        pycompat=False,
        finalizer=_printed,
    )
    filters: dict[str, Callable[..., Any]] = {
        **FILTERS,
        "fromjson": _from_json,
        "b64encode": _to_base64,
        "replace": _replace,
        "join": _join,
        "tojson": _tojson,
        "keys": _keys,
        "values": _values,
        "unique": _unique,
    }
    for name, function in filters.items():
        environment.add_filter(name, function)
    return environment


_ENVIRONMENT = _environment()


def is_template(text: str) -> bool:
    """Whether `text` has anything to fill in."""
    return "{{" in text or "{%" in text or "{#" in text


def little_fuel(texts: Iterable[str], values: Mapping[str, Any]) -> int:
    """The fuel with which none of `texts` holds up others for long: a single step may go through all of `values`, and
    through what was made of them before."""
    hard = [text for text in texts if not _is_easy(text)]
    if not hard:
        return FUEL
    size = len(json.dumps({name: value for name, value in values.items() if name != "vars"}, default=str))
    if any("vars" in text for text in hard):
        size += MAX_RENDERED
    return min(FUEL, _LITTLE // (size * sum(map(_growth, hard))))


def _growth(text: str) -> int:
    """How many times the values the largest thing may be that a template makes and goes on with: a loop over
    `[a ~ a]` has in its variable what the next one doubles again, and brackets do the same."""
    growth, last = 1, 0
    as_text = _LIST_AS_TEXT if _LISTS & set(_FILTER.findall(text)) else _AS_TEXT

    def grown(operators: int) -> int:
        return (operators + 1) * as_text if operators else 1

    try:
        for tag in tags(text):
            bare = _STRING.sub("''", tag.expression)
            growth *= as_text ** _FILTER.findall(bare).count("string")
            more = "~+"
            if tag.keyword == "for":
                more += ","
                bare = f"({_CONSTANTS.sub('', _IN.split(bare, maxsplit=1)[-1])})"
            counts = [0]
            for character in bare:
                if character in "([{":
                    counts.append(0)
                elif character in ")]}" and len(counts) > 1:
                    growth *= grown(counts.pop())
                elif character in more:
                    counts[-1] += 1
            last = max(last, counts[0])
    except TagError:
        return 1  # it is not rendered
    return 1 if growth <= _LITTLE_GROWTH else growth * grown(last) // _LITTLE_GROWTH


def _is_easy(text: str) -> bool:
    """Whether it only names values, so that what it costs does not grow with them."""
    if not is_template(text):
        return True
    try:
        return all(tag.keyword is None and _EASY.fullmatch(tag.expression) for tag in tags(text))
    except TagError:
        return False


def render(text: str, values: Mapping[str, Any], fuel: int = FUEL) -> str:
    """`text` with its templates filled in from `values`. Raises TemplateError, which names what is missing; OutOfFuel
    for what takes more steps than `fuel`, which does not count for what only names values."""
    if not is_template(text):
        return text
    _check(text)
    if fuel < FUEL and _is_easy(text):
        fuel = FUEL
    if fuel < 1:
        raise OutOfFuel(_NO_FUEL)
    _work.set(_Work())
    _ENVIRONMENT.fuel = fuel
    try:
        rendered = _ENVIRONMENT.render_str(text, **values)
    except minijinja.TemplateError as error:
        if "ran out of fuel" in str(error):
            raise OutOfFuel(_NO_FUEL) from error
        raise TemplateError(_explain(error)) from error
    except Exception as error:  # what a filter of ours raises comes through as it is
        raise TemplateError(str(error) or type(error).__name__) from error
    try:
        size = len(rendered.encode())
    except UnicodeEncodeError as error:
        raise TemplateError("the rendered text has half of a character (a lone surrogate)") from error
    if size > MAX_RENDERED:
        raise TemplateError(f"the rendered text has more than {MAX_RENDERED} bytes")
    if "\0" in rendered:
        raise TemplateError("the rendered text has a NUL character, which no program takes")
    return rendered


def references(text: str) -> set[str]:
    """What `text` uses, as dotted names: `{"ds", "params.region", "tasks.extract.output.rows"}`.

    Raises TemplateError for a template that cannot be read or does what a template may not do.
    """
    if not is_template(text):
        return set()
    _check(text)
    dotted: set[str] = _ENVIRONMENT.undeclared_variables_in_str(text, nested=True)
    return dotted | {f"{match[1]}.{match[3]}" for match in _SUBSCRIPT.finditer(text)}


def expressions(text: str) -> Iterator[str]:
    """What is between the braces, tag by tag, of a template that can be read."""
    try:
        for tag in tags(text):
            yield tag.expression
    except TagError:
        return


def _check(text: str) -> None:
    """Raise TemplateError for a syntax error, or for anything that could grow without bound."""
    # Long ones are not kept: thousands of them would fill the memory.
    if len(text) <= _REMEMBERED:
        _check_short(text)
    else:
        _check_now(text)


def _check_now(text: str) -> None:
    try:
        text.encode()
        check_size(text)
        _ENVIRONMENT.undeclared_variables_in_str(text)
    except UnicodeEncodeError as error:
        raise TemplateError("has half of a character (a lone surrogate)") from error
    except TagError as error:
        raise TemplateError(str(error)) from error
    except minijinja.TemplateError as error:
        raise TemplateError(_explain(error)) from error
    for tag in tags(text):
        if tag.keyword is not None and tag.keyword not in _STATEMENTS:
            raise TemplateError(f"{{% {tag.keyword} %}} is not allowed: use if, for and expressions")
        bare = _SPACES.sub(" ", _STRING.sub("''", tag.expression))
        if "*" in bare:
            raise TemplateError("`*` is not allowed")
        if _PARTIAL_VARIABLE.search(bare):
            raise TemplateError("`vars` must be followed by a ConfigMap and a key, as in `vars.settings.region`")
        for name in _FILTER.findall(bare):
            if name not in _FILTERS:
                known = ", ".join(sorted(_FILTERS - _ALIASES))
                raise TemplateError(f"filter {name!r} is unknown; there are {known}")
        _check_calls(bare)
        try:
            check_literals(tag.expression)
        except ValueError as error:
            raise TemplateError(str(error)) from error


_check_short = lru_cache(maxsize=16384)(_check_now)


def _check_calls(bare: str) -> None:
    """Raise TemplateError for a call in an expression without its strings: only filters and tests take arguments."""
    for match in _CALL.finditer(bare):
        kind, name = match.groups()
        attribute = bare[: match.start(2)].rstrip().endswith(".")
        if kind or (not attribute and name in _GROUPS):
            continue
        what = f"{name}()" if name.isidentifier() else "a call"
        if name == "xcom_pull":
            raise TemplateError("xcom_pull() is not allowed: use tasks.NAME.output")
        raise TemplateError(f"{what} is not allowed: use filters, as in `params.rows | length`")


def _explain(error: minijinja.TemplateError) -> str:
    detail = error.detail or str(error).split("\n", 1)[0]
    where = f" (line {error.line})" if error.line and error.line > 1 else ""
    return f"{detail}{where}"
