"""Starting a try: variables may arrive late, the try may be given up, the run be suspended before its Pod is made."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.controller.terms import part_of_term
from tradewind.api.dag import DagSpec
from tradewind.api.resolve import resolve
from tradewind.api.variables import Variables
from tradewind.controller.pods import tries
from tradewind.controller.pods.tries import Tries
from tradewind.engine.run.run_info import RunInfo
from tradewind.engine.run.state import RunState
from tradewind.engine.run.tries import TryEvent, TryReport
from tradewind.engine.scheduler import Scheduler, Start
from tradewind.engine.transitions.endings import fail

pytestmark = pytest.mark.unit

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Bench:
    """One run with a task that needs a variable, and what the starts of its tries come to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tries, "SETTLE", 0.05)
        self.config_maps: dict[str, dict[str, str]] = {}
        self.created: list[dict[str, Any]] = []
        self.reports: list[TryReport] = []
        self.scheduler = Scheduler()
        spec = {"tasks": [{"name": "a", "image": "busybox", "command": ["echo"], "args": ["{{ vars.settings.x }}"]}]}
        info = RunInfo("ns", "r", "uid", "d", "Manual", NOW, NOW, NOW)
        dag = resolve(DagSpec.model_validate(spec))
        variables = lambda: Variables(self.config_maps, "ns")  # noqa: E731
        self.run = RunState(info, dag, self.scheduler.slots, variables=variables)
        self.scheduler.add_run(self.run)
        [self.start] = self.scheduler.plan(NOW).starts

    async def go(self, start: Start) -> None:
        async def create(_resource: object, _namespace: str, manifest: dict[str, Any], **options: Any) -> None:
            self.created.append(manifest)

        term = part_of_term(
            writer=SimpleNamespace(create=create, slots=32),
            cluster=SimpleNamespace(pod=lambda *_: None),
            scheduler=self.scheduler,
        )
        starter = Tries(term, lambda _, report: self.reports.append(report))
        await starter.start(self.run, start)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


async def test_a_variable_that_arrives_a_moment_later(bench: Bench) -> None:
    asyncio.get_running_loop().call_later(0.01, bench.config_maps.update, {"settings": {"x": "here"}})
    await bench.go(bench.start)
    assert [pod["spec"]["containers"][0]["args"] for pod in bench.created] == [["here"]]
    assert [report.event for report in bench.reports] == [TryEvent.CREATED]


async def test_one_that_does_not(bench: Bench) -> None:
    await bench.go(bench.start)
    assert bench.created == []
    [report] = bench.reports
    assert (report.event, report.reason, report.retry) == (TryEvent.REFUSED, "InvalidTemplate", False)
    assert "kubectl -n ns create configmap settings --from-literal=x=VALUE" in (report.message or "")


async def test_nothing_is_made_for_a_try_that_was_given_up_meanwhile(bench: Bench) -> None:
    asyncio.get_running_loop().call_later(0.01, fail, bench.run, "RunTimeout", "too late", NOW)
    asyncio.get_running_loop().call_later(0.02, bench.config_maps.update, {"settings": {"x": "here"}})
    await bench.go(bench.start)
    assert (bench.created, bench.reports) == ([], [])


async def test_a_run_that_is_suspended_meanwhile_keeps_nothing_waiting_for_its_turn(bench: Bench) -> None:
    bench.config_maps["settings"] = {"x": "here"}
    bench.scheduler.suspend("uid", True)
    await bench.go(bench.start)
    assert bench.created == []
    [report] = bench.reports
    assert (report.event, report.reason, report.retry) == (TryEvent.POSTPONED, "Suspended", True)
    bench.scheduler.report("uid", report, NOW)
    assert not bench.scheduler.plan(NOW + timedelta(minutes=1)).starts
    assert bench.run.active == 0
    bench.scheduler.suspend("uid", False)
    [start] = bench.scheduler.plan(NOW + timedelta(minutes=2)).starts
    await bench.go(start)
    assert len(bench.created) == 1
