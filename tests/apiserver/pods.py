"""Pods: the kind with a life of its own. What a kubelet does with them is not here: see tests/simulation."""

from __future__ import annotations

import re
from typing import Any

from tests.apiserver.refusals import Problem

Json = dict[str, Any]

FINISHED = ("Succeeded", "Failed")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_MAY_CHANGE = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds")
_NO_CHANGE = (
    "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
    "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def made(document: Json) -> Json:
    """A new Pod: it has no node yet."""
    spec = document.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    defaults = {"restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "schedulerName": "default-scheduler"}
    metadata = {**document["metadata"], "generation": 1}
    return {
        **document,
        "metadata": metadata,
        "spec": defaults | spec,
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    }


def changed(new: Json, old: Json, subresource: str | None) -> Json:
    if subresource == "status":
        metadata = new["metadata"]
        owners = old["metadata"].get("ownerReferences")
        metadata = {name: value for name, value in metadata.items() if name != "ownerReferences"}
        metadata |= {"ownerReferences": owners} if owners else {}
        return {**old, "metadata": metadata, "status": new.get("status") or {}}
    if new.get("spec") != old["spec"]:
        generation = old["metadata"].get("generation", 0) + 1
        new = {**new, "metadata": {**new["metadata"], "generation": generation}}
    return {**new, "status": old["status"]}


def problems_of(document: Json, old: Json | None) -> list[Problem]:
    spec = document.get("spec") or {}
    problems = _spec_problems(spec)
    if old is not None and spec != old["spec"]:
        problems += _change_problems(spec, old["spec"])
    return problems


def grace_seconds(document: Json, asked: int | None) -> int:
    """As the Pod's strategy decides: what runs nowhere, or no more, goes at once."""
    if not document["spec"].get("nodeName") or document["status"].get("phase") in FINISHED:
        return 0
    seconds = document["spec"].get("terminationGracePeriodSeconds", 0) if asked is None else asked
    return 1 if seconds < 0 else int(seconds)


def _spec_problems(spec: Json) -> list[Problem]:
    problems = []
    containers = spec.get("containers") or []
    if not containers:
        problems.append(Problem("spec.containers", "Required value", "FieldValueRequired"))
    for index, container in enumerate(containers):
        where = f"spec.containers[{index}]"
        name = container.get("name", "")
        if not name:
            problems.append(Problem(f"{where}.name", "Required value", "FieldValueRequired"))
        elif len(name) > 63 or not _NAME.fullmatch(name):
            problems.append(Problem(f"{where}.name", f'Invalid value: "{name}": a lowercase RFC 1123 label ...'))
        elif name in [other.get("name") for other in containers[:index]]:
            problems.append(Problem(f"{where}.name", f'Duplicate value: "{name}"', "FieldValueDuplicate"))
        if not container.get("image"):
            problems.append(Problem(f"{where}.image", "Required value", "FieldValueRequired"))
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= 2**31 - 1:
        text = f"Invalid value: {deadline}: must be between 1 and 2147483647, inclusive"
        problems.append(Problem("spec.activeDeadlineSeconds", text))
    return problems


def _change_problems(new: Json, old: Json) -> list[Problem]:
    deadline, before = new.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds")
    if before is not None and deadline is None:
        text = "Invalid value: null: must not update from a positive integer to nil value"
        return [Problem("spec.activeDeadlineSeconds", text)]
    if before is not None and deadline is not None and deadline > before:
        text = f"Invalid value: {deadline}: must be less than or equal to previous value"
        return [Problem("spec.activeDeadlineSeconds", text)]
    if _fixed(new) != _fixed(old):
        return [Problem("spec", _NO_CHANGE, "FieldValueForbidden")]
    return []


def _fixed(spec: Json) -> Json:
    """Fields that may never change."""
    fixed = {name: value for name, value in spec.items() if name not in _MAY_CHANGE}
    for name in ("containers", "initContainers"):
        if name in fixed:
            fixed[name] = [{**container, "image": None} for container in fixed[name]]
    return fixed
