"""The metadata of every object: names, labels, owners, finalizers; checked and kept as by the API server."""

from __future__ import annotations

import re
from typing import Any

from tests.apiserver.kinds import NAMESPACES, Kind
from tests.apiserver.refusals import Problem

Json = dict[str, Any]

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]")

OWN = ("uid", "creationTimestamp", "resourceVersion", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")
"""Fields that only the server writes."""


def problems_of(kind: Kind, metadata: Json) -> list[Problem]:
    """Return the problems of an object's metadata."""
    problems = []
    name = metadata.get("name", "")
    if not _is_name(kind, name):
        text = f'Invalid value: "{name}": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric ...'
        problems.append(Problem("metadata.name", text))
    for key, value in (metadata.get("labels") or {}).items():
        if not _KEY.fullmatch(key):
            problems.append(Problem("metadata.labels", f'Invalid value: "{key}": name part must consist of ...'))
        if not isinstance(value, str) or len(value) > 63 or not _VALUE.fullmatch(value):
            problems.append(Problem("metadata.labels", f'Invalid value: "{value}": a valid label must be ...'))
    problems += [
        Problem(f"metadata.{field}", f'Invalid value: "{key}": name part must consist of alphanumeric characters ...')
        for field in ("annotations", "finalizers")
        for key in metadata.get(field) or ()
        if not _KEY.fullmatch(key.lower() if field == "annotations" else key)
    ]
    for owner in metadata.get("ownerReferences") or ():
        problems += [
            Problem(f"metadata.ownerReferences.{field}", 'Invalid value: "": must not be empty')
            for field in ("apiVersion", "kind", "name", "uid")
            if not owner.get(field)
        ]
    controllers = [owner for owner in metadata.get("ownerReferences") or () if owner.get("controller")]
    if len(controllers) > 1:
        text = "Invalid value: Only one reference can have Controller set to true"
        problems.append(Problem("metadata.ownerReferences", text))
    return problems


def problems_of_change(new: Json, old: Json) -> list[Problem]:
    """Fields that an update may not change."""
    problems = [
        Problem(f"metadata.{field}", f'Invalid value: "{new[field]}": field is immutable')
        for field in ("uid", "deletionTimestamp")
        if new.get(field) not in (None, "", old.get(field))
    ]
    if "deletionTimestamp" in old:
        added = [name for name in new.get("finalizers") or () if name not in (old.get("finalizers") or ())]
        if added:
            why = "no new finalizers can be added if the object is being deleted"
            text = f"Forbidden: {why}, found new finalizers {added!r}"
            problems.append(Problem("metadata.finalizers", text, "FieldValueForbidden"))
    return problems


def kept(new: Json, old: Json) -> Json:
    """The metadata of an update: what only the server writes stays as it was."""
    metadata = {name: value for name, value in new.items() if name not in OWN and value not in (None, [], {})}
    return metadata | {name: old[name] for name in (*OWN, "name", "namespace") if name in old}


def without_empty(metadata: Json) -> Json:
    """Go leaves out what is empty."""
    return {name: value for name, value in metadata.items() if value not in (None, [], {}, "")}


def _is_name(kind: Kind, name: str) -> bool:
    if kind is NAMESPACES:
        return len(name) <= 63 and bool(_LABEL.fullmatch(name))
    return len(name) <= 253 and bool(_SUBDOMAIN.fullmatch(name))
