"""The Pool resource: slots that limit how many tasks run at once."""

from typing import Annotated, Literal

from pydantic import Field

from tradewind.api.meta import ObjectMeta
from tradewind.api.model import Model

DEFAULT_POOL = "default"
DEFAULT_POOL_SLOTS = 128


class PoolSpec(Model):
    """The number of slots."""

    slots: Annotated[int, Field(ge=-1, le=1000000)]
    """Slots that queued and running tasks of the pool share; -1 for no limit, 0 to start no tasks."""
    description: Annotated[str, Field(max_length=1024)] | None = None
    """The resource that the pool protects, in a line."""


class PoolStatus(Model):
    """Usage of the slots, updated every few seconds."""

    observed_generation: int | None = None
    """Generation of the spec that this status reflects."""
    used: int | None = None
    """Slots held by queued and running tasks."""
    waiting: int | None = None
    """Tasks that are ready and waiting for a slot."""


class Pool(Model):
    """Slots that limit how many tasks of the namespace use something at once. A pool named `default` replaces the
    implicit one of 128 slots."""

    api_version: Literal["tradewind.dev/v1alpha1"]
    kind: Literal["Pool"]
    metadata: ObjectMeta
    spec: PoolSpec
    status: PoolStatus | None = None


POOL_CRD = {
    "plural": "pools",
    "singular": "pool",
    "kind": "Pool",
    "short_names": [],
    "columns": [
        ("Slots", "integer", ".spec.slots", "Total slots, -1 for no limit", 0),
        ("Used", "integer", ".status.used", "Slots in use", 0),
        ("Waiting", "integer", ".status.waiting", "Tasks waiting for a slot", 0),
        ("Age", "date", ".metadata.creationTimestamp", "Time since creation", 0),
        ("Description", "string", ".spec.description", "The resource that the pool protects", 1),
    ],
    "selectable": [],
    "rules": [],
}
