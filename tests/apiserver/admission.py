"""The checks before a write is stored: namespaces that terminate, quotas, and any webhook that a test adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tests.apiserver import pods, refusals
from tests.apiserver.kinds import NAMESPACES, PODS, RESOURCEQUOTAS, Kind, Place

if TYPE_CHECKING:
    from tests.apiserver.server import ApiServer, Request

Json = dict[str, Any]


@dataclass(slots=True)
class Attributes:
    """One write, as admission sees it; `document` is the new state."""

    operation: Literal["CREATE", "UPDATE", "DELETE"]
    place: Place
    name: str
    document: Json
    old: Json | None
    request: Request | None

    @property
    def kind(self) -> Kind:
        return self.place.kind


def admit(server: ApiServer, attributes: Attributes) -> Json:
    """The document as it may be stored. Refusal if it may not."""
    if attributes.operation == "CREATE" and attributes.kind.namespaced:
        _check_namespace(server, attributes)
    for hook in server.admission:
        hook(attributes)
    if attributes.operation == "CREATE" and attributes.kind.namespaced:
        _check_quotas(server, attributes)
    return attributes.document


def _check_namespace(server: ApiServer, attributes: Attributes) -> None:
    namespace = attributes.place.namespace
    found = server.find(NAMESPACES, "", namespace)
    if found is None:
        raise refusals.not_found(NAMESPACES, namespace)
    if "deletionTimestamp" in found["metadata"]:
        raise refusals.terminating(attributes.kind, attributes.name, namespace)


def _check_quotas(server: ApiServer, attributes: Attributes) -> None:
    """As if the quota controller had always counted just now."""
    kind, namespace = attributes.kind, attributes.place.namespace
    for quota in server.all(RESOURCEQUOTAS, namespace):
        over = []
        for resource, hard in (quota.get("spec") or {}).get("hard", {}).items():
            used = _used(server, namespace, kind, resource)
            if used is not None and used + 1 > int(hard):
                over.append((resource, used, hard))
        if over:
            name = quota["metadata"]["name"]
            requested = ",".join(f"{resource}=1" for resource, _, _ in over)
            used_text = ",".join(f"{resource}={used}" for resource, used, _ in over)
            limited = ",".join(f"{resource}={hard}" for resource, _, hard in over)
            why = f"exceeded quota: {name}, requested: {requested}, used: {used_text}, limited: {limited}"
            raise refusals.forbidden(kind, attributes.name, why)


def _used(server: ApiServer, namespace: str, kind: Kind, resource: str) -> int | None:
    """Return how many objects of a kind count against a resource of a quota; None if none of that kind ever does."""
    if resource == f"count/{kind.qualified}":
        return len(server.all(kind, namespace))
    if resource == "pods" and kind is PODS:
        return sum(pod["status"].get("phase") not in pods.FINISHED for pod in server.all(kind, namespace))
    return None
