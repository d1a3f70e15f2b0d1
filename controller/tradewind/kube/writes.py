"""Writes as values: what to send, in which order and with which urgency. Nothing is sent here."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypedDict

import orjson

from tradewind.kube.client import Params, Partial
from tradewind.kube.resources import Resource

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


class Priority(IntEnum):
    """Lower values go first. Results that are not recorded yet block more than objects that are not created yet;
    stopping a Pod makes room for a new one."""

    TICK = 0
    """Due at this moment."""
    STATUS = 5
    STOP = 8
    CREATE = 10
    CONDITION = 15
    """Only for people."""
    DELETE = 20
    EVENT = 30


@dataclass(slots=True, kw_only=True)
class Write:
    """One request that changes something. Writes with the same `key` are sent one after the other.

    The body is serialised when the write is created: later changes of the dict have no effect.
    """

    verb: str
    """As in RBAC: create, update, patch, delete, deletecollection."""
    method: str
    resource: Resource
    path: str
    key: tuple[str, ...]
    priority: int
    body: bytes | None = None
    params: Params | None = None
    content_type: str | None = None
    subresource: str | None = None
    partial: Partial = True
    """Request PartialObjectMetadata: the full response to a write is rarely needed."""
    repeatable: bool = True
    """True if it may be sent again when it is unknown whether the first attempt took effect."""
    retry_for: float | None = None
    """Seconds after the first attempt during which transient failures are retried; None: the writer's default."""
    timeout: float | None = None
    """Timeout of one attempt in seconds; None: the client's default."""
    wanted: Callable[[], bool] | None = None
    """Called before every attempt: False if the write is no longer needed."""
    delayed: Callable[[], None] | None = None
    """Called when it is retried later for a reason that does not affect other writes: they need not wait for it."""


def create(
    resource: Resource,
    namespace: str | None,
    body: Mapping[str, Any],
    *,
    partial: Partial = True,
    priority: int = Priority.CREATE,
    retry_for: float | None = None,
    wanted: Callable[[], bool] | None = None,
    delayed: Callable[[], None] | None = None,
    strict: bool = False,
) -> Write:
    """Create an object (POST). With `generateName` it is not retried after a missing response: the second attempt could
    create a second object. `strict` makes fields that the server does not know an error, instead of dropping them."""
    name = body.get("metadata", {}).get("name")
    return Write(
        verb="create",
        method="POST",
        resource=resource,
        path=resource.path(namespace),
        key=_key(resource, namespace, name or f"\0{next(_anonymous)}"),
        priority=priority,
        body=orjson.dumps(body),
        params={"fieldValidation": "Strict"} if strict else None,
        partial=partial,
        repeatable=name is not None,
        retry_for=retry_for,
        wanted=wanted,
        delayed=delayed,
    )


def patch(
    resource: Resource,
    namespace: str | None,
    name: str,
    body: Any,
    *,
    subresource: str | None = None,
    content_type: str = MERGE_PATCH,
    force: bool | None = None,
    partial: Partial = True,
    priority: int = Priority.STATUS,
    retry_for: float | None = None,
) -> Write:
    """Patch an object (PATCH). `metadata.resourceVersion` in a merge patch makes it an optimistic lock.

    `force` is that of server-side apply. A JSON patch that is not idempotent needs a `test`.
    """
    return Write(
        verb="patch",
        method="PATCH",
        resource=resource,
        path=resource.path(namespace, name, subresource),
        key=_key(resource, namespace, name),
        priority=priority,
        body=body if isinstance(body, bytes) else orjson.dumps(body),
        params=None if force is None else {"force": str(force).lower()},
        content_type=content_type,
        subresource=subresource,
        partial=partial,
        retry_for=retry_for,
    )


