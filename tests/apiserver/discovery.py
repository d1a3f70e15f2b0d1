"""The kinds that an API server lists, by API group and version."""

from __future__ import annotations

from typing import Any

from tests.apiserver.kinds import ALL, Kind

Json = dict[str, Any]

_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_STATUS_VERBS = ("get", "patch", "update")


def api_resources(path: str) -> Json | None:
    """The answer to `/api/v1` or `/apis/{group}/{version}`; None for every other path."""
    words = path.strip("/").split("/")
    if len(words) != {"api": 2, "apis": 3}.get(words[0]):
        return None
    group, version = ("", words[1]) if words[0] == "api" else (words[1], words[2])
    kinds = [kind for kind in ALL.values() if (kind.group, kind.version) == (group, version)]
    if not kinds:
        return None
    resources = [entry for kind in kinds for entry in _entries(kind)]
    return {"kind": "APIResourceList", "groupVersion": kinds[0].api_version, "resources": resources}


def _entries(kind: Kind) -> list[Json]:
    common = {"singularName": kind.name.lower(), "namespaced": kind.namespaced, "kind": kind.name}
    entries = [{"name": kind.plural, **common, "verbs": list(_VERBS)}]
    if kind.has_status:
        entries.append({"name": f"{kind.plural}/status", **common, "singularName": "", "verbs": list(_STATUS_VERBS)})
    return entries
