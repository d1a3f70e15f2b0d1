"""The kinds that the server knows, and where each is found. Tradewind's own come from its models, as the CRDs do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from tradewind.api import GROUP, VERSION
from tradewind.api.crd import KINDS, crd

Json = dict[str, Any]

_ALWAYS = ("metadata.name", "metadata.namespace")


@dataclass(frozen=True, eq=False, slots=True)
class Kind:
    """One resource. `fields` are those that field selectors may name."""

    group: str
    version: str
    plural: str
    name: str
    namespaced: bool = True
    has_status: bool = False
    """Whether status is a subresource: written apart from the rest."""
    needs_version: bool = False
    """Whether a PUT has to say which version it replaces."""
    fields: tuple[str, ...] = _ALWAYS
    schema: Mapping[str, Any] | None = None
    """The structural schema of a custom resource."""
    columns: tuple[Json, ...] = ()
    """The printer columns of a custom resource."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """As error messages name it: `pods`, `dags.tradewind.dev`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def group_resource(self) -> str:
        """As the messages about selectors name it: `/v1, Resource=pods`."""
        return f"{self.group}/{self.version}, Resource={self.plural}"

    @property
    def is_custom(self) -> bool:
        return self.schema is not None


@dataclass(frozen=True, slots=True)
class Place:
    """The target of a URL path."""

    kind: Kind
    namespace: str
    name: str | None
    subresource: str | None

    def key(self, name: str) -> str:
        """As etcd sorts: `namespace/name`."""
        return f"{self.namespace}/{name}"


def _custom() -> list[Kind]:
    kinds = []
    for model, facts in KINDS:
        definition = crd(model, facts)["spec"]
        version = definition["versions"][0]
        selectable = [field["jsonPath"].lstrip(".") for field in version.get("selectableFields", ())]
        kinds.append(
            Kind(
                definition["group"],
                version["name"],
                definition["names"]["plural"],
                definition["names"]["kind"],
                has_status="status" in version.get("subresources", {}),
                needs_version=True,
                fields=(*_ALWAYS, *selectable),
                schema=version["schema"]["openAPIV3Schema"],
                columns=tuple(version.get("additionalPrinterColumns", ())),
            )
        )
    return kinds


_POD_FIELDS = (
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
)
NAMESPACES = Kind("", "v1", "namespaces", "Namespace", namespaced=False, has_status=True)
PODS = Kind("", "v1", "pods", "Pod", has_status=True, fields=(*_ALWAYS, *_POD_FIELDS))
CONFIGMAPS = Kind("", "v1", "configmaps", "ConfigMap")
SECRETS = Kind("", "v1", "secrets", "Secret", fields=(*_ALWAYS, "type"))
RESOURCEQUOTAS = Kind("", "v1", "resourcequotas", "ResourceQuota", has_status=True)
EVENTS = Kind("events.k8s.io", "v1", "events", "Event")
LEASES = Kind("coordination.k8s.io", "v1", "leases", "Lease", needs_version=True)
CONTROLLERREVISIONS = Kind("apps", "v1", "controllerrevisions", "ControllerRevision")

ALL = {
    (kind.group, kind.version, kind.plural): kind
    for kind in (
        NAMESPACES,
        PODS,
        CONFIGMAPS,
        SECRETS,
        RESOURCEQUOTAS,
        EVENTS,
        LEASES,
        CONTROLLERREVISIONS,
        *_custom(),
    )
}
BY_PLURAL = {kind.plural: kind for kind in ALL.values()}
BACKFILLS, DAGS, DAGRUNS, POOLS = (ALL[GROUP, VERSION, plural] for plural in ("backfills", "dags", "dagruns", "pools"))


@lru_cache(maxsize=65536)
def place_of(path: str) -> Place | None:
    """Return the target of a path; None if there is none."""
    words = [unquote(word) for word in path.strip("/").split("/")]
    if words[0] == "api" and len(words) > 2:
        group, version, rest = "", words[1], words[2:]
    elif words[0] == "apis" and len(words) > 3:
        group, version, rest = words[1], words[2], words[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and (group, version, rest[2]) in ALL:
        namespace, rest = rest[1], rest[2:]
    kind = ALL.get((group, version, rest[0]))
    if kind is None or len(rest) > 3:
        return None
    name, subresource = (*rest[1:], None, None)[:2]
    if (namespace and not kind.namespaced) or (name and kind.namespaced and not namespace):
        return None
    return Place(kind, namespace, name, subresource)
