"""Templates: `{{ … }}` in command, args, env and script, rendered by minijinja so that they access only the given
values.

Anyone who may create a Dag can write a template, and it is rendered inside the controller. Besides minijinja's sandbox
and fuel, everything that multiplies data is therefore limited: no `*`, no assignments or macros (which double a string
per line), filters that can grow their input check the size of their result, printed characters are counted, and
`template_tags` rejects templates that are too long or too deep to parse. Values are Python's own dicts and lists, so
calls are forbidden: `tasks.clear()` would change the run.
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
"""The maximum size of a rendered value in bytes: Linux allows no longer single argument or variable."""
FUEL = 20_000
"""The maximum number of steps of a template."""
_SHORT_WORK = 1_500_000
"""Steps times bytes that a step may process: a few hundredths of a second."""
_NO_FUEL = "ran out of fuel: too many steps or too large values; simplify the template, or use smaller values"
_UNIQUE_WORK = 200_000
"""The maximum number of items that the filter `unique` processes in one rendering: it is the slowest filter per unit of
fuel."""
_PARSED = 512 * 1024
"""The maximum number of characters that the filter `fromjson` parses in one rendering."""
_CACHED_LENGTH = 4096
"""The maximum length of templates whose check is cached."""
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
"""Words before a parenthesis that is not a call."""
_ONE_NAME = r"\s*(?:\.\s*\w+|\[(?:[^\[\]]|\[[^\[\]]*\])*\])"
_PARTIAL_VARIABLE = re.compile(r"(?<![\w.])vars\b(?!" + _ONE_NAME + _ONE_NAME + ")")
_CONSTANTS = re.compile(r"\[[\s'\d.,-]*\]")
"""A list of constants, without any of the values."""
_IN = re.compile(r"\bin\b")
_LISTS = frozenset({"fromjson", "items", "keys", "list", "reverse", "sort", "split", "unique", "values"})
_AS_TEXT, _LIST_AS_TEXT = 2, 10
"""Number of characters that one becomes when a list is rendered as text: one with a backslash, or a list of its own."""
_SMALL_GROWTH = 8
"""Growth up to this factor costs no more than other steps."""
_SUBSCRIPT = re.compile(r"\b(tasks|params)\s*\[\s*(['\"])([^'\"]*)\2\s*\]")

TOP_LEVEL = {
    "logicalDate": "the moment the run is for, RFC 3339",
    "ds": "the logical date as YYYY-MM-DD, in the Dag's time zone",
    "ts": "the logical date and time, RFC 3339, in the Dag's time zone",
    "dsNodash": "the same as YYYYMMDD",
    "tsNodash": "the same as YYYYMMDDTHHMMSS",
    "dataInterval": "start and end of the data interval, RFC 3339; startDs and endDs, its days in the Dag's time zone",
    "prevLogicalDate": "logical date of the previous run, RFC 3339",
    "prevDataIntervalStartSuccess": "start of the data interval of the last successful run, RFC 3339",
    "prevDataIntervalEndSuccess": "end of the data interval of the last successful run, RFC 3339",
    "prevStartDateSuccess": "start time of the last successful run, RFC 3339",
    "prevEndDateSuccess": "finish time of the last successful run, RFC 3339",
    "params": "the run's parameters",
    "run": "name and type of the run",
    "dag": "name of the Dag, and its namespace",
    "task": "name and try of the task, index if it is mapped",
    "tasks": "the output of each upstream task, by name",
    "item": "the item of this instance of a mapped task",
    "index": "the index of this instance of a mapped task, from 0",
    "vars": "the variables of the namespace, by ConfigMap and key",
}
"""The values that a template may use; those that begin with prev are undefined if there is no such run."""


class TemplateError(ValueError):
    """A template that cannot be parsed or rendered; the message says where."""


class OutOfFuel(TemplateError):  # noqa: N818
    """A template exceeded its limit of steps."""


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
    """Counters of one rendering."""

    __slots__ = ("parsed", "printed", "unique")

    def __init__(self) -> None:
        self.printed = self.unique = self.parsed = 0


_work: ContextVar[_Work] = ContextVar("_work")


def _unique(value: Iterable[object]) -> list[Any]:
    """Remove duplicates; of texts that differ only in case the first is kept."""
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
    """Count what is printed while it is printed, before a loop can fill the memory with it.

    A method of a dict is rejected: `params.keys` is one if there is no param named keys.
    """
    if callable(value):
        raise ValueError(f"no field named {getattr(value, '__name__', value)!r}")
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
    """True if `text` contains a tag."""
    return "{{" in text or "{%" in text or "{#" in text


def fuel_for(texts: Iterable[str], values: Mapping[str, Any]) -> int:
    """Return the fuel with which none of `texts` blocks other work for long. A single step may process all of `values`,
    and any value that earlier steps made from them."""
    hard = [text for text in texts if not _is_easy(text)]
    if not hard:
        return FUEL
    size = len(json.dumps({name: value for name, value in values.items() if name != "vars"}, default=str))
    if any("vars" in text for text in hard):
        size += MAX_RENDERED
    return min(FUEL, _SHORT_WORK // (size * sum(map(_growth, hard))))


def _growth(text: str) -> int:
    """Return an upper bound for the largest value that a template builds and uses again, as a multiple of the values: a
    loop over `[a ~ a]` has a variable that the next loop doubles again, and brackets do the same."""
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
    return 1 if growth <= _SMALL_GROWTH else growth * grown(last) // _SMALL_GROWTH


def _is_easy(text: str) -> bool:
    """True if the template only names values, so that its cost does not grow with them."""
    if not is_template(text):
        return True
    try:
        return all(tag.keyword is None and _EASY.fullmatch(tag.expression) for tag in tags(text))
    except TagError:
        return False


def render(text: str, values: Mapping[str, Any], fuel: int = FUEL) -> str:
    """Render `text` with `values`. Raises TemplateError, which names a missing value, and OutOfFuel for a template that
    takes more steps than `fuel`; a template that only names values always gets the full fuel."""
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
        raise TemplateError("the rendered text contains a lone surrogate, which is not valid Unicode") from error
    if size > MAX_RENDERED:
        raise TemplateError(f"the rendered text has more than {MAX_RENDERED} bytes")
    if "\0" in rendered:
        raise TemplateError("the rendered text contains a NUL character, which program arguments cannot contain")
    return rendered


def references(text: str) -> set[str]:
    """Return the values that `text` uses, as dotted names: `{"ds", "params.region", "tasks.extract.output.rows"}`.

    Raises TemplateError for a template that cannot be parsed or uses a forbidden feature.
    """
    if not is_template(text):
        return set()
    _check(text)
    dotted: set[str] = _ENVIRONMENT.undeclared_variables_in_str(text, nested=True)
    return dotted | {f"{match[1]}.{match[3]}" for match in _SUBSCRIPT.finditer(text)}


def expressions(text: str) -> Iterator[str]:
    """Yield the text between the braces of each tag, for a template that can be parsed."""
    try:
        for tag in tags(text):
            yield tag.expression
    except TagError:
        return


def _check(text: str) -> None:
    """Raise TemplateError for a syntax error, or for anything that could grow without limit."""
    # Long templates are not cached: thousands of them would fill the memory.
    if len(text) <= _CACHED_LENGTH:
        _check_short(text)
    else:
        _check_now(text)


def _check_now(text: str) -> None:
    try:
        text.encode()
        check_size(text)
        _ENVIRONMENT.undeclared_variables_in_str(text)
    except UnicodeEncodeError as error:
        raise TemplateError("contains a lone surrogate, which is not valid Unicode") from error
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
                raise TemplateError(f"filter {name!r} is unknown; filters: {known}")
        _check_calls(bare)
        try:
            check_literals(tag.expression)
        except ValueError as error:
            raise TemplateError(str(error)) from error


_check_short = lru_cache(maxsize=16384)(_check_now)


def _check_calls(bare: str) -> None:
    """Raise TemplateError for a call in an expression whose strings are removed: only filters and tests take
    arguments."""
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
