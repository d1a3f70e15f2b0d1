"""Clusters for faults: one of fake nodes for each module."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from localkube import Cluster
from tests.cluster import CLUSTER, RealCluster, Witness, apply_crds
from tests.e2e.controller_process import Controllers
from tests.e2e.spaces import NewSpace, Space
from tests.faults.sizes import Figure


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = __file__.rpartition("/")[0]
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.faults)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures = [
        f"{report.nodeid.rpartition('::')[2]}: {name}: {value}"
        for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
        if "/faults/" in report.nodeid
        for name, value in report.user_properties
    ]
    if figures:
        terminalreporter.section("measured")
        terminalreporter.write_line("\n".join(figures))


@pytest.fixture
def figure(record_property: Figure) -> Figure:
    return record_property


@pytest.fixture
def chance() -> random.Random:
    """`$SEED`, or another one each time."""
    seed = int(os.environ.get("SEED") or random.randrange(10**6))
    print(f"SEED={seed}")
    return random.Random(seed)


@pytest.fixture(scope="module")
def kwok() -> Iterator[Cluster]:
    """A cluster of fake nodes with our CRDs. Each module has its own: what one breaks does not concern the next."""
    with Cluster(f"{CLUSTER}-faults", profile="kwok") as cluster:
        apply_crds(cluster.kubeconfig)
        yield cluster


@pytest.fixture
def kwok_controllers(kwok: Cluster, tmp_path: Path) -> Iterator[Controllers]:
    """Starts controllers; all have exited after the test."""
    controllers = Controllers(kwok.kubeconfig, tmp_path)
    yield controllers
    controllers.end()


@pytest.fixture
def new_kwok_space(kwok: Cluster, kwok_controllers: Controllers) -> Iterator[NewSpace]:
    """Makes namespaces on fake nodes; they go with the cluster."""
    witness = Witness(kwok.kubeconfig)

    def make(label: str) -> Space:
        return Space(RealCluster(kwok.kubeconfig, kwok), witness, kwok_controllers, label)

    yield make