def replace(
    resource: Resource,
    namespace: str | None,
    name: str,
    body: Mapping[str, Any],
    *,
    subresource: str | None = None,
    partial: Partial = True,
    priority: int = Priority.STATUS,
) -> Write:
    """Replace an object (PUT). `metadata.resourceVersion` in the body makes it an optimistic lock."""
    return Write(
        verb="update",
        method="PUT",
        resource=resource,
        path=resource.path(namespace, name, subresource),
        key=_key(resource, namespace, name),
        priority=priority,
        body=orjson.dumps(body),
        subresource=subresource,
        partial=partial,
    )


def delete(
    resource: Resource,
    namespace: str | None,
    name: str,
    *,
    uid: str | None = None,
    resource_version: str | None = None,
    grace: int | None = None,
    propagation: str | None = None,
    partial: Partial = True,
    priority: int = Priority.DELETE,
) -> Write:
    """Delete an object (DELETE). `uid` and `resource_version` are preconditions: if the object was replaced or changed
    since, the response is a Conflict.

    `grace` is in seconds; `propagation` is Background, Foreground or Orphan.
    """
    return Write(
        verb="delete",
        method="DELETE",
        resource=resource,
        path=resource.path(namespace, name),
        key=_key(resource, namespace, name),
        priority=priority,
        body=_delete_options(uid, resource_version, grace, propagation),
        partial=partial,
    )


def delete_collection(
    resource: Resource,
    namespace: str | None,
    *,
    label_selector: str = "",
    limit: int | None = None,
    continue_token: str = "",
    grace: int | None = None,
    propagation: str | None = None,
    priority: int = Priority.DELETE,
    wanted: Callable[[], bool] | None = None,
) -> Write:
    """Delete one page of a collection (DELETE)."""
    params: dict[str, str | int] = {}
    if label_selector:
        params["labelSelector"] = label_selector
    if limit is not None:
        params["limit"] = limit
    if continue_token:
        params["continue"] = continue_token
    return Write(
        verb="deletecollection",
        method="DELETE",
        resource=resource,
        path=resource.path(namespace),
        key=_key(resource, namespace, "", label_selector),
        priority=priority,
        body=_delete_options(None, None, grace, propagation),
        params=params,
        partial="list",
        # The server's own timeout of a request; a page of slow deletions may need all of it.
        timeout=60.0,
        wanted=wanted,
    )


class CreateOptions(TypedDict, total=False):
    """Options of `create`."""

    partial: Partial
    priority: int
    retry_for: float | None
    wanted: Callable[[], bool] | None
    delayed: Callable[[], None] | None
    strict: bool


class PatchOptions(TypedDict, total=False):
    """Options of `patch`."""

    subresource: str | None
    content_type: str
    force: bool | None
    partial: Partial
    priority: int
    retry_for: float | None


class ReplaceOptions(TypedDict, total=False):
    """Options of `replace`."""

    subresource: str | None
    partial: Partial
    priority: int


class DeleteOptions(TypedDict, total=False):
    """Options of `delete`."""

    uid: str | None
    resource_version: str | None
    grace: int | None
    propagation: str | None
    partial: Partial
    priority: int


class DeleteCollectionOptions(TypedDict, total=False):
    """Options of `delete_collection`, without its paging."""

    label_selector: str
    grace: int | None
    propagation: str | None
    priority: int
    wanted: Callable[[], bool] | None


_anonymous = itertools.count()


def _key(resource: Resource, namespace: str | None, name: str, *rest: str) -> tuple[str, ...]:
    return (resource.group, resource.plural, namespace or "", name, *rest)


def _delete_options(
    uid: str | None, resource_version: str | None, grace: int | None, propagation: str | None
) -> bytes | None:
    options: dict[str, Any] = {}
    conditions = {"uid": uid, "resourceVersion": resource_version}
    if uid is not None or resource_version is not None:
        options["preconditions"] = {name: value for name, value in conditions.items() if value is not None}
    if grace is not None:
        options["gracePeriodSeconds"] = grace
    if propagation is not None:
        options["propagationPolicy"] = propagation
    if not options:
        return None
    return orjson.dumps({"apiVersion": "v1", "kind": "DeleteOptions", **options})
