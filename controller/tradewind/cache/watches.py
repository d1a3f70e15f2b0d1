"""The watches of one kind in one scope: one, or two where several controllers share the work.

Whoever makes a Pod or a DagRun labels it with the bucket of its namespace, so that the server can sort out what is
another shard's. Those that people make have no such label: a second watch brings them to every shard. The label only
keeps traffic away. Whose an object is, the name of its namespace decides; so a wrong label hides an object, but never
gives it two owners.
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
    """Informers that together bring what belongs to `part` of a scope (a namespace, or None for all). `labelled` kinds
    may carry the label."""
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
    """Whether an object is of that part. `warn`: those that are not were sent for a label that is wrong."""
    told: set[str] = set()

    def keep(key: Key) -> bool:
        namespace, name = key
        if part.owns(namespace):
            return True
        if warn and namespace not in told:
            told.add(namespace)
            log.warning(
                "%s %s/%s and perhaps others there are overlooked: their label %s is wrong, it must be %d or absent",
                *(plural, namespace, name, LABEL_BUCKET, bucket_of(namespace)),
            )
        return False

    return keep


class _Several:
    """Passes on the changes that several watches of a kind bring, each of which sees another part of it.

    An object whose label changes leaves one for the other, in any order: it is gone once it is in none.
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
