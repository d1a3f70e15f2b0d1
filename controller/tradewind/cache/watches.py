"""The watches of one kind in one scope: one, or two if several shards share the work.

Pods and DagRuns that a controller creates are labelled with the bucket of their namespace, so that the server can
filter out those of other shards. Objects that people create have no such label: a second watch delivers them to every
shard. The label only reduces traffic. The name of the namespace decides which shard owns an object, so a wrong label
hides an object, but never gives it two owners.
"""

import logging
from collections.abc import Callable
from typing import Any

from tradewind.api.names import LABEL_BUCKET
from tradewind.api.shards import Shard, bucket_of
from tradewind.kube.client import ApiClient
from tradewind.kube.clock import Clock
from tradewind.kube.informer import Change, ChangeKind, Informer
from tradewind.kube.objects import Key
from tradewind.kube.resources import Resource

log = logging.getLogger(__name__)


def watches(
    client: ApiClient,
    scope: str | None,
    part: Shard,
    resource: Resource,
    decode: type[Any],
    on_change: Callable[[Change[Any]], None],
    *,
    labels: str = "",
    fields: str = "",
    labelled: bool = False,
    clock: Clock,
) -> list[Informer[Any]]:
    """Return informers that together deliver the objects of `part` in a scope (a namespace, or None for all).
    `labelled` kinds may have the label."""
    split = labelled and scope is None and not part.is_all
    informers: list[Informer[Any]] = []
    on_each = _Several(informers, on_change) if split else on_change
    for number, selector in enumerate(part.selectors(labels) if split else (labels,)):
        keep = _mine(part, resource.plural, warn=split and number == 0) if not part.is_all else None
        informers.append(
            Informer(
                client,
                resource,
                namespace=scope,
                label_selector=selector,
                field_selector=fields,
                keep=keep,
                decode=decode,
                on_change=on_each,
                clock=clock,
            )
        )
    return informers


def _mine(part: Shard, plural: str, *, warn: bool) -> Callable[[Key], bool]:
    """Return a filter for the objects of that part. `warn`: other objects were delivered because of a wrong label."""
    warned: set[str] = set()

    def keep(key: Key) -> bool:
        namespace, name = key
        if part.owns(namespace):
            return True
        if warn and namespace not in warned:
            warned.add(namespace)
            log.warning(
                "ignoring %s %s/%s and possibly others of its namespace: their label %s must be %d or absent",
                *(plural, namespace, name, LABEL_BUCKET, bucket_of(namespace)),
            )
        return False

    return keep


class _Several:
    """Merges the changes of several watches of a kind, which select different objects.

    An object whose label changes moves between watches, in any order: it is deleted only if it is in none of them.
    """

    def __init__(self, informers: list[Informer[Any]], on_change: Callable[[Change[Any]], None]) -> None:
        self._informers, self._on_change = informers, on_change

    def __call__(self, change: Change[Any]) -> None:
        metadata = change.object.metadata
        if change.kind is ChangeKind.DELETED:
            key = (metadata.namespace, metadata.name)
            for informer in self._informers:
                found = informer.store.get(key)
                if found is not None and found.metadata.uid == metadata.uid:
                    change = Change(ChangeKind.MODIFIED, found, change.old, change.synthetic)
        self._on_change(change)
