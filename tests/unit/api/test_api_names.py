"""Names: deterministic, short enough, and never the same for different things."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.api.model import DNS_LABEL
from tradewind.api.names import MAX_DAG_NAME, MAX_LABEL, pod_name, revision_name, run_name

pytestmark = pytest.mark.unit

labels = st.from_regex(r"\A[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
identities = st.tuples(labels, st.uuids().map(str), labels, st.none() | st.integers(0, 9999), st.integers(1, 1000))


@given(identities)
def test_pod_names_are_deterministic_dns_labels(identity: tuple[str, str, str, int | None, int]) -> None:
    name = pod_name(*identity)
    assert name == pod_name(*identity)
    assert len(name) <= MAX_LABEL
    assert re.fullmatch(DNS_LABEL, name)


@given(st.lists(identities, unique=True, max_size=50))
def test_pod_names_are_unique(many: list[tuple[str, str, str, int | None, int]]) -> None:
    assert len({pod_name(*identity) for identity in many}) == len(many)


def test_readable_parts_that_run_together_are_kept_apart() -> None:
    assert pod_name("a-b", "uid", "c", None, 1) != pod_name("a", "uid", "b-c", None, 1)
    assert pod_name("a", "uid", "b", None, 11) != pod_name("a", "uid", "b", 1, 1)
    assert pod_name("a", "first", "b", None, 1) != pod_name("a", "second", "b", None, 1)


def test_ten_thousand_pods_of_one_run() -> None:
    """As many as one run may have: none may share a name, or one of them would never run."""
    names = {pod_name("run", "uid", "task", index, number) for index in range(5000) for number in (1, 2)}
    assert len(names) == 10_000


def test_the_tasks_of_a_run_with_a_long_name() -> None:
    """The run's name fills the whole of the readable part: the hash alone tells 2,000 tasks apart."""
    run = "d" * MAX_DAG_NAME + "-20260131t060000"
    for uid in map(str, range(50)):
        assert len({pod_name(run, uid, f"task-{number}", None, 1) for number in range(2000)}) == 2000


def test_pod_name_can_be_read() -> None:
    assert re.fullmatch(
        r"hello-20260131t060000-extract-2-[0-9a-f]{10}", pod_name("hello-20260131t060000", "u", "extract", None, 2)
    )


def test_run_names_speak_utc() -> None:
    berlin = timezone(timedelta(hours=1))
    assert run_name("sales", datetime(2026, 1, 31, 7, 0, tzinfo=berlin)) == "sales-20260131t060000"
    assert run_name("sales", datetime(2026, 1, 31, 6, 0, tzinfo=UTC)) == "sales-20260131t060000"


def test_the_longest_dag_name_still_gives_a_label() -> None:
    assert len(run_name("d" * MAX_DAG_NAME, datetime(2026, 1, 31, tzinfo=UTC))) == MAX_LABEL


def test_revision_name() -> None:
    assert revision_name("sales", "0123456789abcdef") == "sales-0123456789"
