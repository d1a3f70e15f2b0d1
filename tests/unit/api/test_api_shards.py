"""Which shard a namespace belongs to: a contract between controllers of all versions, and with labels in clusters."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.api.shards import BUCKETS, ONLY_SHARD, Shard, bucket_of, shard_of_lease

pytestmark = pytest.mark.unit

NAMESPACES = st.from_regex(r"\A[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")


@pytest.mark.parametrize(
    ("namespace", "bucket"),
    [
        ("default", 34),
        ("analytics", 34),
        ("prod", 4),
        ("team-a", 38),
        ("team-b", 19),
        ("data", 40),
        ("airflow", 18),
        ("team-1", 12),
        ("team-2", 31),
        ("team-3", 22),
    ],
)
def test_the_bucket_of_a_namespace_never_changes(namespace: str, bucket: int) -> None:
    """Were it another one in a later version, two controllers would own the same Dags during the upgrade."""
    assert bucket_of(namespace) == bucket


@given(NAMESPACES, st.integers(1, BUCKETS))
def test_each_namespace_belongs_to_exactly_one_shard(namespace: str, count: int) -> None:
    owners = [index for index in range(count) if Shard(index, count).owns(namespace)]
    assert owners == [bucket_of(namespace) % count]
    assert bucket_of(namespace) in Shard(owners[0], count).buckets


def test_namespaces_are_spread_evenly() -> None:
    for pattern in ("team-{}", "ns{:03}", "{}-prod", "customer-{:x}-data"):
        per_bucket = Counter(bucket_of(pattern.format(number)) for number in range(6400))
        assert len(per_bucket) == BUCKETS
        assert max(per_bucket.values()) < 150, pattern


def test_shards_overlap_where_they_have_a_bucket_in_common() -> None:
    every = [Shard(index, count) for count in (1, 2, 3, 4, 5, 6, 7, 63, 64) for index in range(count)]
    for one, other in itertools.product(every, every):
        shared = [
            bucket
            for bucket in range(BUCKETS)
            if bucket % one.count == one.index and bucket % other.count == other.index
        ]
        assert one.overlaps(other) == bool(shared)
    assert Shard(0, 2).overlaps(Shard(2, 4))
    assert not Shard(0, 2).overlaps(Shard(1, 4))


@pytest.mark.parametrize(
    ("index", "count", "says"),
    [
        (0, 0, "--shards must be 1 to 64, not 0"),
        (0, 65, "--shards must be 1 to 64, not 65"),
        (2, 2, "--shard must be 0 to 1, not 2"),
        (-1, 3, "--shard must be 0 to 2, not -1"),
    ],
)
def test_a_shard_that_cannot_be(index: int, count: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Shard(index, count)


def test_lease_names_tell_the_shard() -> None:
    for count in range(1, BUCKETS + 1):
        for index in range(count):
            shard = Shard(index, count)
            assert shard_of_lease("etl-controller", shard.lease_name("etl-controller")) == shard
    assert ONLY_SHARD.lease_name("etl-controller") == "etl-controller"
    assert Shard(1, 3).lease_name("etl-controller") == "etl-controller-1-of-3"


@pytest.mark.parametrize(
    "lease",
    ["other", "etl-controller-x", "etl-controller-3-of-3", "etl-controller-0-of-1", "etl-controller-00-of-2",
     "etl-controller-0-of-65", "etl-controller-0-of-2-of-3", "my-etl-controller", "-0-of-2", ""],
)  # fmt: skip
def test_leases_of_others(lease: str) -> None:
    assert shard_of_lease("etl-controller", lease) is None
