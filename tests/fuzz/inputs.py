"""Creates inputs: mutated valid ones, and values that are known to break careless readers."""

import contextlib
import copy
import random
from typing import Any

HOSTILE_TEXTS = [
    "",
    " ",
    "\x00",
    "\x1b[2J\x1b]0;x\x07",
    "\ud800",
    "é" * 300,
    "\u202e\u200b\ufeff",
    "𝕏" * 40,
    "a" * 70_000,
    "../../../etc/passwd",
    "/proc/self/environ",
    "{{",
    "}}",
    "{{ ds }}",
    "{% for i in params.p %}{{ i }}{% endfor %}",
    "{{ 'a' * 1000000000 }}",
    "{{ {'a': {'b': 'x'}}.a.b * 1000000000 }}",
    "{{ " + "not " * 3000 + "1 }}",
    "0-99999999999",
    "1,0",
    "-1",
    "9" * 400,
    "1e999",
    "NaN",
    "٣",
    "²",
    "0x10",
    "* * * * *",
    "*/0 * * * *",
    "0 0 30 2 *",
    "@hourly",
    "P1D",
    "99999999999999d",
    "1h1h",
    "0s",
    "-5m",
    "1e5s",
    "Europe/Berlin",
    "../../etc/localtime",
    "UTC\x00",
    "2026-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999+14:00",
    "2026-02-30T00:00:00Z",
    "(a+)+$",
    "(a{1000}){1000}",
    "(?=a)b",
    "a" * 40 + "b",
    "None",
    "null",
    "true",
    "__class__",
    "$ref",
    "#",
    "file:///etc/passwd",
    "Succeeded",
    "Running",
]
HOSTILE_NUMBERS = [0, -1, 1, 2, 100, 1024, 10_001, 2**31, 2**63, 2**64, 10**400, -(2**63), 0.1, 1e308, 5e-324]
NOT_NUMBERS = [float("nan"), float("inf"), -float("inf")]
KEYS = [
    "name",
    "tasks",
    "items",
    "default",
    "$ref",
    "pattern",
    "",
    "a.b",
    "a/b",
    "metadata",
    "__proto__",
    "0",
    "é",
    "\ud800",
]
TEMPLATE_PIECES = [
    *(
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "-%}",
        "{%-",
        "{%+",
        "'",
        '"',
        "\\",
        "\\'",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "|",
        ".",
        ",",
    ),
    *(
        "~",
        "*",
        "+",
        "-",
        "/",
        "%",
        "==",
        "<",
        " in ",
        " not ",
        " and ",
        " or ",
        " is ",
        " if ",
        " else ",
        "for x in ",
        "endfor",
    ),
    *(
        "if 1 ",
        "endif",
        "elif 1 ",
        "set x = ",
        "raw",
        "endraw",
        "macro m()",
        "include 'a'",
        "ds",
        "params",
        "params.rows",
    ),
    *(
        "params.text",
        "tasks",
        "tasks.a.output",
        "vars",
        "vars.a.b",
        "vars['a']['b']",
        "item",
        "index",
        "x",
        "loop",
        "self",
    ),
    *(
        "|upper",
        "|sort",
        "|unique",
        "|join(',')",
        "|replace('a','bb')",
        "|fromjson",
        "|b64encode",
        "|b64decode",
        "|add('1d')",
        "|tz('Asia/Tokyo')",
        "|date('%Y%j')",
        "|tojson",
        "|default('x')",
        "|list",
        "|items",
        "|length",
    ),
    *("|dictsort", "|split(',')", "|sum", "|min", "|max", "|float", "|int", "|round", "|reverse", "|title", "|string"),
    *(
        "range(9)",
        ".clear()",
        "[0]",
        "[-1]",
        "[1:]",
        "[::-1]",
        "1",
        "0",
        "9999999999",
        "1.5",
        "'a'",
        '"b"',
        "'}}'",
        "'%}'",
        "\n",
        " ",
    ),
]


