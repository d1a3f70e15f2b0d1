"""In what kinds differ: what is filled in when they are made, what may be changed, and how they are deleted."""

from __future__ import annotations

from typing import Any

from tests.apiserver import metadata as meta
from tests.apiserver import pods, schema
from tests.apiserver.kinds import CONTROLLERREVISIONS, EVENTS, LEASES, NAMESPACES, PODS, RESOURCEQUOTAS, Kind
from tests.apiserver.refusals import Problem

Json = dict[str, Any]

# As the core group names them, which is how they are stored and spoken of.
_NEVER_CHANGED_IN_EVENTS = {
    "eventTime": "eventTime",
    "regarding": "involvedObject",
    "related": "related",
    "reason": "reason",
    "action": "action",
    "note": "message",
    "type": "type",
}


def made(kind: Kind, document: Json) -> Json:
    """A new object, with what the server fills in; `metadata` is complete already."""
    if kind is PODS:
        return pods.made(document)
    if kind is NAMESPACES:
        return {**document, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    if kind is RESOURCEQUOTAS:
        hard = (document.get("spec") or {}).get("hard", {})
        return {**document, "status": {"hard": hard, "used": dict.fromkeys(hard, "0")}}
    if kind.has_status:
        document = {name: value for name, value in document.items() if name != "status"}
    if kind.is_custom:
        document = {**document, "metadata": {**document["metadata"], "generation": 1}}
    return document


def changed(kind: Kind, new: Json, old: Json, subresource: str | None) -> Json:
    """An update: what it may not touch stays as it was."""
    if kind is PODS:
        return pods.changed(new, old, subresource)
    if subresource == "status":
        document = {name: value for name, value in old.items() if name != "status"}
        return document | ({"status": new["status"]} if new.get("status") is not None else {})
    if kind.has_status:
        new = {name: value for name, value in new.items() if name != "status"}
        if "status" in old:
            new["status"] = old["status"]
    if kind.is_custom and _apart_from_metadata(new) != _apart_from_metadata(old):
        generation = old["metadata"].get("generation", 0) + 1
        new = {**new, "metadata": {**new["metadata"], "generation": generation}}
    return new


def checked(kind: Kind, document: Json, old: Json | None) -> tuple[Json, list[Problem]]:
    """An object as it is stored, and what is wrong with it; `old` is None for one that is new."""
    problems = meta.problems_of(kind, document["metadata"])
    if kind.is_custom:
        document, more = schema.checked(kind, document, old)
        return document, problems + more
    if kind is PODS:
        problems += pods.problems_of(document, old)
    elif kind is LEASES:
        problems += _lease_problems(document.get("spec") or {})
    elif kind is EVENTS:
        problems += _event_problems(document, old)
    elif kind is CONTROLLERREVISIONS and old is not None and old.get("data") != document.get("data"):
        problems.append(Problem("data", "Invalid value: field is immutable"))
    return {"apiVersion": kind.api_version, "kind": kind.name, **document}, problems


def grace_seconds(kind: Kind, document: Json, asked: int | None) -> int | None:
    """Seconds between the request to delete an object and its end; None for kinds that know no grace."""
    return pods.grace_seconds(document, asked) if kind is PODS else None


def returns_deleted(kind: Kind) -> bool:
    """Whether a deletion is answered with the object, not with a Status."""
    return kind in (PODS, RESOURCEQUOTAS)


def _apart_from_metadata(document: Json) -> Json:
    return {name: value for name, value in document.items() if name not in ("metadata", "status")}


def _lease_problems(spec: Json) -> list[Problem]:
    problems = []
    if spec.get("leaseDurationSeconds", 1) <= 0:
        problems.append(Problem("spec.leaseDurationSeconds", "Invalid value: must be greater than 0"))
    if spec.get("leaseTransitions", 0) < 0:
        problems.append(Problem("spec.leaseTransitions", "Invalid value: must be greater than or equal to 0"))
    return problems


def _event_problems(document: Json, old: Json | None) -> list[Problem]:
    if old is not None:
        return [
            Problem(known_as, "Invalid value: field is immutable")
            for name, known_as in _NEVER_CHANGED_IN_EVENTS.items()
            if old.get(name) != document.get(name)
        ]
    problems = [
        Problem(name, "Required value", "FieldValueRequired")
        for name in ("eventTime", "reportingController", "reportingInstance", "action", "reason")
        if not document.get(name)
    ]
    if document.get("type") not in ("Normal", "Warning"):
        problems.append(Problem("type", f'Invalid value: "{document.get("type")}"'))
    for name, limit in (("reason", 128), ("action", 128), ("note", 1024), ("reportingInstance", 128)):
        if len(str(document.get(name, "")).encode()) > limit:
            problems.append(Problem(name, f"Invalid value: can have at most {limit} characters"))
    home = (document.get("regarding") or {}).get("namespace") or "default"
    if home != document["metadata"].get("namespace"):
        problems.append(Problem("involvedObject.namespace", "Invalid value: does not match event.namespace"))
    return problems
