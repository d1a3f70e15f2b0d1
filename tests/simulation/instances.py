"""The status of each instance of a task, mapped (then in ranges of indexes) or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]


def instances_of(entry: Json) -> dict[str, Json]:
    """By index, "" where there is none: what an entry of its own would say of `state`, `try`, `lost`, `pokes`
    and `triesBefore`; of those from before their task was mapped again only the last."""
    before = _by_index(entry.get("rerunFrom"))
    if "count" not in entry:
        gone = {index: {"name": entry["name"], "state": "None", "triesBefore": int(before[index])} for index in before}
        return {"": entry, **gone}
    states = _by_index(entry.get("indexes"))
    tries, lost = _by_index(entry.get("numbers")), _by_index(entry.get("lostTries"))
    pokes = _by_index(entry.get("pokeNumbers"))
    found = {}
    for index in map(str, range(entry["count"])):
        state = states.get(index, "None")
        fresh = state in ("None", "Removed", "UpstreamFailed", "Skipped") and index not in tries
        known: Json = {} if fresh else {"try": int(tries.get(index, 1))}
        found[index] = {"name": f"{entry['name']}[{index}]", "state": state, **known}
        if index in lost:
            found[index]["lost"] = int(lost[index])
        if index in pokes:
            found[index]["pokes"] = int(pokes[index])
        if index in before:
            found[index]["triesBefore"] = int(before[index])
    return found


def _by_index(ranges: Json | None) -> dict[str, str]:
    return {index: what for what, text in (ranges or {}).items() for index in _indexes(text)}


def _indexes(text: str) -> Iterator[str]:
    """Of `0-3,7`: 0, 1, 2, 3 and 7."""
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from map(str, range(int(first), int(last or first) + 1))
