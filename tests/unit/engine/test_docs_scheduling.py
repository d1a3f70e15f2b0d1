"""docs/scheduling.md tells the truth: its YAML is valid, its numbers are those of the code, its ticks come so."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.engine.engine_world import World
from tradewind.api import resolve as defaults
from tradewind.api.pool import DEFAULT_POOL_SLOTS
from tradewind.api.validation import validate_dag, validate_pool
from tradewind.engine.rules.outcome import OUTPUT_BUDGET
from tradewind.engine.run.states import RunPhase, TaskState
from tradewind.engine.run.task_instance import MAX_TRIES_KEPT
from tradewind.engine.timetables import timetable_of

pytestmark = pytest.mark.unit

TEXT = (Path(__file__).parents[3] / "docs" / "scheduling.md").read_text()
MANIFESTS: list[dict[str, Any]] = [
    document
    for block in re.findall(r"^```yaml\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    for document in yaml.safe_load_all(block)
]
TICKS = re.findall(r"^\| `([^`]+)` \| (\S+) \| (\S+) \| ([^|]+) \|$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest["metadata"]["name"])
def test_the_yaml_is_valid(manifest: dict[str, Any]) -> None:
    validators: dict[str, Callable[[Any], Any]] = {"Dag": validate_dag, "Pool": validate_pool}
    validate = validators[manifest["kind"]]
    found, problems = validate(manifest)
    assert found is not None
    assert problems == []


@pytest.mark.parametrize("manifest", [m for m in MANIFESTS if m["kind"] == "Dag"], ids=lambda m: m["metadata"]["name"])
def test_the_dags_run(manifest: dict[str, Any]) -> None:
    spec = {key: value for key, value in manifest["spec"].items() if key != "tasks"}
    world = World(*manifest["spec"]["tasks"], **spec)
    world.scheduler.set_pool("ns", "warehouse", 3)
    world.plan()
    for start in world.starts:  # which grows
        world.succeed(start.task.name)
    assert world.phase() == "Succeeded"


def test_there_are_examples() -> None:
    assert (len(MANIFESTS), len(TICKS)) == (5, 8)


@pytest.mark.parametrize(("schedule", "zone", "after", "ticks"), TICKS, ids=lambda text: text[:25])
def test_the_ticks_come_as_the_table_says(schedule: str, zone: str, after: str, ticks: str) -> None:
    manifest, start = {**MANIFESTS[-1]}, datetime.fromisoformat(after)
    manifest["spec"] = {"schedule": schedule, "timeZone": zone, "tasks": [{"name": "a", "noop": True}]}
    dag, _ = validate_dag(manifest)
    assert dag is not None
    timetable = timetable_of(dag.spec, start)
    assert timetable is not None
    expected = [datetime.fromisoformat(tick).astimezone(UTC) for tick in ticks.split(", ")]
    assert [tick.logical_date for tick in islice(timetable.ticks(start), len(expected))] == expected


def test_every_state_is_reported() -> None:
    words = set(re.findall(r"\w+", TEXT))
    assert {state.value for state in TaskState} - {"None", "Removed"} <= words
    assert {phase.value for phase in RunPhase} <= words


def test_the_numbers_are_those_of_the_code() -> None:
    assert f"{OUTPUT_BUDGET // 1024} KiB" in TEXT
    assert f"`maxActiveTasks` of the Dag | {defaults.DEFAULT_MAX_ACTIVE_TASKS} |" in TEXT
    assert f"`maxActiveRuns` ({defaults.DEFAULT_MAX_ACTIVE_RUNS})" in TEXT
    assert f"1 of {DEFAULT_POOL_SLOTS}" in TEXT
    assert f"`onLost` ({defaults.DEFAULT_ON_LOST})" in TEXT
    assert defaults.DEFAULT_RETRY_DELAY.total_seconds() == 300
    assert "`delay` (5m)" in TEXT
    assert MAX_TRIES_KEPT == 10
    assert "The last ten earlier tries" in TEXT
