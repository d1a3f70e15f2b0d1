"""Fixtures of the command line's tests."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.apiserver.http import served
from tests.unit.cli.cluster_setup import Setup, kubeconfig
from tests.unit.cli.commandline import Cli, DagFile
from tests.unit.cli.fake_cluster import FakeCluster


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("TRADEWIND_", "KUBE"))}
    env |= {"HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    env.pop("NO_COLOR", None)
    env.pop("FORCE_COLOR", None)
    yield Cli(tmp_path, env)


@pytest.fixture
def marker() -> str:
    """A word that the arguments or environment of every process of the test have."""
    return f"marker-{uuid.uuid4()}"


@pytest.fixture
def dag_file(tmp_path: Path) -> DagFile:
    """Writes a Dag of these tasks to a file; more of its spec by keyword."""

    def write(*tasks: dict[str, Any], name: str = "test", documents: list[Any] | None = None, **spec: Any) -> Path:
        manifest = {
            "apiVersion": "tradewind.dev/v1alpha1",
            "kind": "Dag",
            "metadata": {"name": name},
            "spec": {**spec, "tasks": list(tasks)},
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump_all([manifest, *(documents or [])], sort_keys=False))
        return path

    return write


@pytest.fixture
def tradewind(cli: Cli) -> Iterator[Setup]:
    """The program with a cluster in memory."""
    fake = FakeCluster()
    with served(fake.answer) as server:
        kubeconfig(cli.folder / "kubeconfig", server)
        yield Setup(cli, fake, server)
