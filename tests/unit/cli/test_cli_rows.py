"""Rows of tasks that have not started."""

from datetime import UTC, datetime

import pytest

from tradewind.api.dag import DagSpec
from tradewind.api.resolve import resolve
from tradewind.cli.local.rows import rows_of
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.run.slots import Slots
from tradewind.engine.run.state import RunState

pytestmark = pytest.mark.unit

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_task_names_what_it_waits_for_and_the_first_one_nothing() -> None:
    names = ["a", "b", "c", "d", "e"]
    tasks = [{"name": name, "noop": True} for name in names]
    spec = DagSpec.model_validate({"tasks": [*tasks, {"name": "last", "noop": True, "dependsOn": names}]})
    info = RunInfo("default", "r", "uid", "d", "Manual", NOW, NOW, NOW)
    first, *_, last = rows_of(RunState(info, resolve(spec), Slots()))
    assert (first.state, first.message) == ("Waiting", "")
    assert last.message == "for a, b, c and 2 more"
