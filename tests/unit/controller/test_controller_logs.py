"""The controller's log tells what happened after Events have expired."""

from __future__ import annotations

import json
import logging
import re

import pytest

from tests.unit.controller.memory_cluster import MemoryCluster
from tradewind import logs
from tradewind.controller.runs import requests

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "LOOK_AGAIN", 0.01)


def lines(caplog: pytest.LogCaptureFixture, about: str) -> list[str]:
    """Return the log lines at level info about one object."""
    return [
        record.getMessage() for record in caplog.records if record.levelname == "INFO" and about in record.getMessage()
    ]


async def test_a_run_is_two_lines_however_many_tasks_it_has(
    cluster: MemoryCluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cluster.dag("sales", tasks=[{"name": f"t{number}", "image": "busybox"} for number in range(10)])
    cluster.run("sales", "one", fails=True)
    await cluster.wait_phase("one", "Failed")
    starts, ends = lines(caplog, "ns/one")
    assert starts == "DagRun ns/one of Dag sales started"
    assert re.match("DagRun ns/one of Dag sales: Failed after [01]s: failed: t0, t1", ends)
    [record] = [record for record in caplog.records if record.getMessage() == starts]
    assert vars(record)["about"] == {"namespace": "ns", "dag": "sales", "run": "one"}


async def test_what_is_refused_is_reported(cluster: MemoryCluster, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    cluster.dag("circle", tasks=[{"name": "a", "image": "x", "dependsOn": ["a"]}])
    cluster.dag("sales")
    cluster.run("sales", "bad", params={"unknown": 1})
    await cluster.wait_phase("bad", "Failed")
    cluster.run("sales", "one")
    await cluster.wait_phase("one", "Succeeded")
    await cluster.wait_asked("one", cluster.ask("one", "Stop"))
    await cluster.eventually(lambda: lines(caplog, "ns/circle"), "the Dag is refused")
    assert "is not accepted: " in lines(caplog, "ns/circle")[0]
    assert "DagRun ns/bad is refused: " in lines(caplog, "ns/bad")[0]
    assert "Stop was rejected (requested by alice): the run has finished already" in lines(caplog, "ns/one")[-1]


async def test_each_try_is_reported_at_debug(cluster: MemoryCluster, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    cluster.dag("sales")
    cluster.run("sales", "one", fails=True)
    await cluster.wait_phase("one", "Failed")
    said = [record.getMessage() for record in caplog.records if record.levelname == "DEBUG"]
    assert any(line.startswith("DagRun ns/one: load, try 1: Ended: exit code 1") for line in said), said
    assert any("DagRun ns/one of Dag sales: load: " in line for line in said), said


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": message, "levelname": "INFO", "name": "test", **extra})
    made.created = 1767225600.25
    return made


def test_json_has_what_a_line_is_about() -> None:
    line = logs.JsonFormatter().format(record("x\ny", **logs.about("ns", dag="sales", run="one")))
    assert json.loads(line) == {
        "time": "2026-01-01T00:00:00.250+00:00",
        "level": "info",
        "logger": "test",
        "message": "x\ny",
        "namespace": "ns",
        "dag": "sales",
        "run": "one",
    }
    assert "\n" not in line


def test_text_of_others_stays_on_its_line() -> None:
    formatter = logs.TextFormatter("%(levelname)s: %(message)s")
    assert formatter.format(record("failed: x\nERROR: \x1b[31mforged é")) == r"INFO: failed: x\nERROR: \x1b[31mforged é"
