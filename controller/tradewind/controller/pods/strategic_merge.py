"""Merge a podTemplate into a Pod as `kubectl patch --type=strategic` would.

Lists of objects with a merge key are merged item by item, other lists are replaced; null removes. The keys are those
of the Kubernetes API reference ("patch strategy: merge on key …").
"""

from collections.abc import Mapping
from typing import Any

from tradewind.api.validation.pod_template import MERGE_KEYS

# A volume has one source, so a volume of the template replaces ours of the same name.
_ONE_OF = {"volumes"}


def strategic_merge(base: Mapping[str, Any], patch: Mapping[str, Any], path: str = "podTemplate") -> dict[str, Any]:
    """Return a copy of `base` with `patch` merged in. Raises ValueError with the path of a field that cannot be
    merged."""
    merged = dict(base)
    for key, value in patch.items():
        where = f"{path}.{key}"
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            below = merged.get(key)
            merged[key] = strategic_merge(below if isinstance(below, Mapping) else {}, value, where)
        elif isinstance(value, list) and key in MERGE_KEYS and isinstance(merged.get(key), list):
            merged[key] = _merge_list(key, merged[key], value, where)
        else:
            merged[key] = value
    return merged


def _merge_list(field: str, base: list[Any], patch: list[Any], path: str) -> list[Any]:
    key = MERGE_KEYS[field]
    merged = {_key_of(item, key, path): item for item in base}
    for item in patch:
        name = _key_of(item, key, path)
        if item.get("$patch") == "delete":
            merged.pop(name, None)
        elif field in _ONE_OF or name not in merged:
            merged[name] = dict(item)
        else:
            merged[name] = strategic_merge(merged[name], item, f"{path}[{name}]")
    return list(merged.values())


def _key_of(item: Any, key: str, path: str) -> Any:
    """Return the merge key's value of a list item, of the template or of the object it is merged into."""
    name = item.get(key) if isinstance(item, Mapping) else None
    if not isinstance(name, str | int):
        raise ValueError(f"{path}: each item needs {key!r}, which {str(item)[:100]} does not have")
    return name
