"""The fields of a Pod, from a file that is generated from Kubernetes' official Python client.

`python -m tradewind.api.pod_fields` writes the file; with `--check` it only compares. Only this needs the client. Each
type maps fields to types: `str`, `int`, `bool`, `float`, `any`, another type, `[…]` for a list and `{…}` for an object
whose values have that type.
"""

import json
import re
import sys
from functools import lru_cache
from pathlib import Path

FILE = Path(__file__).with_name("pod_fields.json")
ROOTS = ("V1PodSpec", "V1EnvVarSource", "V1EnvFromSource")
_QUANTITIES = ("limits", "requests", "sizeLimit", "divisor", "overhead")
"""Quantities. They may be numbers; the client declares them as strings."""

Fields = dict[str, dict[str, str]]


@lru_cache(maxsize=1)
def pod_fields() -> Fields:
    """Return the types of fields, by the name of their object's type."""
    found: Fields = json.loads(FILE.read_text())
    return found


def generated_text() -> str:
    """Return the text of the file."""
    from kubernetes.client import models

    found: Fields = {}
    left = list(ROOTS)
    while left:
        name = left.pop()
        if name in found:
            continue
        model = getattr(models, name)
        found[name] = {
            model.attribute_map[attribute]: _short(model.attribute_map[attribute], text)
            for attribute, text in model.openapi_types.items()
        }
        left += {kind for text in found[name].values() for kind in re.findall(r"\w*V1\w+", text)}
    return json.dumps(dict(sorted(found.items())), indent=1, sort_keys=True) + "\n"


def _short(field: str, text: str) -> str:
    if field in _QUANTITIES:
        return "any"
    if match := re.fullmatch(r"[Ll]ist\[(.*)\]", text):
        return f"[{_short('', match[1])}]"
    if match := re.fullmatch(r"[Dd]ict[(\[]str, (.*)[)\]]", text):
        return f"{{{_short('', match[1])}}}"
    return {"object": "any", "datetime": "str", "date": "str"}.get(text, text)


def main(arguments: list[str]) -> int:
    """Write the file, or with `--check` report whether it is up to date."""
    text = generated_text()
    if FILE.exists() and FILE.read_text() == text:
        return 0
    if "--check" in arguments:
        print(f"not up to date, run `make generate`: {FILE}", file=sys.stderr)
        return 1
    FILE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
