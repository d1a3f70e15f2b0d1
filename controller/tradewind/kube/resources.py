"""Kinds in the API: group, version, plural, and their paths.

Only kinds that every cluster serves are defined here; a caller constructs those of its own group.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object. `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """The `apiVersion` of an object of this kind."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the URL path of a collection, an object or its subresource.

        Without a namespace, the collection of a namespaced kind is that of all namespaces. Raises ValueError if there
        is no such path.
        """
        if namespace and not self.namespaced:
            raise ValueError(f"{self.plural} are not namespaced")
        if name is not None and (not name or (self.namespaced and not namespace)):
            raise ValueError(f"an object of {self.plural} needs a name{' and a namespace' * self.namespaced}")
        if subresource and name is None:
            raise ValueError("a subresource needs the name of its object")
        path = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        if namespace:
            path += f"/namespaces/{quote(namespace, safe='')}"
        path += f"/{self.plural}"
        if name is not None:
            path += f"/{quote(name, safe=':')}"
        return f"{path}/{subresource}" if subresource else path


CONFIGMAPS = Resource("", "v1", "configmaps")
NAMESPACES = Resource("", "v1", "namespaces", namespaced=False)
NODES = Resource("", "v1", "nodes", namespaced=False)
PODS = Resource("", "v1", "pods")
RESOURCEQUOTAS = Resource("", "v1", "resourcequotas")
SECRETS = Resource("", "v1", "secrets")
EVENTS = Resource("events.k8s.io", "v1", "events")
LEASES = Resource("coordination.k8s.io", "v1", "leases")
CONTROLLERREVISIONS = Resource("apps", "v1", "controllerrevisions")
DEPLOYMENTS = Resource("apps", "v1", "deployments")
CUSTOMRESOURCEDEFINITIONS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False)
VALIDATINGWEBHOOKCONFIGURATIONS = Resource(
    "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", namespaced=False
)
LOCALSUBJECTACCESSREVIEWS = Resource("authorization.k8s.io", "v1", "localsubjectaccessreviews")
