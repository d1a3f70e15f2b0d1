"""Which finished runs are too many."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tradewind.api.dag import DagSpec
from tradewind.engine.schedule.history import FinishedRuns, HistoryEntry

pytestmark = pytest.mark.unit

DAY0 = datetime(2026, 3, 1, tzinfo=UTC)


def spec(**fields: Any) -> DagSpec:
    return DagSpec.model_validate({"tasks": [{"name": "a", "noop": True}], **fields})


def finished(name: str, succeeded: bool, hour: float, version: int = 0, backfill: str = "") -> HistoryEntry:
    return HistoryEntry(DAY0 + timedelta(hours=hour), version, name, succeeded, backfill)


def surplus(dag: DagSpec, runs: FinishedRuns) -> list[str]:
    return [run.name for run in runs.surplus(dag)]


def test_succeeded_and_failed_runs_have_a_limit_each() -> None:
    succeeded = [finished(f"s{hour}", True, hour) for hour in range(4)]
    failed = [finished(f"f{hour}", False, hour) for hour in (1, 2)]
    runs = FinishedRuns(reversed([*succeeded, *failed]))
    assert surplus(spec(successfulRunsHistoryLimit=2, failedRunsHistoryLimit=1), runs) == ["s0", "f1", "s1"]
    assert (runs.count(succeeded=True), runs.count(succeeded=False)) == (4, 2)


def test_twenty_five_by_default() -> None:
    runs = FinishedRuns(finished(f"s{hour:02}", True, hour) for hour in range(30))
    assert surplus(spec(), runs) == ["s00", "s01", "s02", "s03", "s04"]


def test_a_limit_of_zero_keeps_none() -> None:
    dag = spec(successfulRunsHistoryLimit=0, failedRunsHistoryLimit=0)
    assert surplus(dag, FinishedRuns([finished("s", True, 1), finished("f", False, 2)])) == ["s", "f"]
    assert surplus(dag, FinishedRuns()) == []


def test_a_run_that_a_user_writes_to_is_as_old_as_before() -> None:
    runs = FinishedRuns([finished("old", True, 1, version=900), finished("new", True, 2, version=5)])
    assert surplus(spec(successfulRunsHistoryLimit=1), runs) == ["old"]


def test_of_those_that_finished_at_the_same_moment_the_resource_version_decides() -> None:
    versions = {"a": 10, "b": 9, "c": 100}
    runs = FinishedRuns(finished(name, True, 1, version) for name, version in versions.items())
    assert surplus(spec(successfulRunsHistoryLimit=1), runs) == ["b", "a"]


def test_succeeded_runs_of_each_backfill_are_counted_apart_and_its_failed_ones_stay() -> None:
    runs = FinishedRuns(
        finished(f"{name}{how}{hour}", how == "s", hour, backfill=name)
        for name in ("", "b", "c")
        for how in "sf"
        for hour in (1, 2)
    )
    dag = spec(successfulRunsHistoryLimit=1, failedRunsHistoryLimit=1)
    assert surplus(dag, runs) == ["bs1", "cs1", "f1", "s1"]
    runs.dissolve("b")
    assert surplus(dag, runs) == ["bf1", "bs1", "cs1", "f1", "s1", "bf2", "bs2"]


def test_what_is_running_or_deleted_does_not_count() -> None:
    runs = FinishedRuns(finished(name, True, hour) for hour, name in enumerate("abc"))
    runs.add(finished("a", False, 4))
    runs.remove("b")
    runs.remove("never")
    assert runs.names() == ["c", "a"]
    assert (runs.count(succeeded=True), runs.count(succeeded=False)) == (1, 1)
    assert surplus(spec(successfulRunsHistoryLimit=1, failedRunsHistoryLimit=0), runs) == ["a"]
    runs.remove("a")
    runs.remove("c")
    assert not runs
