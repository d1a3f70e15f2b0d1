"""An invalid status of a Dag loses only the state in it, and affects no other Dag."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.controller.memory_cluster import MemoryCluster
from tradewind.controller.dags import dags
from tradewind.engine.status.check import usable_dag_status

pytestmark = pytest.mark.unit

WHEN = "2026-11-30T06:00:00Z"
NONSENSE: list[dict[str, Any]] = [
    {"consecutiveFailedRuns": 1, "lastRunResourceVersion": "abc"},
    {"consecutiveFailedRuns": 1, "lastRunResourceVersion": "1" * 5000},
    {"consecutiveFailedRuns": -1, "lastRunResourceVersion": "-7"},
    {"consecutiveFailedRuns": 1, "lastRunFinishTime": "0001-01-01T00:00:00Z"},
    {"lastScheduleTime": "0001-01-01T00:00:00Z"},
    {"lastScheduleTime": "9999-12-31T23:59:59Z"},
]


@pytest.mark.parametrize("status", NONSENSE, ids=str)
async def test_other_dags_run_and_the_status_is_put_right(
    monkeypatch: pytest.MonkeyPatch, status: dict[str, Any]
) -> None:
    monkeypatch.setattr(dags, "WRITE_EVERY", 0.02)
    cluster = MemoryCluster()
    cluster.dag("bad", maxConsecutiveFailedRuns=3, schedule="0 0 1 1 *")
    cluster.dag("good")
    cluster.run("good", "fine")
    cluster.run("bad", "also-fine")
    cluster.patch("dags", "bad", subresource="status", status=status)
    await cluster.start()
    await cluster.wait_phase("fine", "Succeeded")
    await cluster.wait_phase("also-fine", "Succeeded")
    await cluster.eventually(lambda: cluster.status("dags", "bad").get("lastRun") == "also-fine", "its end is reported")
    now = cluster.status("dags", "bad")
    assert usable_dag_status(now) == now
    assert cluster.controller.metrics.registry.get_sample_value("tradewind_loop_failures_total") == 0
    await cluster.stop()


@pytest.mark.parametrize("time", ["yesterday", "2026-01-01T00:00:00", "²", "", 7, None])
def test_what_the_schema_refuses_is_no_time_either(time: Any) -> None:
    assert usable_dag_status({"lastScheduleTime": time, "activeRuns": 1}) == {"activeRuns": 1}


def test_what_a_controller_wrote_is_left_as_it_is() -> None:
    status = {
        "observedGeneration": 2,
        "conditions": [
            {"type": "Accepted", "status": "True", "reason": "Valid", "message": "", "lastTransitionTime": WHEN}
        ],
        "activeRuns": 0,
        "lastScheduleTime": "2026-11-30T06:00:00Z",
        "lastRun": "r",
        "lastRunPhase": "Failed",
        "lastRunFinishTime": "2026-11-30T06:01:00Z",
        "lastRunResourceVersion": "12345",
        "consecutiveFailedRuns": 2,
        "fromANewerController": True,
    }
    assert usable_dag_status(status) == status
