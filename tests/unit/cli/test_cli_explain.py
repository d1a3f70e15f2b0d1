"""Explanations of a run or a Dag that makes no progress, and of a cluster without a controller."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.cli.cluster_setup import Setup
from tests.unit.cli.steered_runs import add_run
from tradewind.api.times import format_time

pytestmark = pytest.mark.unit

WHEN = datetime(2026, 1, 31, 6, tzinfo=UTC)
TASKS: list[dict[str, Any]] = [
    {"name": "extract", "image": "busybox"},
    {"name": "load", "image": "busybox", "dependsOn": ["extract"], "forEach": {"items": [1, 2, 3]}},
    {"name": "report", "image": "busybox", "dependsOn": ["load"]},
]


def run(tradewind: Setup, phase: str | None, *entries: dict[str, Any], **status: Any) -> None:
    status = {"phase": phase, "tasks": list(entries), **status} if phase else {}
    add_run(tradewind.fake, "r", "sales", {"tasks": TASKS}, status, made=WHEN)


def entry(name: str, state: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "try": 1, **more}


def test_a_running_run_is_explained_by_what_its_tasks_wait_for(tradewind: Setup) -> None:
    pulling = "waits to start: ImagePullBackOff: no such image"
    run(tradewind, "Running", entry("extract", "Queued", message=pulling), message=pulling, startedAt=format_time(WHEN))
    lines = tradewind("explain", "r").out.splitlines()
    assert lines[0] == f"r: Running: {pulling}"
    assert [line.split("   ")[0].strip() for line in lines[1:]] == ["TASK", "extract", "load", "report"]
    assert pulling in lines[2]
    assert "upstream" in lines[3]
    explained = json.loads(tradewind("explain", "r", "-o", "json").out)
    assert (explained["run"], explained["phase"], explained["tasks"][0]["task"]) == ("r", "Running", "extract")


def test_of_a_wide_run_those_come_first_that_have_begun(tradewind: Setup) -> None:
    tasks = [
        {"name": "gate", "image": "x"},
        *({"name": f"t{n}", "image": "x", "dependsOn": ["gate"]} for n in range(40)),
    ]
    tasks += [{"name": "last", "image": "x"}]
    running = {"phase": "Running", "tasks": [entry("gate", "Running"), entry("last", "Queued", message="no node")]}
    add_run(tradewind.fake, "r", "sales", {"tasks": tasks}, running | {"startedAt": format_time(WHEN)}, made=WHEN)
    lines = tradewind("explain", "r").out.splitlines()
    assert [line.split()[0] for line in lines[2:5]] == ["gate", "last", "t0"]
    assert lines[-1] == "and 22 more tasks; see -o json"
    assert len(lines) == 23


def test_a_run_that_failed_is_explained_by_the_tasks_that_did(tradewind: Setup) -> None:
    failed = entry("extract", "Failed", message="no route to host", exitCode=1, finishedAt=format_time(WHEN))
    rest = [{"name": name, "state": "UpstreamFailed"} for name in ("load", "report")]
    run(tradewind, "Failed", failed, *rest, message="failed: extract", startedAt=format_time(WHEN))
    lines = tradewind("explain", "r").out.splitlines()
    assert lines[0] == "r: Failed: failed: extract"
    assert len(lines) == 3
    assert "no route to host" in lines[2]


def test_a_run_without_a_dag_says_what_it_waits_for(tradewind: Setup) -> None:
    message = "waiting: no Dag named 'nosuch' in namespace 'default'"
    run(tradewind, "Queued", message=message)
    tradewind.fake.change("dagruns", "r", spec={"dag": "nosuch"}, status={"revision": None})
    assert tradewind("explain", "r").out == f"r: Queued: {message}\n"


def test_a_run_that_no_one_has_seen(tradewind: Setup) -> None:
    run(tradewind, None)
    assert tradewind("explain", "r").out.splitlines()[0] == "r: Pending: not reconciled yet; is the controller running?"


def test_a_run_that_no_one_takes_up_is_said_to_be_so(tradewind: Setup) -> None:
    tradewind.fake.steps = [{}] * 14 + [{"phase": "Succeeded"}]
    for option in ("--follow", "--wait"):
        result = tradewind("trigger", "sales", option)
        assert result.err.count("waiting: the run has no status yet; is the controller running?") == 1, option
        tradewind.fake.steps = [{}] * 14 + [{"phase": "Succeeded"}]


@pytest.mark.parametrize(
    ("changes", "late", "state"),
    [
        ({"activeRuns": 0}, True, "overdue"),
        ({"activeRuns": 0}, False, "ready"),
        ({"activeRuns": 1}, True, "ready"),
        ({"activeRuns": 0, "suspend": True}, True, "paused"),
    ],
)
def test_a_dag_of_which_no_run_was_made_in_time(
    tradewind: Setup, changes: dict[str, Any], late: bool, state: str
) -> None:
    suspend = changes.pop("suspend", False)
    due = datetime.now(UTC) + timedelta(seconds=-90 if late else -30)
    status = {**changes, "nextScheduleTime": format_time(due.replace(microsecond=0))}
    tradewind.fake.change("dags", "sales", spec={"suspend": suspend}, status=status)
    result = tradewind("list")
    assert result.out.splitlines()[1].split()[2] == state
    said = "the next run of sales is overdue; is the controller running?\n"
    assert result.err == (said if state == "overdue" else "")


def test_the_status_of_a_dag_names_its_newest_run(tradewind: Setup) -> None:
    says = tradewind("status", "sales").err
    assert "no DagRun named 'sales' in namespace 'default'; 'sales' is a Dag without runs" in says
    for name, day in (("one", 1), ("three", 3), ("two", 2)):
        add_run(tradewind.fake, name, "sales", {"tasks": TASKS}, {}, made=WHEN + timedelta(days=day))
    result = tradewind("status", "sales")
    assert (result.code, result.out) == (2, "")
    assert result.err.endswith("is a Dag; its newest run: tradewind status three\n")
    assert tradewind("status", "sale").err == "error: no DagRun named 'sale' in namespace 'default'\n"
