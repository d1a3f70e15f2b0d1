"""Narrow shapes of Kubernetes objects for decoding lists and watches.

Subclass `KubeObject` with the fields that are read and nothing else: what a struct does not name is skipped
by the decoder and never becomes a Python object, which is where the time and the memory go.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

Key = tuple[str, str]
"""(namespace, name); the namespace of a cluster-scoped object is empty."""


class Metadata(Protocol):
    """What an informer needs of an object's metadata."""

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
    """The commonly needed part of `metadata`. A narrower struct with the first four fields does as well."""

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
    """An object of which only the metadata counts; base of narrow structs."""

    metadata: ObjectMeta


class RawMeta(msgspec.Struct, rename="camel"):
    """The least that identifies an object, whatever the rest of it looks like."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class RawObject(msgspec.Struct):
    """An object of unknown shape, identified only."""

    metadata: RawMeta


def raw_meta(document: dict[str, Any]) -> RawMeta:
    """The identity of a decoded object. msgspec.ValidationError if it has none."""
    return msgspec.convert(document.get("metadata"), RawMeta)
