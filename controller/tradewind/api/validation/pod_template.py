"""Validation of podTemplate, in Kubernetes' terms."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from tradewind.api.names import PREFIX
from tradewind.api.pod_fields import pod_fields
from tradewind.api.validation.problem import Problem
from tradewind.api.validation.shape import kind_of
from tradewind.api.validation.spelling import close_name, how_to_write

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
"""The key that identifies the items of a list when templates are merged, as in Kubernetes."""
_MOST = 20
"""The maximum number of problems of one template; more are not useful."""


def check_pod_template(template: Mapping[str, Any] | None, field: str) -> Iterator[Problem]:
    """Check the outer shape and known fields; the API server checks the rest when the Pod is created."""
    for key in template or {}:
        if key not in ("metadata", "spec"):
            yield Problem("InvalidPodTemplate", f"{field}.{key}", "a podTemplate has only metadata and spec")
    metadata = (template or {}).get("metadata", {})
    spec = (template or {}).get("spec", {})
    for key, part in (("metadata", metadata), ("spec", spec)):
        if not isinstance(part, Mapping):
            yield Problem("InvalidPodTemplate", f"{field}.{key}", "must be an object")
            return
    for key, values in metadata.items():
        if key not in ("labels", "annotations"):
            yield Problem("InvalidPodTemplate", f"{field}.metadata.{key}", "only labels and annotations can be set")
        elif not isinstance(values, Mapping):
            yield Problem("InvalidPodTemplate", f"{field}.metadata.{key}", "must be an object")
        else:
            for name in values:
                if str(name).startswith(PREFIX):
                    place = f"{field}.metadata.{key}"
                    yield Problem(
                        "InvalidPodTemplate", place, f"{name!r}: names in {PREFIX} are reserved for Tradewind"
                    )
    if spec.get("restartPolicy", "Never") != "Never":
        message = "must be Never: use retries of the task instead"
        yield Problem("InvalidPodTemplate", f"{field}.spec.restartPolicy", message)
    for key in ("containers", "initContainers", "volumes", "tolerations", "imagePullSecrets"):
        items = spec.get(key, [])
        if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
            yield Problem("InvalidPodTemplate", f"{field}.spec.{key}", "must be a list of objects")
            return
    yield from islice(_check_fields(spec, "V1PodSpec", f"{field}.spec"), _MOST)


def check_pod_part(value: Any, kind: str, field: str) -> Iterator[Problem]:
    """Check a part of a Pod in a field of a task, such as `valueFrom`; `kind` is its type."""
    yield from islice(_check(value, kind, field), _MOST)


def _check_fields(value: Mapping[str, Any], kind: str, field: str) -> Iterator[Problem]:
    known = pod_fields()[kind]
    for name, below in value.items():
        where = f"{field}.{name}"
        if name in known:
            if name in MERGE_KEYS and isinstance(below, list):
                yield from _check_keys(below, MERGE_KEYS[name], where)
            yield from _check(below, known[name], where)
        elif not name.startswith("$") and (near := close_name(name, list(known))):
            # The cluster may have newer fields than the ones known here, and rejects unknown fields itself.
            yield Problem("InvalidPodTemplate", where, f"unknown field of a Pod; did you mean {near}?")


def _check_keys(items: list[Any], key: str, field: str) -> Iterator[Problem]:
    for position, item in enumerate(items):
        if isinstance(item, Mapping) and not isinstance(item.get(key), str | int):
            name = item.get("name", position)
            yield Problem(
                "InvalidPodTemplate",
                f"{field}[{name}].{key}",
                f"is required: it identifies the items of {field.rpartition('.')[2]}",
            )


def _check(value: Any, kind: str, field: str) -> Iterator[Problem]:
    if value is None or kind == "any":
        return
    if kind[0] == "[":
        if not isinstance(value, list):
            yield _wrong(value, "a list", field)
            return
        for position, item in enumerate(value):
            name = item.get("name", position) if isinstance(item, Mapping) else position
            yield from _check(item, kind[1:-1], f"{field}[{name}]")
    elif kind[0] == "{" or kind in pod_fields():
        if not isinstance(value, Mapping):
            yield _wrong(value, "an object", field)
        elif kind[0] == "{":
            for name, item in value.items():
                yield from _check(item, kind[1:-1], f"{field}.{name}")
        else:
            yield from _check_fields(value, kind, field)
    elif kind == "int":
        whole = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
        if not whole or not -(2**63) <= value < 2**63:
            yield _wrong(value, "a whole number", field)
    elif kind == "bool" and not isinstance(value, bool):
        yield _wrong(value, "true or false", field)
    elif kind == "str" and not isinstance(value, str):
        yield _wrong(value, "a string", field)


def _wrong(value: Any, wanted: str, field: str) -> Problem:
    hint = how_to_write(field.rpartition(".")[2], value, wanted)
    return Problem("InvalidPodTemplate", field, f"must be {wanted}, not {kind_of(value)}{hint}")
