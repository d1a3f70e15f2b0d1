"""A request on a run of thousands of task instances is worked out beside the event loop."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.unit.controller.memory_cluster import MemoryCluster
from tradewind.controller.runs import requests
from tradewind.controller.runs.requests import SMALL_RUN

pytestmark = pytest.mark.unit

TASKS = [
    {"name": "load", "image": "busybox"},
    {"name": "report", "image": "busybox", "dependsOn": ["load"]},
    {"name": "wide", "image": "busybox", "dependsOn": ["report"], "forEach": {"items": list(range(SMALL_RUN + 1))}},
]


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """A thread that computes requests; each continues once `release` is set."""
    found: list[threading.Thread] = []
    apply_request = requests.apply_request  # type: ignore[attr-defined]

    def noted(*args: Any, **facts: Any) -> Any:
        found.append(threading.current_thread())
        assert found[0] is threading.main_thread() or RELEASE.wait(30)
        return apply_request(*args, **facts)

    RELEASE.clear()
    monkeypatch.setattr(requests, "apply_request", noted)
    return found


RELEASE = threading.Event()


async def test_the_loop_continues_and_nothing_of_the_run_starts_meanwhile(
    cluster: MemoryCluster, threads: list[threading.Thread]
) -> None:
    tasks = [*TASKS, *({"name": f"t{number}", "noop": True, "dependsOn": ["wide"]} for number in range(SMALL_RUN))]
    cluster.dag("sales", tasks=tasks)
    cluster.stays.add("one")
    cluster.run("sales", "one")
    [first] = await cluster.eventually(lambda: cluster.all("pods"), "its first task runs")
    asked = cluster.ask("one", "Mark", tasks=["wide"], state="Skipped")
    await cluster.eventually(lambda: threads, "it is being worked out")
    assert threads[0] is not threading.main_thread()
    cluster.stays.clear()
    cluster.end(first["metadata"]["name"], "one")
    # Other runs continue, and this one does not.
    cluster.dag("other")
    cluster.run("other", "two")
    await cluster.wait_phase("two", "Succeeded")
    assert not [pod for pod in cluster.all("pods") if pod["metadata"]["labels"]["tradewind.dev/task"] == "report"]
    RELEASE.set()
    assert (await cluster.wait_asked("one", asked))["state"] == "Applied"
    status = await cluster.wait_phase("one", "Succeeded")
    states = {entry["name"]: entry["state"] for entry in status["tasks"]}
    assert (states["load"], states["report"], states["wide"]) == ("Succeeded", "Succeeded", "Skipped")


async def test_one_on_a_small_run_is_worked_out_at_once(
    cluster: MemoryCluster, threads: list[threading.Thread]
) -> None:
    cluster.dag("sales")
    cluster.run("sales", "one")
    await cluster.wait_phase("one", "Succeeded")
    await cluster.wait_asked("one", cluster.ask("one", "Rerun"))
    assert threads == [threading.main_thread()]
