"""Suggestions for misspelled fields and values."""

import difflib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

_ALIASES = {
    "upstream": "dependsOn",
    "needs": "dependsOn",
    "depends": "dependsOn",
    "dependencies": "dependsOn",
    "scheduleinterval": "schedule",
    "cron": "schedule",
    "executiondate": "logicalDate",
    "conf": "params",
    "configuration": "params",
    "executiontimeout": "timeout",
    "dagruntimeout": "runTimeout",
    "bashcommand": "script",
    "cmd": "command",
    "cmds": "command",
    "arguments": "args",
    "envvars": "env",
    "environment": "env",
    "maxactivetis": "maxActiveTasks",
    "concurrency": "maxActiveTasks",
    "expand": "forEach",
    "withitems": "forEach",
    "when": "shortCircuit",
    "failfast": "failFast",
    "containerimage": "image",
    "retry": "retries",
    "retrydelay": "retries",
}
"""Names in Airflow, Argo and elsewhere, lower case and without underscores, and our names."""
_DURATIONS = frozenset(
    {
        *("timeout", "delay", "maxDelay", "queuedTimeout", "interval", "runTimeout", "startingDeadline"),
        *("podRetention", "duration", "offset", "window", "every"),
    }
)


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """Return `; did you mean image?`, or else the valid names."""
    near = near_name(name, names)
    if near:
        return f"; did you mean {near}?"
    return f"; fields: {', '.join(names)}" if names else ""


def near_name(name: str, names: Sequence[str]) -> str | None:
    """Return the one of `names` that `name` probably means, if any."""
    return _near(name[:100], tuple(names))


def how_to_write(field: str, given: Any, wanted: str) -> str:
    """Return how to write a value of the wrong type; empty if there is no suggestion."""
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if field == "retries" and number:
        return f": write {{limit: {given}}}"
    if field == "env" and isinstance(given, dict):
        first = next(iter(given.items()), ("A", "b"))
        return f": write [{{name: {first[0]}, value: {first[1]}}}]"[:200]
    if field in ("dependsOn", "command", "args", "setups", "connections") and isinstance(given, str):
        return f": write [{given}]" if len(given) < 100 and "," not in given else ""
    if wanted == "a string" and number:
        return f": write {given}s, or another unit" if field in _DURATIONS else f': write "{given}"'
    if wanted == "a string" and isinstance(given, bool):
        return f': write "{str(given).lower()}"'
    return ""


def close_name(name: str, names: Sequence[str]) -> str | None:
    """Return the one of `names` that `name` is a misspelling of; the similarity must be high."""
    bare = _bare(name[:100])
    found = next((known for known in names if _bare(known) == bare), None)
    return found or next(iter(difflib.get_close_matches(name[:100], names, n=1, cutoff=0.85)), None)


@lru_cache(maxsize=1024)
def _near(name: str, names: tuple[str, ...]) -> str | None:
    bare = _bare(name)
    for known in names:
        if _bare(known) == bare:
            return known
    alias = _ALIASES.get(bare)
    if alias in names:
        return alias
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.6)), None)


def _bare(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