class Maker:
    """Makes inputs from one source of chance."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def text(self) -> str:
        """Some text: a piece that hurts, two of them, or characters of any kind."""
        kind = self.random.random()
        if kind < 0.6:
            return self.random.choice(HOSTILE_TEXTS)
        if kind < 0.75:
            return self.random.choice(HOSTILE_TEXTS)[:200] + self.random.choice(HOSTILE_TEXTS)[:200]
        return "".join(self._character() for _ in range(self.random.randrange(20)))

    def _character(self) -> str:
        return chr(
            self.random.choice(
                [self.random.randrange(128), self.random.randrange(0x250), self.random.randrange(0x110000)]
            )
        )

    def template(self) -> str:
        """A soup of what templates are made of."""
        return "".join(self.random.choice(TEMPLATE_PIECES) for _ in range(self.random.randrange(1, 25)))

    def value(self, depth: int = 3, *, json: bool = True) -> Any:
        """Any JSON value; with `json` False also numbers that YAML knows and JSON does not."""
        kind = self.random.randrange(9)
        if kind == 0 or depth <= 0:
            return self.random.choice([None, True, False])
        if kind == 1:
            return self.random.choice(HOSTILE_NUMBERS + ([] if json else NOT_NUMBERS))
        if kind in (2, 3, 4):
            return self.text()
        if kind == 5 and self.random.random() < 0.1:
            return self.deep()
        if kind in (5, 6):
            return [self.value(depth - 1, json=json) for _ in range(self.random.randrange(4))]
        return {self.key(): self.value(depth - 1, json=json) for _ in range(self.random.randrange(4))}

    def key(self) -> str:
        return self.random.choice(KEYS) if self.random.random() < 0.8 else self.text()[:100]

    def deep(self) -> Any:
        """Something nested far deeper than anybody writes."""
        found: Any = 1
        as_list = self.random.random() < 0.5
        for _ in range(self.random.choice([60, 99, 150, 2000])):
            found = [found] if as_list else {"a": found}
        return found

    def bent(self, valid: Any, times: int | None = None, *, json: bool = True) -> Any:
        """A copy of something valid with a few things changed, wherever they are."""
        try:
            found = copy.deepcopy(valid)
        except RecursionError:
            return valid
        for _ in range(times if times is not None else self.random.choice([1, 1, 1, 2, 3, 6])):
            with contextlib.suppress(RecursionError):  # what is to be copied is nested too deeply for that
                found = self._bend(found, json)
        return found

    def _bend(self, root: Any, json: bool) -> Any:
        places = list(_places(root))
        if not places:
            return self.value(json=json)
        holder, key = self.random.choice(places)
        change, there = self.random.randrange(8), holder[key]
        if change == 0:
            del holder[key]
        elif change == 1:
            holder[key] = self.template() if isinstance(there, str) else self.text()
        elif change == 2 and isinstance(there, str) and there:
            cut = self.random.randrange(len(there))
            holder[key] = there[:cut] + self.text()[:500] + there[cut:]
        elif change == 3 and isinstance(holder, list):
            holder.append(copy.deepcopy(there))
        elif change == 3 and isinstance(holder, dict):
            holder[self.key()] = holder.pop(key)
        elif change == 4:
            other, name = self.random.choice(places)
            holder[key] = copy.deepcopy(other[name])
        elif change == 5 and isinstance(there, int):
            holder[key] = self.random.choice(HOSTILE_NUMBERS)
        elif change == 6 and isinstance(there, list):
            holder[key] = there * self.random.choice([2, 3, 50])
        else:
            holder[key] = self.value(json=json)
        return root


def _places(root: Any) -> list[tuple[Any, Any]]:
    """Every place in it, as (what holds it, key); not more than a few hundred."""
    found: list[tuple[Any, Any]] = []
    left = [root]
    while left and len(found) < 600:
        here = left.pop()
        keys = list(here) if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()
        for key in keys:
            found.append((here, key))
            left.append(here[key])
    return found
