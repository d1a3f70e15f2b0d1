"""Finds helm, and lays out the chart that the tests render.

That chart is a copy with a CRD made for these tests, so that they do not depend on what the real CRDs happen
to contain.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.chart.helm_chart import CHART, Helm


def _is_helm_4(program: str) -> bool:
    """The tests use options that Helm 3 lacks: a dry run without a cluster, the choice of how to apply."""
    return subprocess.run([program, "version", "--short"], capture_output=True, text=True).stdout.startswith("v4")


@pytest.fixture(scope="session")
def helm_program() -> Path:
    """`$HELM`, else a Helm 4 on PATH, else the one localkube builds (minutes, the first time)."""
    if named := os.environ.get("HELM"):
        return Path(named)
    if (found := shutil.which("helm")) and _is_helm_4(found):
        return Path(found)
    from localkube import tools

    return tools.ensure("helm")


@pytest.fixture(scope="session")
def helm(helm_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    chart = tmp_path_factory.mktemp("chart") / "tradewind"
    shutil.copytree(CHART, chart, ignore=shutil.ignore_patterns("files"))
    shutil.copytree(Path(__file__).parent / "crds", chart / "files" / "crds")
    return Helm(helm_program, chart)
