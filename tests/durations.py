"""The duration of each file and each kind of tests: written to build/ after a run of all tests of a kind, the slowest
first. Processes that a test waits for count; clusters, which no test waits for, do not."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

import pytest

_before = 0.0


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol() -> None:
    global _before
    _before = _processor_seconds()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    global _before
    report = yield
    before, _before = _before, _processor_seconds()
    report.processor = _before - before  # type: ignore[attr-defined]  # goes with the report from worker to main process
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    kinds = config.getoption("markexpr")
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS or config.getoption("keyword"):
        return
    reports = [each for found in terminalreporter.stats.values() for each in found if hasattr(each, "processor")]
    path = Path("build", f"durations-{re.sub(r'[^a-z0-9]+(or[^a-z0-9]+)?', '-', kinds) or 'all'}.txt")
    path.parent.mkdir(exist_ok=True)
    by_kind = _table(reports, lambda report: "/".join(report.nodeid.split("/")[:2]))
    by_file = _table(reports, lambda report: report.nodeid.partition("::")[0])
    path.write_text("\n".join(["seconds  of processor", *by_kind, "", *by_file, ""]))


def _table(reports: Iterable[pytest.TestReport], key: Callable[[pytest.TestReport], str]) -> list[str]:
    sums: dict[str, tuple[float, float]] = {}
    for report in reports:
        wall, processor = sums.get(key(report), (0.0, 0.0))
        sums[key(report)] = (wall + report.duration, processor + report.processor)
    slowest = sorted(sums.items(), key=lambda each: -each[1][0])
    return [f"{wall:7.1f}  {processor:7.1f}  {name}" for name, (wall, processor) in slowest]
