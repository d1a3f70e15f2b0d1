"""JSON merge patch (RFC 7396). Nothing that is merged is changed; what stays the same is shared."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def merged(document: Json, patch: Json) -> Json:
    """A new document: `patch` merged over `document`; null removes."""
    result = dict(document)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            below = result.get(name)
            result[name] = merged(below if isinstance(below, dict) else {}, value)
        else:
            result[name] = value
    return result
