"""Make the chart's values.schema.json and the README's table of values from values.yaml.

    python3 helm/values.py           # write both
    python3 helm/values.py --check   # write nothing; exit 1 if either is out of date

A value's description is the comment above it. Its type is that of its default, and a comment line
`@schema {…}` (YAML, in one line) adds what the default cannot say. A mapping with neither `@schema` nor
`{}` as its default is a section: it takes the keys written there and no others.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent / "tradewind"
TABLE_START = "<!-- values: made by helm/values.py from values.yaml -->"
TABLE_END = "<!-- end of values -->"

_KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z][A-Za-z0-9]*):")
_COMMENT = re.compile(r"^ *# ?(?P<text>.*)$")
_ANNOTATION = "@schema "
_INDENT = 2
_SCHEMA_TYPES: list[tuple[type, str]] = [
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
]

Schema = dict[str, Any]


@dataclass(frozen=True)
class Value:
    """One value of the chart: where it is, its default, and what values.yaml says of it."""

    path: tuple[str, ...]
    default: Any
    description: str
    annotation: Schema = field(default_factory=dict)

    @property
    def name(self) -> str:
        return ".".join(self.path)

    @property
    def is_section(self) -> bool:
        return isinstance(self.default, dict) and bool(self.default) and not self.annotation

    def schema(self) -> Schema:
        """Its JSON Schema; raises ValueError for a list whose items are not described."""
        made: Schema = {"description": self.description, "default": self.default}
        if "enum" not in self.annotation:
            made["type"] = next(name for kind, name in _SCHEMA_TYPES if isinstance(self.default, kind))
        made |= self.annotation
        if made.get("type") == "array" and "items" not in made:
            raise ValueError(f"{self.name}: a list needs `@schema {{items: …}}`")
        if "properties" in made:
            made.setdefault("additionalProperties", False)
        return made


def read_values(text: str) -> list[Value]:
    """The values and sections of a values.yaml, in its order; raises ValueError for one without a comment."""
    defaults = yaml.safe_load(text)
    return list(_walk(text.splitlines(), defaults))


def _walk(lines: list[str], defaults: dict[str, Any]) -> Iterator[Value]:
    path: list[str] = []
    comment: list[str] = []
    leaf_depth: int | None = None  # inside a leaf of several lines, keys are not values
    for line in lines:
        if found := _COMMENT.match(line):
            comment.append(found["text"])
            continue
        key = _KEY.match(line)
        depth = len(key["indent"]) // _INDENT if key else None
        if key is None or depth is None or (leaf_depth is not None and depth > leaf_depth):
            comment = []
            continue
        path = [*path[:depth], key["key"]]
        value = _value(tuple(path), defaults, comment)
        leaf_depth = None if value.is_section else depth
        comment = []
        yield value


def _value(path: tuple[str, ...], defaults: dict[str, Any], comment: list[str]) -> Value:
    default: Any = defaults
    for key in path:
        default = default[key]
    description = " ".join(line for line in comment if not line.startswith(_ANNOTATION)).strip()
    annotation: Schema = {}
    for line in comment:
        if line.startswith(_ANNOTATION):
            annotation |= yaml.safe_load(line.removeprefix(_ANNOTATION))
    value = Value(path, default, description, annotation)
    if not description and not value.is_section:
        raise ValueError(f"{value.name} has no comment that describes it")
    return value


def make_schema(values: list[Value]) -> Schema:
    """A schema that takes these values, `global` and, for use as a dependency, `enabled`; nothing else."""
    root: Schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the Tradewind chart",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "global": {"description": "Values shared with other charts; not used here.", "type": "object"},
            "enabled": {"description": "For a chart that has this one as a dependency.", "type": "boolean"},
        },
    }
    sections: dict[tuple[str, ...], Schema] = {(): root}
    for value in values:
        made: Schema = value.schema()
        if value.is_section:
            made = {"type": "object", "additionalProperties": False, "properties": {}}
            sections[value.path] = made
        sections[value.path[:-1]]["properties"][value.path[-1]] = made
    return root


def make_table(values: list[Value]) -> str:
    """The README's Markdown table of all values that are not sections."""
    rows = ["| Value | Default | What it is |", "|---|---|---|"]
    for value in values:
        if not value.is_section:
            default = json.dumps(value.default, ensure_ascii=False).replace("|", "\\|")
            rows.append(f"| `{value.name}` | `{default}` | {value.description.replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def generated(chart: Path = CHART) -> dict[Path, str]:
    """What values.schema.json and README.md should contain, by path."""
    values = read_values((chart / "values.yaml").read_text())
    readme = chart / "README.md"
    before, rest = readme.read_text().split(TABLE_START)
    _, after = rest.split(TABLE_END)
    return {
        chart / "values.schema.json": json.dumps(make_schema(values), indent=2, ensure_ascii=False) + "\n",
        readme: f"{before}{TABLE_START}\n{make_table(values)}\n{TABLE_END}{after}",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    check = parser.parse_args().check
    stale = False
    for path, text in generated().items():
        if path.exists() and path.read_text() == text:
            continue
        stale = True
        if check:
            print(f"{path} is out of date: run python3 helm/values.py", file=sys.stderr)
        else:
            path.write_text(text)
            print(f"wrote {path}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
