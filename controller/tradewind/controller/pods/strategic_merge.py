"""Merge a podTemplate into a Pod as `kubectl patch --type=strategic` would.

Lists of objects with a merge key are merged item by item, other lists are replaced; null removes. The keys are those
of the Kubernetes API reference ("patch strategy: merge on key …").
"""

from collections.abc import Mapping
from typing import Any

MERGE_KEYS: dict[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "resourceClaims": "name",
    "schedulingGates": "name",
}
# Volume sources exclude each other: one that the template names takes the place of ours.
_ONE_OF = {"volumes"}


def strategic_merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A new object: `base` with `patch` merged in. Neither argument is changed."""
    merged = dict(base)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            below = merged.get(key)
            merged[key] = strategic_merge(below if isinstance(below, Mapping) else {}, value)
        elif isinstance(value, list) and key in MERGE_KEYS and isinstance(merged.get(key), list):
            merged[key] = _merge_list(key, merged[key], value)
        else:
            merged[key] = value
    return merged


def _merge_list(field: str, base: list[Any], patch: list[Any]) -> list[Any]:
    key = MERGE_KEYS[field]
    merged = {item[key]: item for item in base}
    for item in patch:
        if not isinstance(item, Mapping) or key not in item:
            raise ValueError(f"podTemplate: each item of {field} needs {key!r}")
        if item.get("$patch") == "delete":
            merged.pop(item[key], None)
        elif field in _ONE_OF or item[key] not in merged:
            merged[item[key]] = dict(item)
        else:
            merged[item[key]] = strategic_merge(merged[item[key]], item)
    return list(merged.values())
