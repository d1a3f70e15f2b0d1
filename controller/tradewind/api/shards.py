"""Maps namespaces to shards, for installations where several controllers share the work.

A namespace is never split: all its Dags share its Pools and their limits. Its name is hashed into one of 64 buckets,
and a bucket belongs to the shard whose index is the bucket's number modulo the number of shards. All of this is a
contract: objects carry their bucket as a label, and controllers of different versions must agree on the owner.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

from tradewind.api.names import LABEL_BUCKET

BUCKETS = 64


@lru_cache(maxsize=65536)
def bucket_of(namespace: str) -> int:
    """Return the bucket of a namespace, 0 to 63: the same in every process, on every machine, in every version."""
    digest = hashlib.blake2b(namespace.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % BUCKETS


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` shards; `index` counts from 0. Raises ValueError, naming the option to change, if they do not
    fit."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.count <= BUCKETS:
            raise ValueError(f"--shards must be 1 to {BUCKETS}, not {self.count}")
        if not 0 <= self.index < self.count:
            which = f"0 to {self.count - 1}" if self.count > 1 else "0 unless --shards is greater than 1"
            raise ValueError(f"--shard must be {which}, not {self.index}")

    def __str__(self) -> str:
        return f"shard {self.index} of {self.count}"

    @property
    def is_all(self) -> bool:
        """True if there is only this shard."""
        return self.count == 1

    @property
    def buckets(self) -> tuple[int, ...]:
        """The buckets of this shard, in ascending order."""
        return tuple(range(self.index, BUCKETS, self.count))

    def owns(self, namespace: str) -> bool:
        """True if this shard handles the namespace."""
        return bucket_of(namespace) % self.count == self.index

    def overlaps(self, other: "Shard") -> bool:
        """True if a bucket belongs to both shards."""
        return not set(self.buckets).isdisjoint(other.buckets)

    def selectors(self, base: str = "") -> tuple[str, ...]:
        """Return label selectors that together select all objects that may belong to this shard: those labelled with
        its buckets, and those without a valid label, some of which belong to other shards."""
        if self.is_all:
            return (base,)
        ours, every = (",".join(map(str, buckets)) for buckets in (self.buckets, range(BUCKETS)))
        before = f"{base}," if base else ""
        return f"{before}{LABEL_BUCKET} in ({ours})", f"{before}{LABEL_BUCKET} notin ({every})"

    def lease_name(self, release: str) -> str:
        """Return the name of the Lease for leader election. The only shard uses the name from before there were
        shards."""
        return release if self.is_all else f"{release}-{self.index}-of-{self.count}"


ONLY_SHARD = Shard()


def shard_of_lease(release: str, lease: str) -> Shard | None:
    """Return the shard of a Lease, or None if the Lease is not one of this release."""
    if lease == release:
        return ONLY_SHARD
    numbers = re.fullmatch(r"-(0|[1-9]\d?)-of-([1-9]\d?)", lease.removeprefix(release), re.ASCII)
    if numbers is None or not lease.startswith(release):
        return None
    index, count = int(numbers[1]), int(numbers[2])
    return Shard(index, count) if 1 < count <= BUCKETS and index < count else None
