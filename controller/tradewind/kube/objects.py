"""Narrow structs of Kubernetes objects for decoding lists and watches.

Subclass `KubeObject` with only the fields that are read: the decoder skips all others and never creates Python objects
for them, which saves most of the time and memory.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

Key = tuple[str, str]
"""(namespace, name); the namespace of a cluster-scoped object is empty."""


class Metadata(Protocol):
    """The metadata that an informer needs."""

    @property
    def name(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def resource_version(self) -> str: ...


class OwnerReference(msgspec.Struct, rename="camel", frozen=True):
    """An entry of `metadata.ownerReferences`."""

    kind: str
    name: str
    uid: str
    api_version: str = ""
    controller: bool = False


class ObjectMeta(msgspec.Struct, rename="camel"):
    """The commonly used fields of `metadata`. A narrower struct with the first four fields also works."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: list[OwnerReference] = []
    finalizers: list[str] = []


class KubeObject(msgspec.Struct, rename="camel"):
    """The base of narrow structs: an object with its metadata only."""

    metadata: ObjectMeta


class RawMeta(msgspec.Struct, rename="camel"):
    """The identity of an object of any kind."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class RawObject(msgspec.Struct):
    """An object of any kind, with its identity only."""

    metadata: RawMeta


def raw_meta(document: dict[str, Any]) -> RawMeta:
    """Return the identity of a decoded object. Raises msgspec.ValidationError if it has none."""
    return msgspec.convert(document.get("metadata"), RawMeta)
